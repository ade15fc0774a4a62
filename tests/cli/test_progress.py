"""What a run shows: at any width bars and times stay, and elsewhere lines are dated and rare."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console
from tiny import by_method, tiny_plan

from bench.cli import progress
from bench.cli.board import Board, Line, clock
from bench.cli.progress import Display
from bench.store.layout import Store

LOSSES = "gan 0.693  l1 12.3  perceptual 4.56  wkd.high 0.123  wkd.low 45.6"
COHORT = [
    Line("training  3/16 cells", 1234, 6400, "left 1:04:12"),
    Line("  gan_compression width 8 seed 0, photo_textures unet", 120, 400, "12:34", LOSSES),
    Line("  fesd-no-vgg width 8 seed 0, photo_textures unet", 120, 400, "12:34", LOSSES),
    Line("  wkd width 8 seed 0, photo_textures unet", 0, 0, "scoring"),
]


def drawn(lines: list[Line], width: int, height: int = 24) -> list[str]:
    """Return what a terminal of a size shows."""
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=width, height=height)
    console.print(Board(lines))
    return out.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bars_steps_and_times_are_there_at_every_width(width: int) -> None:
    shown = drawn(COHORT, width)
    assert len(shown) == len(COHORT)  # one line each: nothing is folded
    assert all(len(line) <= width for line in shown)
    for line, text in zip(COHORT[:3], shown, strict=False):
        assert text.count("━") >= 12 * line.done // line.total  # without colours the rest is blank
        assert f"{line.done}/{line.total}" in text
        assert line.time in text
    assert "scoring" in shown[3]
    assert [text.split()[0] for text in shown] == [
        "training",
        "gan_compression",
        "fesd-no-vgg",
        "wkd",
    ]


def test_losses_are_what_is_cut() -> None:
    assert "gan 0.693" in drawn(COHORT, 120)[1]
    assert "wkd.low" not in drawn(COHORT, 120)[1]
    assert "wkd.low 45.6" in drawn(COHORT, 200)[1]
    assert not any("gan 0.693" in line for line in drawn(COHORT, 80))


def test_cells_that_a_terminal_has_no_room_for_are_counted() -> None:
    shown = drawn([Line(f"cell {i}", 1, 2, "0:01") for i in range(30)], 80, height=12)
    assert len(shown) == 10
    assert shown[-1].strip() == "and 21 more"


def test_times_read_like_a_clock() -> None:
    seconds = (7, 59.6, 754, 12300, 2 * 86400 + 3 * 3600 + 25 * 60)
    assert [clock(s) for s in seconds] == ["0:07", "1:00", "12:34", "3:25:00", "2 d 03:25"]


def test_each_member_of_a_cohort_has_a_line_and_its_phase(tmp_path: Path) -> None:
    plan, store = tiny_plan(tmp_path), Store(tmp_path / "runs")
    display = Display(Console(file=io.StringIO(), force_terminal=True, width=120))
    display.follow(plan, store)
    cells = by_method(plan)
    for cell in cells.values():
        display.listen("phase", cell.key, {"phase": "training"})
    record = {"step": 2, "steps": 4, "losses": {"gan": 0.5}}
    display.listen("progress", cells["wkd"].key, record)
    lines = display._drawn().lines
    assert lines[0].name == "training  0/4 cells"  # three students and their teacher
    assert (lines[0].done, lines[0].total) == (2, 14)
    assert [line.name for line in lines[1:]] == [
        f"  {method} width 2 seed 0, photo_edges unet" for method in ("none", "hinton", "wkd")
    ]
    assert (lines[3].done, lines[3].total, lines[3].losses) == (2, 4, "gan 0.5")
    display.listen("ended", cells["wkd"].key, {"status": "done", "seconds": 1.0})
    display.listen("phase", cells["wkd"].key, {"phase": "scoring"})
    lines = display._drawn().lines
    assert lines[0].name.startswith("training and scoring  ")
    assert (lines[3].name.split()[0], lines[3].time) == ("wkd", "scoring")
    display.listen("scored", cells["wkd"].key, {})
    display.listen("ended", cells["none"].key, {"status": "diverged", "step": 1})
    lines = display._drawn().lines
    assert lines[0].name == "training  2/4 cells"
    assert lines[0].total == 10  # of one that diverged no more steps will come
    assert [line.name.split()[0] for line in lines[1:]] == ["hinton"]


def test_without_a_terminal_lines_are_dated_and_name_the_phase(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "NEWS_S", 0.04)
    out = io.StringIO()
    with Display(Console(file=out, width=80)) as display:
        display.enter("start-up: reading the suite")
        time.sleep(0.5)
        display.enter("measuring")
        time.sleep(0.5)
    said = out.getvalue().splitlines()
    assert len(said) == 2  # a phase is said once; the next line of it comes much later
    date = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  "
    assert re.fullmatch(date + "start-up: reading the suite  for 0:0[01]", said[0])
    assert re.fullmatch(date + "measuring  for 0:0[01]", said[1])


def test_what_ends_at_once_says_nothing_of_its_phases() -> None:
    out = io.StringIO()
    with Display(Console(file=out, width=80)) as display:
        display.enter("start-up: reading the suite")
    assert out.getvalue() == ""
