"""Every suite file: it states its protocol, is planned without its data, and trains."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny import train_teachers, train_together

from bench import plugins
from bench.expand import expand
from bench.plan import cohorts
from bench.preflight import check
from bench.store import Store
from bench.suite import load

pytestmark = pytest.mark.usefixtures("vgg16")  # some methods compare features of VGG-16

SUITES = sorted((plugins.ROOT / "suites").glob("*.yaml"))
TINY = ["size=32", "widths=[2]", "teacher.width=4", "seeds=[0]", "budget.steps=5"]


@pytest.fixture(params=SUITES, ids=[path.stem for path in SUITES])
def path(request: pytest.FixtureRequest) -> Path:
    """A suite file."""
    found: Path = request.param
    return found


def test_a_suite_asks_a_question_and_is_planned_without_its_data(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path))
    suite = load(path)
    assert suite.name == path.stem
    assert "?" in suite.question
    absent: dict[str, str] = {}
    plan = expand(suite, absent=absent)
    assert not [entry for entry in plan.students if entry.cell is None]
    assert set(absent) <= set(suite.datasets)


def test_a_suite_of_a_paper_has_its_protocol(path: Path) -> None:
    if not path.stem.startswith(("wkd", "fesd")):
        pytest.skip("not of a paper")
    lines = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert "# Protocol of the paper:" in "\n".join(lines)
    suite = load(path)
    assert suite.size in (None, 256)
    assert len(suite.seeds) == 8 or suite.name == "fesd_table7_latency"


def test_a_suite_trains_on_photographs_in_place_of_its_data(path: Path, tmp_path: Path) -> None:
    """All its methods, five steps, tiny networks: whatever a real run would refuse or break."""
    suite = load(path)
    tasks = {plugins.declared("dataset", name, str(path))["task"] for name in suite.datasets}
    stand_in = {"paired": "photo_edges", "unpaired": "grass2brick"}
    sets = [*TINY, f"datasets=[{', '.join(stand_in[task] for task in sorted(tasks))}]"]
    sets += [
        "discriminator_widths=[2, 3]"
        if len(suite.discriminator_widths) > 1
        else "discriminator_widths=[2]"
    ]
    sets += ["task.lambda_vgg=0"] * ("pix2pixhd" in suite.architectures)
    sets += ["snapshots.times=2"] * bool(suite.snapshots)
    plan = expand(load(path, sets))
    check(plan.cells.values(), plan.cells, print)
    store = Store(tmp_path / "runs")
    train_teachers(plan, store)
    for cells in cohorts(entry.cell for entry in plan.students if entry.cell):
        train_together(cells, plan, store)
    ended = {str(entry): store.state(entry.cell.key) for entry in plan.students if entry.cell}
    assert {state.status for state in ended.values()} == {"done"}, ended
