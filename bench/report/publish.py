"""Writes what the reports make: tables, figures, and one page that needs nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
import pandas as pd
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from bench.contracts import shared_batches
from bench.contracts.kinds import REPORT
from bench.contracts.report import Answer, Figure, Note, Rows, Table, tally
from bench.contracts.verdict import NOT_TRAINED
from bench.errors import ReportError
from bench.plan.display_names import labels_of
from bench.plan.matrix import Plan
from bench.plan.suite import Suite
from bench.plan.suite_rows import reports_of
from bench.plugins.source import ROOT
from bench.report import latex, render
from bench.report.rows import AXES, entry_rows, reference_rows, score_rows
from bench.report.shown import chosen, labelled
from bench.store.atomic import replacing
from bench.store.layout import Store, read_json, write_json
from bench.store.lineage import caveat, changed_teachers

Json = dict[str, Any]

FORMATS = {
    "md": render.markdown,
    "tex": latex.latex,
    "csv": render.comma_separated,
    "notes.tex": latex.latex_notes,
}
MOST, FEWEST = 200, 20  # points of a loss curve
SHORT = 60  # letters of a note that is said again rather than referred to
POINTS = 200_000  # of one term's curves over all cells, as far as FEWEST allows
SAVED: dict[str, Json] = {
    "pdf": {"metadata": {"CreationDate": None}},
    "png": {"pil_kwargs": {"compress_level": 3}},  # of 9: half of the time, a quarter more bytes
}
DRAWING: dict[Any, Any] = {
    "text.parse_math": False,  # a method may be called $x$
    "pdf.fonttype": 42,  # embedded as TrueType, which publishers ask for
    "font.size": 9,
}


def publish(
    plan: Plan,
    store: Store,
    out: Path,
    tracking: str = "",
    runs: Mapping[str, str] = MappingProxyType({}),
    metrics: Sequence[str] = (),
) -> Path:
    """Write a suite's report; return the page.

    Writes `index.html`, `answers.md`, `tables/*.{md,tex,csv}`, `figures/*.{pdf,png,tex}`, what both
    rest on as `*.notes.tex`, `rows.csv` (every value) and `bundle.json` (suite, specs, outcomes,
    scores, provenance, and the sha256 of the other files: what a second party needs to verify a
    table). Tables and figures of an earlier report of the folder that this one lacks are removed.

    Args:
        plan: what the suite asks for.
        store: where the results are.
        out: the folder to write to.
        tracking: where the page says that MLflow's copy is: an address, or a command.
        runs: key of a cell -> address of its run, to which the page links.
        metrics: what tables and figures show, in this order; none: every metric of the suite.

    Raises:
        ReportError: rows that cannot stand in one column, a metric without a score, nothing has
            been run.
        StoreError: a file cannot be written.
    """
    mpl.use("Agg")
    found = collect(plan, store)
    if set(found.entries["status"]) <= {"missing", "skipped"}:
        raise ReportError(
            f"{plan.suite.name}: nothing has been run in {store.root}, so there is nothing to "
            f"report: `distillbench run {plan.suite.path} --store {store.root}` comes first."
        )
    rows = labelled(chosen(found, metrics), labels_of(plan.suite))
    folder = _Folder(out)
    answers: list[Answer] = []
    items: list[Json] = []
    with mpl.rc_context(DRAWING):
        for item in _items(plan.suite, rows):
            if isinstance(item, Answer):
                answers.append(item)
            elif isinstance(item, Table):
                items.append(_table(item, folder))
            else:
                items.append(_figure(item, folder))
    folder.write("answers.md", render.answers(answers).encode())
    folder.write("rows.csv", _every(found).map(render.defused).to_csv(index=False).encode())
    bundle = _bundle(plan, store)
    page = _page(plan, rows, answers, items, bundle["provenance"], tracking, runs)
    folder.write("index.html", page.encode())
    folder.clear()
    write_json(out / "bundle.json", bundle | {"files": folder.files})
    return out / "index.html"


class _Folder:
    """The folder of a report, and the sha256 of what was written to it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, str] = {}

    def write(self, name: str, data: bytes) -> None:
        if name in self.files:
            raise ReportError(f"{name}: two reports make it; give yours another name.")
        with replacing(self.root / name) as file:
            file.write(data)
        self.files[name] = hashlib.sha256(data).hexdigest()

    def clear(self) -> None:
        """Remove what an earlier report wrote here and this one did not, if it is as it was."""
        before: dict[str, str] = read_json(self.root / "bundle.json").get("files", {})
        for name in before.keys() - self.files.keys():
            path = self.root / name
            if not re.fullmatch(r"(tables|figures)/[^/]+", name) or not path.is_file():
                continue
            if hashlib.sha256(path.read_bytes()).hexdigest() == before[name]:
                path.unlink()


