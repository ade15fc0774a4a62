"""Three nodes of a Ray cluster on this machine train what one process trains, to the same bits.

Every actor imports torch twice, its worker too: what needs no second node has none, and what needs
no cluster is asked in test_crew.py.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import Runs
from PIL import Image
from tiny import student_cells, tiny_plan

from bench.errors import DistillbenchError, Interrupted
from bench.plan.matrix import Plan
from bench.run import crew, walk
from bench.run.cluster import Cluster, connect
from bench.run.crew import Crew
from bench.run.machine import Machine
from bench.store.layout import Store
from bench.train import resume

ray = pytest.importorskip("ray")
from ray.cluster_utils import Cluster as Nodes  # noqa: E402

MEMORY = 80_000_000  # bytes of each node's object store
LONG = {"steps": 300, "batch": 2}
SLOW = """
import time
from pathlib import Path
from baselines.hinton import Hinton
class Slow(Hinton):
    "Goes slowly until a file says otherwise, so that there is a middle on any machine."
    def terms(self, student, teacher):
        if not Path(__file__).with_name("go").exists():
            Path(__file__).with_name("slow").touch()
            time.sleep(0.1)
        return super().terms(student, teacher)
"""


class Events:
    """What a run tells, and what to do when it tells something."""

    def __init__(self, then: Callable[[str, str, Mapping[str, Any]], None] | None = None) -> None:
        self.then, self.notes = then, list[str]()

    def __call__(self, event: str, key: str, data: Mapping[str, Any]) -> None:
        if event == "note":
            self.notes.append(data["text"])
        if self.then:
            self.then(event, key, data)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Where downloads lie: with a data set, and without."""
    full, bare = (tmp_path_factory.mktemp(name) for name in ("full", "bare"))
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 1), ("test", 2)):
        folder = full / "data" / "facades" / split
        folder.mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (32, 64, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return full, bare


@pytest.fixture(scope="module")
def nodes(homes: tuple[Path, Path]) -> Iterator[Any]:
    """A head without room for work, and two nodes with room for one cohort each.

    The first has a data set, the second has not.
    """
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # a socket's path is short
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Nodes()
        cluster.add_node(
            num_cpus=0, object_store_memory=MEMORY, temp_dir=folder, include_dashboard=False
        )
        for name, home in zip(("north", "south"), homes, strict=True):
            cluster.add_node(
                num_cpus=1,
                object_store_memory=MEMORY,
                node_name=name,
                env_vars={"DISTILLBENCH_HOME": str(home)},
            )
        with contextlib.chdir(homes[0]):
            connect(cluster.address)
        yield cluster
        ray.shutdown()
        cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def east(nodes: Any) -> Iterator[Any]:
    """A third node, which may be killed."""
    node = nodes.add_node(num_cpus=1, object_store_memory=MEMORY, node_name="east")
    yield node
    if node in nodes.worker_nodes:
        nodes.remove_node(node)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no node see the run's store, and checkpoints travel as soon as they can."""
    real = crew.Errand

    def errand(facts: Any, places: Any, threads: int, store: Path, *more: Any) -> Any:
        return real(facts, places, threads, store / "of another machine", *more)

    monkeypatch.setattr(crew, "Errand", errand)
    monkeypatch.setattr(crew, "CHECKPOINT_TRAVELS_S", 0.0)


def results(plan: Plan, store: Store) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the digest of each cell's weights, and its scores."""
    return {
        key: (
            store.read(key, "end.json")["weights"],
            {name: score["values"] for name, score in store.scores(key).items()},
        )
        for key in plan.cells
    }


def as_here(plan: Plan, folder: Path) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the results of this process."""
    store = Store(folder / "here")
    walk.run(plan, store, Machine(jobs=1), Events())
    return results(plan, store)


def slow_plan(folder: Path) -> Plan:
    """Return a plan of a student for each node, who wait for the file `go` in the middle."""
    (folder / "slow.py").write_text(SLOW)
    methods = {"slow": {"method": "slow:Slow"}}
    return tiny_plan(folder, methods=methods, seeds=[0, 1, 2], budget=LONG)


@pytest.mark.slow
@pytest.mark.parametrize("sight", ["near", "far"])
def test_nodes_end_with_the_bits_of_one_process(
    sight: str, nodes: Any, east: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if sight == "far":
        request.getfixturevalue("far")
    plan = tiny_plan(tmp_path, methods={"none": {}, "hinton": {}}, seeds=[0, 1])
    store = Store(tmp_path / "there")
    outcome = walk.run(plan, store, Cluster("cpu", store.root), Events())
    assert (outcome.trained, outcome.errors) == (5, [])
    assert results(plan, store) == as_here(plan, tmp_path)
    records = [store.provenance(store.read(key, "end.json")["provenance"]) for key in plan.cells]
    assert {record["node"]["name"] for record in records} <= {"north", "south", "east"}
    assert len({record["node"]["name"] for record in records}) > 1
    assert all("node" not in store.provenance(record["asked_by"]) for record in records)
    assert not list(store.root.glob(".*"))


class Killing(Events):
    """Kills a node in the middle of a student that it trains, then lets all go on."""

    def __init__(self, nodes: Any, node: Any, plan: Plan, store: Store, go: Path) -> None:
        super().__init__(self.kill)
        self.nodes, self.node, self.store, self.go = nodes, node, store, go
        self.students = {cell.key for cell in student_cells(plan)}
        self.cut, self.left = "", 0  # the cell, and the step where it was left
        self.steps = list[int]()  # of that cell, told since the loss of its node was

    def kill(self, event: str, key: str, data: Mapping[str, Any]) -> None:
        if event != "progress" or key not in self.students:
            return
        if key == self.cut and any(note.startswith("node east was lost") for note in self.notes):
            self.steps.append(data["step"])
        path = self.store.resume(key)
        if self.cut or not path.exists() or node_of(self.store, key) != "east":
            return
        self.left = resume.load(path, key)[1].step
        if self.left > 10:  # steps whose losses were told, and will not be again
            self.cut = key
            self.nodes.remove_node(self.node, allow_graceful=False)
            self.go.touch()


def node_of(store: Store, key: str) -> str:
    record = store.provenance(store.read(key, "spec.json")["provenance"])
    return str(record["node"]["name"])


@pytest.mark.parametrize("sight", ["near", "far"])
def test_what_a_dead_node_did_goes_on_elsewhere(
    sight: str, nodes: Any, east: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if sight == "far":
        request.getfixturevalue("far")
    plan, store = slow_plan(tmp_path), Store(tmp_path / "there")
    events = Killing(nodes, east, plan, store, tmp_path / "go")
    outcome = walk.run(plan, store, Cluster("cpu", store.root, checkpoint_s=0.0), events)
    assert outcome.errors == []
    assert (tmp_path / "slow").exists()
    assert min(events.steps) > events.left > 10  # it did not begin anew
    assert events.steps[-1] == LONG["steps"]
    assert results(plan, store) == as_here(plan, tmp_path)
    assert node_of(store, events.cut) in ("north", "south")


@pytest.mark.slow
def test_a_cohort_whose_nodes_die_again_and_again_fails(
    nodes: Any, east: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "ATTEMPTS", 1)
    plan, store = slow_plan(tmp_path), Store(tmp_path / "there")
    events = Killing(nodes, east, plan, store, tmp_path / "go")
    walk.run(plan, store, Cluster("cpu", store.root, checkpoint_s=0.0), events)
    assert "lost 1 node, at last: " in store.state(events.cut).reason
    others = set(plan.cells) - {events.cut}
    assert {store.state(key).status for key in others} == {"done"}


@pytest.mark.slow
def test_a_node_that_comes_later_gets_work(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "LOOK_S", 0.5)
    plan = tiny_plan(tmp_path, methods={"none": {}}, seeds=list(range(8)), budget=LONG)
    store = Store(tmp_path / "there")
    came: list[Any] = []

    def come(event: str, key: str, data: Mapping[str, Any]) -> None:
        if event == "progress" and not came:
            came.append(nodes.add_node(num_cpus=1, object_store_memory=MEMORY, node_name="late"))

    outcome = walk.run(plan, store, Cluster("cpu", store.root), Events(come))
    nodes.remove_node(came[0])
    assert outcome.trained == 8
    assert "late" in {node_of(store, key) for key in plan.cells}


@pytest.mark.slow
def test_a_node_of_another_version_and_one_too_small_are_refused(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(tmp_path, methods={"none": {}}, seeds=[0, 1])
    store = Store(tmp_path / "there")
    with pytest.raises(DistillbenchError, match="no node of the cluster has room"):
        walk.run(plan, store, Cluster("cpu", store.root, num_cpus=64), Events())
    here = crew.versions()
    monkeypatch.setattr(crew, "versions", lambda: here | {"torch": "0.1"})
    with pytest.raises(DistillbenchError) as error:
        walk.run(plan, store, Cluster("cpu", store.root), Events())
    lines = sorted(str(error.value).splitlines())
    assert [line.partition(":")[0] for line in lines] == ["node north", "node south"]
    assert all(f"torch {here['torch']}, not 0.1" in line for line in lines)


def test_a_node_without_the_data_is_named_before_anything_trains(
    nodes: Any, homes: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, bare = homes
    monkeypatch.setenv("DISTILLBENCH_HOME", str(full))
    plan = tiny_plan(tmp_path, datasets=["facades"], methods={"none": {}}, seeds=[0, 1])
    store = Store(tmp_path / "there")
    with pytest.raises(DistillbenchError) as error:
        walk.run(plan, store, Cluster("cpu", store.root), Events())
    (line,) = str(error.value).splitlines()
    assert line.startswith("node south: it lacks data set facades")
    assert str(bare) in line
    assert {store.state(key).status for key in plan.cells} == {"missing"}


@pytest.mark.slow
def test_nodes_look_for_no_module_in_the_present_folder(
    nodes: Any, homes: tuple[Path, Path]
) -> None:
    @ray.remote(resources={"node:" + ray.util.get_node_ip_address(): 0.001})
    def path() -> list[str]:
        return sys.path

    assert str(homes[0]) not in ray.get(path.remote())


@pytest.mark.usefixtures("far")
def test_an_interrupted_run_goes_on_here(nodes: Any, tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods={"none": {}}, budget=LONG)
    store = Store(tmp_path / "there")
    crews: list[Crew] = []

    class Stopped(Cluster):
        def open(self, emit: Any, cells: int) -> Crew:
            crews.append(super().open(emit, cells))
            return crews[0]

    def stop(event: str, key: str, data: Mapping[str, Any]) -> None:
        if event == "progress" and not crews[0]._stops:
            crews[0].stop()

    machine = Stopped("cpu", store.root)
    with pytest.raises(Interrupted):
        walk.run(plan, store, machine, Events(stop))
    (key,) = plan.cells
    assert store.resume(key).exists()
    assert store.state(key).status == "started"
    walk.run(plan, store, Machine(jobs=1), Events())
    assert results(plan, store) == as_here(plan, tmp_path)


@pytest.mark.slow
def test_without_a_cluster_it_says_how_to_start_one(tmp_path: Path) -> None:
    done = Runs(tmp_path)("run", "--executor", "ray", "--address", "127.0.0.1:1")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "--address 127.0.0.1:1" in line]
    assert "ray start --head" in line
