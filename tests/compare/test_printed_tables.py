"""A table in a terminal keeps its numbers whole."""

from __future__ import annotations

import re
import sys

import pytest

from bench.cli.compare import show
from bench.contracts.report import Table

HEADER = (
    "Data",
    "Metric",
    "my_idea",
    "hinton",
    "Gain",
    "95 % interval",
    "± images",
    "n",
    "p (Holm)",
)
ROWS = (
    ("mine AtoB, unet, width 8", "SWD", "231.10", "230.31", "-0.79", "[-4.15, +2.60]", "1.16"),
    (
        "mine AtoB, unet, width 8",
        "SSIM",
        "0.0897",
        "0.0895",
        "+0.0002",
        "[+0.0001, +0.0003]",
        "0.0021",
    ),
)
TABLE = Table(
    "compare", "my_idea against hinton", "A gain is positive where it is better.", HEADER,
    [[(*row, "4", p) for row, p in zip(ROWS, ("0.7500", "0.1250"), strict=True)]],
)  # fmt: skip


@pytest.mark.parametrize("width", [80, 100])
def test_what_all_rows_have_alike_stands_above_a_table_that_is_too_wide(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    show(TABLE)
    said = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert "Data: mine AtoB, unet, width 8; n: 4" in said
    for row in TABLE.blocks[0]:
        (line,) = (line for line in said.splitlines() if f" {row[1]} " in line)
        assert line.split() == " ".join([*row[1:7], row[8]]).split()
    assert max(map(len, said.splitlines())) <= width


def test_a_table_that_fits_is_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "150")
    show(TABLE)
    said = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert said.count("mine AtoB, unet, width 8") == 2
    assert "n: 4" not in said
