"""The pages that nobody writes: from the suite's schema, commands and declarations."""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from bench.cli.listing import KINDS
from bench.cli.main import main
from bench.plan.suite import Suite
from bench.plugins.registry import Declaration, Kind
from bench.plugins.source import ROOT, assigned, classes, tree

CATALOGUES = {
    "methods": ("Methods", "Rows of `methods`"),
    "networks": ("Networks", "Rows of `architectures`, and the networks that judge them"),
    "datasets": ("Data sets", "Rows of `datasets`"),
    "metrics": ("Metrics", "Names under `metrics`"),
    "tasks": ("Tasks", "What a data set is for. A suite's `task` sets their parameters"),
    "features": ("Feature extractors", "Values of a metric's `features`"),
    "segmenters": ("Segmenters", "Values of mIoU's `segmenter`"),
    "reports": ("Reports", "Tables and figures, in the order of the page"),
}
CONTRACTS = ("distiller", "metric", "dataset", "network", "report", "task", "feature", "segmenter")
MADE_FROM = {
    "bench/plan/suite.py": "reference/suite.md",
    "bench/cli": "reference/commands.md",
    "suites": "reference/suites.md",
    **{KINDS[name].package.replace(".", "/"): f"reference/{name}.md" for name in CATALOGUES},
    **{f"bench/contracts/{name}.py": f"reference/contracts/{name}.md" for name in CONTRACTS},
}
"""File or folder of the repository -> the page that is made from it."""
EVERY_KEY = """\
This is the schema by which a suite is read. An unknown key, or a value of another type, is one
line of error before anything is trained. On the command line a key is a path, as in
`--set teacher.budget.steps=50`. What there is to choose from, with its parameters:
[methods](methods.md), [networks](networks.md), [data sets](datasets.md), [metrics](metrics.md),
[tasks](tasks.md), whose parameters are the keys of `task`."""
WIDTH = 92  # of what --help prints, in signs
UNBOUNDED = 10**4  # limits beyond it are there against nonsense, and say nothing to a reader


def every() -> dict[str, str]:
    """Return all made pages: place under docs/ -> markdown."""
    found = {
        "reference/suite.md": suite(),
        "reference/suites.md": suites(),
        "reference/commands.md": commands(),
    }
    found |= {
        f"reference/{name}.md": catalogue(KINDS[name], *told) for name, told in CATALOGUES.items()
    }
    return found | {f"reference/contracts/{name}.md": contract(name) for name in CONTRACTS}


def suite() -> str:
    """Return the reference of every key of a suite, from its schema."""
    schema = Suite.model_json_schema()
    models = schema["$defs"]
    parts = [
        "# Keys of a suite",
        "<!-- README: A suite is a question -->",
        "## Every key",
        EVERY_KEY,
        _keys(schema, models),
    ]
    for name in _in_order(schema, models):
        said = inspect.cleandoc(models[name]["description"])
        heading = f"## {_words(name).capitalize()} {{#{_anchor(name)}}}"
        parts += [heading, said, _keys(models[name], models)]
    return "\n\n".join(parts)


def _in_order(schema: Mapping[str, Any], models: Mapping[str, Any]) -> list[str]:
    """Return the models that a schema uses, each after the first key that has it."""
    found: dict[str, None] = {}
    for name in re.findall(r"#/\$defs/(\w+)", json.dumps(schema["properties"])):
        found |= dict.fromkeys([name, *_in_order(models[name], models)])
    return list(found)


def _words(model: str) -> str:
    """Say a model's name in words: `StageBudget` is a stage budget."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", model).lower()


def _anchor(model: str) -> str:
    return _words(model).replace(" ", "-")


def _keys(model: Mapping[str, Any], models: Mapping[str, Any]) -> str:
    """Return the table of a model's keys."""
    lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
    for name, key in model["properties"].items():
        meaning = key.get("description") or models["Budget"]["properties"][name]["description"]
        needed = name in model.get("required", ())
        default = "**required**" if needed else _default(key.get("default"))
        cells = [f"`{name}`", _type(key), default, " ".join(meaning.split())]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _default(value: Any) -> str:
    return "" if value is None or isinstance(value, Mapping) else f"`{_yaml(value)}`"


def _yaml(value: Any) -> str:
    """Return a value as a suite would have it, on one line."""
    if isinstance(value, Mapping):
        value = {name: entry for name, entry in value.items() if entry is not None}
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("...\n").strip()


def _type(key: Mapping[str, Any]) -> str:
    """Say in words which values a key takes."""
    if "anyOf" in key or "allOf" in key:
        options = [o for o in key.get("anyOf", key.get("allOf", ())) if o.get("type") != "null"]
        return " or ".join(dict.fromkeys(_type(option) for option in options))
    if "$ref" in key:
        name = key["$ref"].rpartition("/")[2]
        return f"[{_words(name)}](#{_anchor(name)})"
    if "enum" in key or "const" in key:
        return ", ".join(f"`{value}`" for value in key.get("enum", [key.get("const")]))
    kind = key.get("type")
    if kind == "array":
        return f"list of: {_type(key['items'])}"
    if kind == "object":
        within = key.get("additionalProperties")
        if not isinstance(within, Mapping):
            return "keys"
        return f"rows of: {_type(within)}" if "$ref" in within else "rows"
    words = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    return words.get(str(kind), "text") + _range(key)


