"""`distillbench list`: the plug-ins of each kind, with source and parameters, and the suites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import json_option
from bench.cli.output import json_text
from bench.contracts.kinds import (
    DATASET,
    FEATURES,
    METHOD,
    METRIC,
    NETWORK,
    REPORT,
    SEGMENTER,
    TASK,
)
from bench.plugins.registry import Declaration, Kind
from bench.run.gpus import driver

if TYPE_CHECKING:
    from bench.contracts.metric import Metric
    from bench.plan.suite import Suite

Json = dict[str, Any]

KINDS: Mapping[str, Kind[Any]] = {
    "datasets": DATASET,
    "networks": NETWORK,
    "tasks": TASK,
    "metrics": METRIC,
    "methods": METHOD,
    "reports": REPORT,
    "features": FEATURES,
    "segmenters": SEGMENTER,
}

NAMED = {  # kind -> the key of a suite that has it, and what names it in a row
    "datasets": ("datasets", "dataset"),
    "networks": ("architectures", "architecture"),
    "methods": ("methods", "method"),
    "metrics": ("metrics", ""),
    "reports": ("reports", ""),
}


@click.command("list")
@click.argument("kind", type=click.Choice([*KINDS, "suites"]))
@click.option(
    "--suite",
    type=click.Path(path_type=Path),
    help="With the plug-ins of this suite's folders, and those that it names by their class.",
)
@json_option
def list_(kind: str, suite: Path | None, as_json: bool) -> None:
    """List what there is of a KIND: names with their source, what they are, their parameters.

    \b
      distillbench list datasets
      distillbench list metrics --suite my_suite.yaml --json
      distillbench list suites                            run one by its name alone
    """
    named: Iterable[str] = ()
    if suite:
        from bench.plan.suite import load

        named = _named(load(suite), kind)
    if kind == "suites":
        _print_suites(as_json)
    else:
        print_all(KINDS[kind], as_json, named)


def _named(suite: Suite, kind: str) -> Iterator[str]:
    """Yield the plug-ins of one kind that a suite names as `module:Class`."""
    key, word = NAMED.get(kind, ("", ""))
    for label, row in getattr(suite, key, {}).items():
        for name in row.get(word, label).split("+"):
            if ":" in name:
                yield name.strip()


@click.command()
@json_option
def metrics(as_json: bool) -> None:
    """List the metrics: unit, direction, what they need, and whether they run on this machine."""
    print_all(METRIC, as_json)


@click.command()
@json_option
def methods(as_json: bool) -> None:
    """List the distillers: source, tasks, kinds of teacher, hints, parameters and defaults."""
    print_all(METHOD, as_json)


def print_all(kind: Kind[Any], as_json: bool, more: Iterable[str] = ()) -> None:
    """Print every plug-in of a kind, and some that are named by their class."""
    names = dict.fromkeys((*kind.names(), *more))
    told = {name: kind.declaration(name, name) for name in names}
    facts = FACTS.get(kind.name, _no_facts)
    found = [
        {
            kind.name: name,
            "summary": declaration.summary,
            "version": declaration.version,
            "source": declaration.fields.get("source", ""),
            "defaults": declaration.fields.get("defaults", {}),
            "choices": declaration.fields.get("choices", {}),
            "file": str(kind.locate(name, name)[0]),
            **facts(kind, declaration),
        }
        for name, declaration in told.items()
    ]
    if as_json:
        click.echo(json_text(found))
        return
    for line in found:
        name = line[kind.name]
        click.echo(f"{name}  {line['summary']}")
        is_own = kind.is_ours(name)
        source = "; ".join(x for x in (line["source"], "" if is_own else line["file"]) if x)
        click.echo(f"    version {line['version']}{f'; {source}' if source else ''}")
        for said in LINES.get(kind.name, _no_lines)(line):
            click.echo(f"    {said}")
        for parameter, default in line["defaults"].items():
            options = line["choices"].get(parameter)
            others = f"  (one of {', '.join(map(str, options))})" if options else ""
            tuned = "  (what `tune` multiplies)" if parameter in line.get("strength", ()) else ""
            shown = repr(default) if default == "" else default
            click.echo(f"    {parameter}: {shown}{others}{tuned}")


def _fields(*names: str) -> Callable[[Kind[Any], Declaration[Any]], Json]:
    return lambda kind, told: {name: told.fields[name] for name in names}


def _no_facts(kind: Kind[Any], told: Declaration[Any]) -> Json:
    return {}


def _no_lines(line: Json) -> Iterator[str]:
    yield from ()


def _of_metric(kind: Kind[Any], told: Declaration[Any]) -> Json:
    from bench.fetch.missing import missing_weights

    part = kind.part(told.name, {}, told.name)
    says = told.says
    return {
        "label": says.label,
        "unit": says.unit,
        "better": says.better,
        "needs": [*says.needs, *says.pretrained(part.params)],
        "missing": _no_gpu(says) or missing_weights(part),
    }


def _no_gpu(metric: type[Metric]) -> str:
    return "needs a GPU" if "gpu" in metric.needs and driver() == "cpu" else ""


def _lines_of_metric(line: Json) -> Iterator[str]:
    unit = f" [{line['unit']}]" if line["unit"] else ""
    better = f", {line['better']} is better" if line["better"] else ""
    yield f"{line['label']}{unit}{better}"
    if line["needs"]:
        yield f"needs {', '.join(line['needs'])}"
    yield line["missing"] or "runs on this machine"


def _lines_of_method(line: Json) -> Iterator[str]:
    port = f"; {line['port']}" if line["port"] else ""
    yield f"tasks {'any' if line['tasks'] is None else ', '.join(line['tasks'])}{port}"
    hints = ", ".join(line["hints"]) or "none"
    yield f"teacher {', '.join(line['teachers']) or 'none'}; hints {hints}"


def _lines_of_dataset(line: Json) -> Iterator[str]:
    yield f"task {line['task']}; shows {' and '.join(line['names'][: len(line['domains'])])}"
    yield f"licence: {line['licence']}"


def _lines_of_network(line: Json) -> Iterator[str]:
    yield f"{line['role']}; image sides are multiples of {line['multiple']}"


FACTS: Mapping[str, Callable[[Kind[Any], Declaration[Any]], Json]] = {
    METRIC.name: _of_metric,
    METHOD.name: _fields("port", "tasks", "teachers", "hints", "strength"),
    DATASET.name: _fields("task", "names", "domains", "licence", "size"),
    NETWORK.name: _fields("role", "multiple", "widths", "weights"),
    TASK.name: _fields("networks", "stages", "directions"),
}
LINES: Mapping[str, Callable[[Json], Iterator[str]]] = {
    METRIC.name: _lines_of_metric,
    METHOD.name: _lines_of_method,
    DATASET.name: _lines_of_dataset,
    NETWORK.name: _lines_of_network,
}


def _print_suites(as_json: bool) -> None:
    """Print the suites of the project: each is a question."""
    from bench.plan.shelf import suites
    from bench.plan.suite import load

    loaded = {name: load(path) for name, path in suites().items()}
    found = [
        {
            "suite": name,
            "question": suite.question,
            "datasets": list(suite.datasets),
            "methods": list(suite.methods),
            "file": str(suite.path),
        }
        for name, suite in loaded.items()
    ]
    if as_json:
        click.echo(json_text(found))
        return
    for line in found:
        click.echo(f"{line['suite']}  {line['question']}")
        click.echo(f"    data {', '.join(line['datasets'])}; methods {', '.join(line['methods'])}")
