"""Writes what the reports make: tables, figures, and one page that needs nothing beside it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from jinja2 import Environment, FileSystemLoader

from bench import plugins, render
from bench.files import replacing
from bench.plan import Plan
from bench.report import Figure, Report, Rows, Table
from bench.rows import AXES, entry_rows, score_rows
from bench.store import Store, write_json

FORMATS = {"md": render.markdown, "tex": render.latex, "csv": render.comma_separated}
MOST, FEWEST = 200, 20  # points of a loss curve
POINTS = 200_000  # of one term's curves over all cells, as far as FEWEST allows
DRAWING: dict[Any, Any] = {
    "text.parse_math": False,  # a method may be called $x$
    "pdf.fonttype": 42,  # embedded as TrueType, which publishers ask for
    "font.size": 9,
}


def publish(plan: Plan, store: Store, out: Path) -> Path:
    """Write a suite's report; return the page.

    Writes `index.html`, `tables/*.{md,tex,csv}`, `figures/*.{pdf,png}`, `rows.csv` (every value)
    and `bundle.json` (suite, specs, outcomes, scores, provenance: what a second party needs to
    verify a table).

    Raises:
        ReportError: rows that cannot stand in one column.
        StoreError: a file cannot be written.
    """
    mpl.use("Agg")
    rows = collect(plan, store)
    items: list[dict[str, Any]] = []
    with mpl.rc_context(DRAWING):
        for item in _items(rows):
            items.append(_write_table(item, out) if isinstance(item, Table) else _draw(item, out))
    _write(out / "rows.csv", rows.scores.to_csv(index=False).encode())
    bundle = _bundle(plan, store)
    write_json(out / "bundle.json", bundle)
    page = out / "index.html"
    _write(page, _page(plan, rows, items, bundle["provenance"]).encode())
    return page


def collect(plan: Plan, store: Store) -> Rows:
    """Return all that reports know of a suite."""
    entries = pd.DataFrame(list(entry_rows(plan, store)))
    scores = pd.DataFrame(list(score_rows(plan, store)))
    is_result = scores["step"] == 0 if len(scores) else pd.Series(dtype=bool)
    parts = (entries, scores[is_result], scores[~is_result], _losses(entries, store))
    return Rows(plan.suite.name, plan.suite.question, *parts)


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


def _items(rows: Rows) -> Iterator[Table | Figure]:
    """Yield what every report makes, in the order of the page."""
    classes: list[type[Report]] = [
        plugins.load("report", name, "reports") for name in plugins.names("report")
    ]
    for cls in sorted(classes, key=lambda c: (c.order, c.__name__)):
        yield from cls().make(rows)


def _write_table(table: Table, out: Path) -> dict[str, Any]:
    for suffix, text in FORMATS.items():
        _write(out / "tables" / f"{table.name}.{suffix}", text(table).encode())
    return {"kind": "table", "table": table}


def _draw(figure: Figure, out: Path) -> dict[str, Any]:
    import matplotlib.pyplot as plt

    paths = {suffix: out / "figures" / f"{figure.name}.{suffix}" for suffix in ("pdf", "png")}
    for suffix, path in paths.items():
        dated = {"CreationDate": None} if suffix == "pdf" else {}
        with replacing(path) as file:
            figure.drawing.savefig(file, format=suffix, dpi=150, metadata=dated)
    plt.close(figure.drawing)
    picture = base64.b64encode(paths["png"].read_bytes()).decode()
    return {"kind": "figure", "figure": figure, "picture": picture}


def _bundle(plan: Plan, store: Store) -> dict[str, Any]:
    """Return everything that a table rests on."""
    cells = {
        key: {name: store.read(key, f"{name}.json") for name in ("spec", "end", "scores")}
        for key in plan.cells
    }
    ids = sorted({c["spec"].get("provenance", "") for c in cells.values()})
    records = {name: record for name in ids if (record := store.provenance(name))}
    return {
        "suite": json.loads(plan.suite.model_dump_json()),
        "question": plan.suite.question,
        "cells": cells,
        "provenance": records,
    }


def _page(plan: Plan, rows: Rows, items: list[dict[str, Any]], provenance: dict[str, Any]) -> str:
    folder = plugins.ROOT / "reports" / "templates"
    environment = Environment(loader=FileSystemLoader(folder), autoescape=True, trim_blocks=True)
    counts = rows.entries["status"].value_counts()
    return environment.get_template("index.html").render(
        suite=plan.suite,
        question=plan.suite.question,
        counts=counts.to_dict(),
        items=items,
        provenance=provenance,
        devices=sorted(set(rows.entries["device"]) - {""}),
    )


def _write(path: Path, data: bytes) -> None:
    with replacing(path) as file:
        file.write(data)