def collect(plan: Plan, store: Store) -> Rows:
    """Return all that reports know of a suite."""
    changed = changed_teachers(store, plan.every_cell)
    entries = pd.DataFrame(list(entry_rows(plan, store, changed)))
    scores = pd.DataFrame(list(score_rows(plan, store)))
    is_result = scores["step"] == 0 if len(scores) else pd.Series(dtype=bool)
    counts = ~_says_nothing(scores)
    return Rows(
        plan.suite.name,
        plan.suite.question,
        entries,
        scores[is_result & counts],
        scores[~is_result & counts],
        _losses(entries, store),
        references=pd.DataFrame(list(reference_rows(plan, store))),
        untrained=scores[is_result & ~counts],
        caveats=[
            *([shared_batches.SAID] if plan.suite.batches == "shared" else []),
            *([caveat(list(changed))] if changed else []),
        ],
    )


def _every(rows: Rows) -> pd.DataFrame:
    """Return every score, in the order of the matrix; real images beside samples come last."""
    return pd.concat([pd.concat([rows.scores, rows.untrained]).sort_index(), rows.references])


def _says_nothing(scores: pd.DataFrame) -> pd.Series[bool]:
    """Return which scores are of the images of a student that did not train."""
    if scores.empty:
        return pd.Series(dtype=bool)
    return (scores["status"] == NOT_TRAINED) & (scores["judges"] == "images")


