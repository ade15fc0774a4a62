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
from bench.cli.board import Board, Line, brief, clock
from bench.cli.progress import Display
from bench.store.layout import Store

LOSSES = "gan 0.693  l1 12.3  perceptual 4.56  wkd.high 0.123  wkd.low 45.6"
PLACE = {"mark": " width 8 seed 0", "short": " w8 s0", "rest": ", photo_textures unet"}
COHORT = [
    Line("training", 1234, 6400, "left 1:04:12", mark="  3/16 cells", short=" 3/16"),
    Line("  gan_compression", 120, 400, "12:34", LOSSES, **PLACE),
    Line("  fesd-no-vgg", 120, 400, "12:34", LOSSES, **PLACE),
    Line("  wkd", 0, 0, "scoring", **PLACE),
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
    first = [text.split()[0].rstrip("…") for text in shown]
    assert all(line.name.strip().startswith(text) for line, text in zip(COHORT, first, strict=True))
    assert [text for text in first if len(text) < 3] == []


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_long_counts_leave_what_tells_lines_apart(width: int) -> None:
    standing = Line(
        "training and scoring",
        1_234_567,
        28_000_000,
        "left 2 d 03:25",
        mark="  13/140 cells",
        short=" 13/140",
    )
    members = [
        Line(
            "  gan_compression",
            150_000,
            200_000,
            "3:25:00",
            mark=f" width 16 seed {seed}",
            short=f" w16 s{seed}",
            rest=", horse2zebra mobile_resnet9",
        )
        for seed in range(3)
    ]
    shown = drawn([standing, *members], width)
    assert all(len(line) <= width for line in shown)
    assert " 13/140" in shown[0]
    assert "1.23M/28.0M" in shown[0]
    assert "left 2 d 03:25" in shown[0]
    for seed, line in enumerate(shown[1:]):
        assert re.search(rf" (width 16 seed |w16 s){seed}\b", line)
        assert "150k/200k" in line
        assert "3:25:00" in line


def test_counts_are_brief_and_never_rounded_up() -> None:
    counts = (9_999, 12_345, 199_999, 999_999, 1_000_000, 28_000_000)
    assert [brief(n) for n in counts] == ["9999", "12.3k", "199k", "999k", "1.00M", "28.0M"]


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
    assert lines[0].text == "training  0/4 cells"  # three students and their teacher
    assert (lines[0].done, lines[0].total) == (2, 14)
    assert [line.text for line in lines[1:]] == [
        f"  {method} width 2 seed 0, photo_edges unet" for method in ("none", "hinton", "wkd")
    ]
    assert (lines[3].done, lines[3].total, lines[3].losses) == (2, 4, "gan 0.5")
    display.listen("ended", cells["wkd"].key, {"status": "done", "seconds": 1.0})
    display.listen("phase", cells["wkd"].key, {"phase": "scoring"})
    lines = display._drawn().lines
    assert lines[0].text.startswith("training and scoring  ")
    assert (lines[3].name.split()[0], lines[3].time) == ("wkd", "scoring")
    display.listen("scored", cells["wkd"].key, {})
    display.listen("ended", cells["none"].key, {"status": "diverged", "step": 1})
    lines = display._drawn().lines
    assert lines[0].text == "training  2/4 cells"
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
