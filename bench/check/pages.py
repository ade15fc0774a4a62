"""What is asked of a report: answers, tables and figures that every format takes, or nothing."""

from __future__ import annotations

import functools
import io
import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from bench.check.question import Question, Unasked, require
from bench.check.small import small_plan, train_teachers, train_together
from bench.contracts.report import Answer, Figure, Rows, Table
from bench.evaluate.feed import evaluate
from bench.plugins.registry import Part
from bench.report.publish import FORMATS, collect
from bench.store.layout import Store

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")  # of files


def questions(part: Part[Any]) -> Iterator[Question]:
    """Yield what is asked of a suite's rows, and of none."""
    yield Question("it takes a suite of which nothing is trained", partial(_empty, part))
    yield Question("it takes a small suite", partial(_make, part))
    yield Question("rows are as wide as their header, names are of files", partial(_shape, part))
    yield Question("every format takes what it makes", partial(_formats, part))


@functools.cache
def small_rows(is_trained: bool) -> Rows:
    """Return the rows of two methods at two seeds, as a report gets them."""
    plan = small_plan(methods={"none": {}, "hinton": {}}, seeds=[0, 1])
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        if is_trained:
            train_teachers(plan, store)
            for entry in plan.entries:
                if entry.cell is not None:
                    train_together([entry.cell], plan, store)
                    evaluate(entry.cell, store, plan.metrics, torch.device("cpu"))
        return collect(plan, store)


def _made(part: Part[Any], is_trained: bool) -> list[Table | Figure | Answer]:
    found = list(part.load()(part.params).make(small_rows(is_trained)))
    for item in found:
        is_one = isinstance(item, (Table, Figure, Answer))
        require(is_one, f"it yields a {type(item).__name__}: no Table, Figure or Answer.")
    return found


def _drawn(part: Part[Any]) -> list[Table | Figure]:
    """Return what a report makes files of."""
    return [item for item in _made(part, is_trained=True) if not isinstance(item, Answer)]


def _empty(part: Part[Any]) -> None:
    _made(part, is_trained=False)


def _make(part: Part[Any]) -> None:
    if not _made(part, is_trained=True):
        raise Unasked("it has nothing to say of two methods at two seeds.")


def _shape(part: Part[Any]) -> None:
    names = [(type(item), item.name) for item in _drawn(part)]
    require(len(set(names)) == len(names), "two of its tables or figures have one name.")
    for item in _drawn(part):
        require(bool(NAME.fullmatch(item.name)), f"{item.name!r} is no file name.")
        require(bool(item.title and item.caption), f"{item.name} has no title, or no caption.")
        if isinstance(item, Table):
            widths = {len(row) for block in item.blocks for row in block}
            wide = len(item.header)
            require(widths <= {wide}, f"{item.name}: rows of {widths} cells, a header of {wide}.")


def _formats(part: Part[Any]) -> None:
    for item in _drawn(part):
        if isinstance(item, Table):
            for write in FORMATS.values():
                write(item)
        else:
            item.drawing.savefig(io.BytesIO(), format="png")
