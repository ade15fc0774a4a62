"""The card of an export: `README.md` as model hubs read it, and what is known of licences."""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from bench.contracts.kinds import METRIC
from bench.contracts.network import OWN
from bench.contracts.width import said_width
from bench.export.settings import Settings
from bench.export.student import Student
from bench.plan.cell import Cell, Given
from bench.plan.matrix import Plan

Json = dict[str, Any]


def card(
    student: Student,
    settings: Settings,
    plan: Plan,
    scores: Sequence[Json],
    has_preview: bool,
    remarks: Sequence[str],
) -> str:
    """Return `README.md`: metadata as hubs read it (`model-index`), then text for people.

    Args:
        student: that leaves.
        settings: as in its `config.json`.
        plan: of its suite.
        scores: of this direction, those with values; each with its protocol.
        has_preview: whether `preview.png` lies beside it.
        remarks: in what it differs from what was scored.
    """
    head = yaml.safe_dump(
        metadata(student, settings, scores), sort_keys=False, allow_unicode=True, width=100
    )
    body = "\n\n".join(_sections(student, settings, plan, scores, has_preview, remarks))
    return f"---\n{head}---\n\n{body}\n"


def metadata(student: Student, settings: Settings, scores: Sequence[Json]) -> Json:
    """Return the head of the card, in the hubs' format; of scores, those of this very network.

    Those of its peers' mean, and of images made in another mode, are in the text alone.
    """
    results = [
        {
            "type": row["name"],
            "value": row["value"],
            "name": row["said"],
            "args": {"metric": row["metric"], "params": row["params"], **row["protocol"]},
        }
        for row in _rows(scores)
        if row["protocol"].get("mode", settings.mode) == settings.mode
        and (student.cell.peers == 1 or row["judges"] == "network")
    ]
    name = title(settings)
    data = {
        "type": settings.dataset,
        "name": settings.dataset,
        "split": "test",
        "revision": settings.fingerprint,
    }
    task = {"type": "image-to-image", "name": f"{settings.source} to {settings.target}"}
    index = [{"name": name, "results": [{"task": task, "dataset": data, "metrics": results}]}]
    return {
        "license": "other",
        "license_name": "see-license",
        "license_link": "LICENSE",
        "library_name": "distillbench",
        "pipeline_tag": "image-to-image",
        "tags": ["knowledge-distillation", "image-to-image", settings.network, settings.method],
        **({"model-index": index} if results else {}),
    }


def title(settings: Settings) -> str:
    """Return what the student is called."""
    width = said_width(settings.width)
    return f"{settings.dataset} {settings.network} width {width}, {settings.method}"


def licence(student: Student, plan: Plan, has_preview: bool) -> str:
    """Return what is known of the rights in an export."""
    data = student.cell.dataset.declared
    above = _from_elsewhere(student.cell, plan)
    shown = ", and the preview shows some of them" if has_preview else ""
    lines = [
        f"These weights were learnt from images of {student.entry.dataset}{shown}.",
        f"Licence of the images, as the data set states it: {data.licence or 'not stated'}.",
        *([f"Source: {data.source}."] if data.source else []),
        *([f"Their teacher was given, as {above.said}."] if above else []),
        "",
        "Weights derive from the images that they were learnt from, and from the teacher, if there",
        "was one: whoever passes them on should see that the licences of both allow it.",
        "",
        "The code that trained them, distillbench, is under the Apache License 2.0; this covers no",
        "weights.",
    ]
    return "\n".join(lines) + "\n"


def _sections(
    student: Student,
    settings: Settings,
    plan: Plan,
    scores: Sequence[Json],
    has_preview: bool,
    remarks: Sequence[str],
) -> Iterator[str]:
    yield f"# {_text(title(settings))}"
    sides = f"multiples of {settings.multiple}, from {settings.least} px on"
    yield (
        f"Translates images of {_text(settings.source)} to {_text(settings.target)}: "
        f"{settings.parameters:,} parameters, trained at {settings.size} x {settings.size} pixels. "
        f"Height and width have to be {sides}; `distillbench generate` pads others by reflection, "
        "and crops."
    )
    if has_preview:
        yield "![Test images: input, output, and ground truth where there is one](preview.png)"
    yield "## Use it"
    yield from _use(settings)
    yield "## Scores"
    yield from _table(list(_rows(scores)))
    yield "## Where it is from"
    yield "\n".join(f"- {line}" for line in _origin(student.cell, settings, plan))
    yield "## Limits"
    above = _from_elsewhere(student.cell, plan)
    learnt = f"It has learnt from {settings.dataset} alone; of other images nothing is known."
    if above:
        learnt = (
            f"It has learnt from {settings.dataset} and from a teacher that was given, as "
            f"{above.said}; what that one had learnt from, and what becomes of other images, is "
            "not known."
        )
    limits = [
        learnt,
        f"Scores hold for images resized to {settings.size} px ({settings.resize}), no others.",
        *remarks,
    ]
    yield "\n".join(f"- {_text(limit)}" for limit in limits)
    yield "Licences: see [LICENSE](LICENSE)."