def _losses(entries: pd.DataFrame, store: Store) -> pd.DataFrame:
    """Return one row per value of the loss logs; a large matrix has fewer points per curve."""
    points = max(FEWEST, min(MOST, POINTS // len(entries)))
    places: list[int] = []
    found: dict[str, list[Any]] = {"step": [], "term": [], "value": []}
    for place, key in enumerate(entries["key"]):
        for record in store.losses(key, points) if key else ():
            terms = record["losses"]
            places += [place] * len(terms)
            found["step"] += [record["step"]] * len(terms)
            found["term"] += terms
            found["value"] += terms.values()
    return entries[list(AXES)].iloc[places].reset_index(drop=True).assign(**found)


def _items(suite: Suite, rows: Rows) -> Iterator[Table | Figure | Answer]:
    """Yield what a suite's reports make, in the order of the page, each with the caveats."""
    ours = {n: REPORT.part(n, {}, "reports") for n in REPORT.names() if REPORT.is_ours(n)}
    made = [part.load()(part.params) for part in (ours | reports_of(suite)).values()]
    for report in sorted(made, key=lambda r: (r.order, type(r).__name__)):
        for item in report.make(rows):
            if rows.caveats and not isinstance(item, Answer):
                item = replace(item, notes=[*item.notes, *rows.caveats])
            yield item
    if rows.caveats:
        yield Answer("All numbers", " ".join(rows.caveats))


def _table(table: Table, folder: _Folder) -> Json:
    """Write a table in every format; return what the page shows of it."""
    whole = render.without_empty(table)
    files = [f"tables/{table.name}.{suffix}" for suffix in FORMATS]
    for name, text in zip(files, FORMATS.values(), strict=True):
        folder.write(name, text(whole).encode())
    return {
        "id": f"table-{table.name}",
        "title": table.title,
        "table": whole,
        "rows": render.filled(whole),
        "notes": table.notes,
        "files": files,
    }


def _figure(figure: Figure, folder: _Folder) -> Json:
    """Write a figure in every format; return what the page shows of it."""
    import matplotlib.pyplot as plt

    drawn = {}
    for suffix, options in SAVED.items():
        file = io.BytesIO()
        figure.drawing.savefig(file, format=suffix, dpi=150, **options)
        figure.drawing.set_layout_engine("none")  # it is laid out; the second time costs as much
        drawn[suffix] = file.getvalue()
    plt.close(figure.drawing)
    drawn["tex"] = latex.latex_figure(figure).encode()
    drawn["notes.tex"] = latex.latex_notes(figure).encode()
    for suffix, data in drawn.items():
        folder.write(f"figures/{figure.name}.{suffix}", data)
    return {
        "id": f"figure-{figure.name}",
        "title": figure.title,
        "figure": figure,
        "picture": "" if figure.frames else _base64(drawn["png"]),
        "frames": [
            (heading, [_base64(path.read_bytes()) for path in paths])
            for heading, paths in figure.frames
        ],
        "notes": figure.notes,
        "files": [f"figures/{figure.name}.{suffix}" for suffix in drawn],
    }


def _sections(items: list[Json]) -> list[list[Json]]:
    """Return the items by title, in order: a table and a figure of one title share a heading."""
    found: dict[str, list[Json]] = {}
    for item in items:
        found.setdefault(item["title"], []).append(item)
    return list(found.values())


def _noted(items: list[Json]) -> list[Json]:
    """Return the items with numbered notes; what one has said, later ones refer to."""
    known: dict[str, int] = {}
    for item in items:
        notes = []
        for note in item["notes"]:
            said = note.said if isinstance(note, Note) else note
            about = f"{note.about}: " if isinstance(note, Note) else ""
            is_new = said not in known
            number = known.setdefault(said, len(known) + 1)
            is_told = is_new or len(said) < SHORT
            told = {"about": about, "said": said, "is_told": is_told}
            notes.append({**told, "number": number, "is_new": is_new})
        item["notes"] = notes
    return items


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bundle(plan: Plan, store: Store) -> Json:
    """Return everything that a table rests on."""
    cells = {
        key: {name: store.read(key, f"{name}.json") for name in ("spec", "end", "scores")}
        for key in plan.every_cell
    }
    ids = sorted({c["spec"].get("provenance", "") for c in cells.values()})
    records = {name: record for name in ids if (record := store.provenance(name))}
    return {
        "suite": plan.suite.told,
        "question": plan.suite.question,
        "cells": cells,
        "provenance": records,
    }


def _page(
    plan: Plan,
    rows: Rows,
    answers: list[Answer],
    items: list[Json],
    provenance: Json,
    tracking: str,
    runs: Mapping[str, str],
) -> str:
    """Return a page that needs nothing beside it, and may load and run nothing else."""
    folder = ROOT / "reports" / "templates"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, trim_blocks=True)
    environment.filters["csp"] = _csp
    return environment.get_template("index.html").render(
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own
        script=Markup((folder / "page.js").read_text(encoding="utf-8")),  # noqa: S704
        suite=plan.suite,
        question=plan.suite.question,
        counts=tally(rows),
        answers=answers,
        sections=_sections(_noted(items)),
        axes=_axes(plan),
        provenance=provenance,
        devices=sorted(set(rows.entries["device"]) - {""}),
        tracking=tracking,
        runs=runs,
    )


def _axes(plan: Plan) -> dict[str, str]:
    """Return axis -> its names, each with its label where it has one."""
    found = {}
    for axis, labels in labels_of(plan.suite).items():
        names = getattr(plan.suite, f"{axis}s")
        said = (f"{labels[name]} ({name})" if name in labels else name for name in names)
        found[axis] = ", ".join(said)
    return found


def _csp(text: str) -> str:
    """Return a source of a content security policy that allows this text and no other."""
    return f"sha256-{_base64(hashlib.sha256(text.encode()).digest())}"