def _range(key: Mapping[str, Any]) -> str:
    limits = (
        ("above", key.get("exclusiveMinimum")),
        ("from", key.get("minimum")),
        ("below", key.get("exclusiveMaximum")),
        ("to", key.get("maximum")),
    )
    said = [f"{w} {x}" for w, x in limits if x is not None and x < UNBOUNDED]
    return f" {' '.join(said)}" if said else ""


def suites() -> str:
    """Return the list of the suites that come along, each with the comment that heads it."""
    parts = [
        "# Suites that come along",
        "`distillbench run NAME`, from any folder. Each asks one question, under its own protocol.",
    ]
    for path in sorted((ROOT / "suites").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        comment = re.match(r"(?:#.*\n)*", text)
        said = comment[0] if comment else ""
        paragraphs = re.sub(r"^# ?", "", said, flags=re.MULTILINE).strip()
        rest = text[len(said) :].strip()
        parts.append(f"## {path.stem}\n\n{_plain(paragraphs)}\n\n````yaml\n{rest}\n````")
    return "\n\n".join(parts)


def commands() -> str:
    """Return the reference of the command line: what `--help` prints, command by command."""
    parts = ["# Command line", _help_of(main, "distillbench")]
    for name, command in main.commands.items():
        parts += list(_commands(command, f"distillbench {name}"))
    return "\n\n".join(parts)


def _commands(command: click.Command, path: str) -> Iterator[str]:
    yield f"## {path}\n\n{_help_of(command, path)}"
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from _commands(inner, f"{path} {name}")


def _help_of(command: click.Command, path: str) -> str:
    text = command.get_help(click.Context(command, info_name=path, terminal_width=WIDTH))
    return f"````text\n{text}\n````"


def catalogue(kind: Kind[Any], title: str, what: str) -> str:
    """Return the list of all plug-ins of a kind, from what they declare."""
    told = [kind.declaration(name, name) for name in kind.names()]
    if "order" in told[0].fields:
        told.sort(key=lambda declaration: declaration.fields["order"])
    contract = kind.module.rpartition(".")[2]
    where = f"{what}: each is a file in `{kind.package.replace('.', '/')}/`."
    words = f"What the words mean is in [the contract](contracts/{contract}.md)."
    table = ["| name | what it is |", "| --- | --- |"]
    for plugin in told:
        said = " ".join(_docstrings(kind, plugin)[0].partition("\n\n")[0].split())
        table.append(f"| [`{plugin.name}`](#{plugin.name}) | {_cell(said)} |")
    entries = [_entry(kind, declaration) for declaration in told]
    return "\n\n".join([f"# {title}", f"{where} {words}", "\n".join(table), *entries])


def _entry(kind: Kind[Any], told: Declaration[Any]) -> str:
    parts = [f"## `{told.name}` {{#{told.name}}}", *map(_plain, _docstrings(kind, told))]
    fields = dict(told.fields)
    defaults, choices = fields.pop("defaults", {}), fields.pop("choices", {})
    if source := fields.pop("source", ""):
        parts.append(f"*Source:* {_plain(source)}.")
    if defaults:
        lines = ["| parameter | default | one of |", "| --- | --- | --- |"]
        for name, value in defaults.items():
            options = ", ".join(f"`{_yaml(_listed(x))}`" for x in choices.get(name, ()))
            lines.append(f"| `{name}` | `{_yaml(_listed(value))}` | {options} |")
        parts.append("\n".join(lines))
    usual = _usual(kind)
    own = {n: x for n, x in fields.items() if x and x != usual.get(n) and n != "version"}
    own["version"] = fields.get("version", 1)
    parts.append(" · ".join(f"{name} `{_yaml(_listed(value))}`" for name, value in own.items()))
    return "\n\n".join(parts)


def _docstrings(kind: Kind[Any], told: Declaration[Any]) -> list[str]:
    """Return what a plug-in's file says of itself, and what its class says."""
    path, _ = kind.locate(told.name, told.name)
    nodes = (tree(path), classes(path)[told.class_name])
    return [text for text in map(ast.get_docstring, nodes) if text]


def _usual(kind: Kind[Any]) -> dict[str, Any]:
    """Return what the contract's first class to name it declares, where that is a literal."""
    found: dict[str, Any] = {}
    for node in classes(kind.path).values():
        for name, value in assigned(node).items():
            try:
                found.setdefault(name, ast.literal_eval(value))
            except ValueError:
                continue
    return found


def _listed(value: Any) -> Any:
    """Return tuples as lists, which is what a suite has."""
    if isinstance(value, Mapping):
        return {str(name): _listed(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_listed(entry) for entry in value]
    return value


def _plain(text: str) -> str:
    """Return a docstring as markdown: signs that markdown would read are shown, but in code."""
    parts = re.split(r"(`[^`]+`)", text)
    parts[::2] = [part.replace("*", "\\*").replace("<", "&lt;") for part in parts[::2]]
    return "".join(parts)


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def contract(name: str) -> str:
    """Return the page of a contract, which mkdocstrings fills from its docstrings."""
    path = Path("bench") / "contracts" / f"{name}.py"
    return textwrap.dedent(
        f"""\
        # The contract of a {name}

        `{path.as_posix()}`, whole: what a plug-in of this kind declares and answers.

        ::: bench.contracts.{name}
        """
    )