def _use(settings: Settings) -> Iterator[str]:
    """Yield how images become inputs and outputs images, for each kind of file."""
    yield "    distillbench generate THIS_FOLDER PHOTOS --out TRANSLATED"
    yield (
        "Or in your own code: RGB images as float32, [N, 3, H, W], `x = pixel / 127.5 - 1`; of the "
        f"output, `pixel = (y + 1) * 127.5`, {settings.rounding} and cut to 0 to 255."
    )
    if "model.onnx" in settings.files:
        yield (
            "    import onnxruntime\n"
            '    session = onnxruntime.InferenceSession("model.onnx")\n'
            '    (translated,) = session.run(None, {"image": x})'
        )
    weights = [name for name in ("model.safetensors", "model.pth") if name in settings.files]
    if weights:
        whose = "distillbench" if settings.layout == OWN else f"the code of {settings.layout}"
        files = " and ".join(f"`{name}`" for name in weights)
        yield f"In {files} layers have the names that they have in {_text(whose)}."


def _table(rows: Sequence[Json]) -> Iterator[str]:
    """Yield the scores, and below them each protocol once."""
    lines = ["| metric | value | unit | better | protocol |", "|---|---:|---|---|---|"]
    protocols: list[str] = []
    for row in rows:
        asked = {**row["params"], **row["protocol"]}
        protocol = "; ".join(f"{name} {_said(value)}" for name, value in asked.items())
        if protocol not in protocols:
            protocols.append(protocol)
        value = row["value"]
        number = f"{value:.0f}" if float(value).is_integer() else f"{value:.6g}"
        cells = (row["said"], number, row["unit"], row["better"])
        place = f"({protocols.index(protocol) + 1})"
        lines.append("| " + " | ".join([*map(_text, cells), place]) + " |")
    yield "\n".join(lines) if rows else "None yet."
    yield "\n".join(f"({n}) {_text(said)}  " for n, said in enumerate(protocols, start=1))


def _origin(cell: Cell, settings: Settings, plan: Plan) -> list[str]:
    """Say by which suite, method, teacher and data a student came to be."""
    taught = _text(plan.recipe(cell))
    steps = ", ".join(str(budget.steps or f"{budget.epochs} epochs") for budget in cell.budgets)
    shared = ", of batches that all its seeds share" if cell.shared_batches else ""
    return [
        f"suite `{_code(settings.suite)}`{shared}, cell `{cell.key}`, seed {settings.seed}",
        f"method {_text(settings.method)} ({taught}), steps {steps}",
        f"teacher: {_teacher(cell, plan)}",
        f"network `{_code(settings.network)}`, width {said_width(settings.width)}",
        f"data `{_code(settings.dataset)}`, fingerprint `{settings.fingerprint}`",
    ]


def _teacher(cell: Cell, plan: Plan) -> str:
    """Return who taught a cell from the start: another cell, or a file."""
    if not cell.teacher:
        return "none that was trained before"
    above = plan.cells[cell.teacher]
    given = f", from {_text(above.given.said)}" if above.given else ""
    nets = f"`{_code(above.nets.architecture.name)}`, width {said_width(above.nets.width)}"
    return f"{nets}, cell `{cell.teacher}`{given}"


def _from_elsewhere(cell: Cell, plan: Plan) -> Given | None:
    """Return what was given in the place of a teacher's training, or of its own teacher's."""
    while cell.teacher:
        cell = plan.cells[cell.teacher]
        if cell.given:
            return cell.given
    return None


def _rows(scores: Sequence[Json]) -> Iterator[Json]:
    """Yield each finite value of the scores, with what a reader needs to know of it."""
    for score in scores:
        metric = METRIC.declaration(score["metric"], score["metric"]).says
        variant = f" ({score['variant']})" if score["variant"] else ""
        for name, value in score["values"].items():
            if math.isfinite(value):
                label = score.get("label") or metric.heading(score["params"]) or score["metric"]
                yield {
                    "metric": score["metric"],
                    "name": name + variant,
                    "said": label + ("" if name == score["metric"] else f": {name}") + variant,
                    "judges": metric.judges,
                    "value": value,
                    "unit": score["unit"],
                    "better": score["better"],
                    "params": _plain(score["params"]),
                    "protocol": _plain(score["protocol"]),
                }


def _plain(value: Mapping[str, Any]) -> Json:
    """Return a mapping as JSON has it, so that YAML has no tags of Python's."""
    found: Json = json.loads(json.dumps(value))
    return found


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(text: str) -> str:
    """Return a text as Markdown shows it as it is, on one line and in a table's cell."""
    flat = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", flat)


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")
