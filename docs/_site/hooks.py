"""What mkdocs asks while it builds the site: made pages, and text that stands elsewhere.

- Pages under `reference/` are made by `pages.py`; `contributing.md` and `changelog.md` are the
  files at the repository's root.
- `<!-- README -->` becomes the README's beginning, and `<!-- README: Title -->` that section of it.
- A link to a source file leads to the page that is made from it; on a code host, to the file.
- A paragraph that is only a link to a file under `examples/` becomes that file. On a code host it
  stays a link. The tests run these files.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

import pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
AT_ROOT = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
PAGES = {"README.md": "index.md", **AT_ROOT, **pages.MADE_FROM}  # file of the repository -> page
SECTION = re.compile(r"^<!-- README(?:: (.+?))? -->$", re.MULTILINE)
EXAMPLE = re.compile(r"^\[[^]]+\]\((\S*examples/[\w./-]+\.(\w+))\)$", re.MULTILINE)
FENCED = re.compile(r"^(```.*?^```)$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
LANGUAGES = {"py": "python", "yml": "yaml", "tex": "latex"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that nobody writes."""
    made = pages.every()
    made |= {page: _relinked(_read(name), "", page) for name, page in AT_ROOT.items()}
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Put in what stands elsewhere."""
    place = page.file.src_uri
    if not page.file.generated_by:
        markdown = _relinked(markdown, join("docs", dirname(place)), place)
    markdown = SECTION.sub(lambda found: _relinked(_section(found[1]), "", place), markdown)

    def example(found: re.Match[str]) -> str:
        path = Path(config.docs_dir) / dirname(place) / found[1]
        if not path.is_file():
            raise PluginError(f"{place}: no file {path}.")
        language = LANGUAGES.get(found[2], found[2])
        code = path.read_text(encoding="utf-8").rstrip()
        return f'````{language} title="{path.name}"\n{code}\n````'

    return EXAMPLE.sub(example, markdown)


def _section(title: str | None) -> str:
    """Return a section of the README with its heading, or what stands before the first.

    Raises:
        PluginError: it has no such section.
    """
    head, *sections = re.split(r"^(?=## )", _read("README.md"), flags=re.MULTILINE)
    if title is None:
        return head.partition("\n")[2].strip()  # the page has a title of its own
    for section in sections:
        if section.partition("\n")[0] == f"## {title}":
            return section.strip()
    raise PluginError(f"README.md has no section {title!r}.")


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _relinked(text: str, folder: str, page: str) -> str:
    """Return a text of a folder of the repository with its links as a page of the site has them."""

    def link(found: re.Match[str]) -> str:
        target = normpath(join(folder, found[1]))
        target = join("docs", PAGES[target]) if target in PAGES else target
        return f"]({relpath(target, join('docs', dirname(page)))}"

    parts = FENCED.split(text)
    parts[::2] = [LINK.sub(link, part) for part in parts[::2]]
    return "".join(parts)
