"""What mkdocs asks while it builds the site: pages that the program knows, text that stands elsewhere.

- Pages under `reference/` are made by `pages.py`; `contributing.md` and `changelog.md` are the files at
  the repository's root.
- `<!-- README -->` becomes the README's beginning, and `<!-- README: Title -->` that section of it.
- A paragraph that is only a link to a file under `examples/` becomes that file. On a code host it stays
  a link. The tests run these files.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
AT_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
SECTION = re.compile(r"^<!-- README(?:: (.+?))? -->$", re.MULTILINE)
EXAMPLE = re.compile(r"^\[[^]]+\]\(((?:\.\./)*examples/[\w./-]+\.(py|ya?ml|tex))\)$", re.MULTILINE)
LANGUAGES = {"py": "python", "yml": "yaml", "tex": "latex"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that nobody writes."""
    for place, text in pages.every().items():
        files.append(File.generated(config, place, content=text))
    for name, place in AT_ROOT.items():
        if place != "index.md":
            text = _from_root((ROOT / name).read_text(encoding="utf-8"))
            files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Put in what stands elsewhere."""
    here = Path(page.file.src_uri).parent

    def example(found: re.Match[str]) -> str:
        path = Path(config.docs_dir) / here / found[1]
        if not path.is_file():
            raise PluginError(f"{page.file.src_uri}: no file {path}.")
        name = f"{path.parent.name}/{path.name}"
        language = LANGUAGES.get(found[2], found[2])
        code = path.read_text(encoding="utf-8").rstrip()
        return f'````{language} title="{name}"\n{code}\n````'

    markdown = SECTION.sub(lambda found: readme_section(found[1]), markdown)
    markdown = EXAMPLE.sub(example, markdown)
    up = "../" * len(here.parts)
    return re.sub(
        r"\]\((?:\.\./)+(README|CONTRIBUTING|CHANGELOG)\.md",
        lambda found: f"]({up}{AT_ROOT[f'{found[1]}.md']}",
        markdown,
    )


def readme_section(title: str | None) -> str:
    """Return a section of the README with its heading, or what stands before the first, as docs/ has it.

    Raises:
        PluginError: it has no such section.
    """
    head, *sections = re.split(r"^(?=## )", _readme(), flags=re.MULTILINE)
    if title is None:
        return head.partition("\n")[2].strip()  # the page has a title of its own
    for section in sections:
        if section.partition("\n")[0] == f"## {title}":
            return section.strip()
    raise PluginError(f"README.md has no section {title!r}.")


def _readme() -> str:
    return _from_root((ROOT / "README.md").read_text(encoding="utf-8"))


def _from_root(text: str) -> str:
    """Turn links from the repository's root into links from docs/."""
    return re.sub(r"\]\(docs/", "](", text)
