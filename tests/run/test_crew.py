"""What a crew makes of nodes that die, refuse or are silent: on a Ray that answers as it is told."""

from __future__ import annotations

import sys
import time
import types
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny import tiny_plan, write_suite

from bench.cli.main import main
from bench.errors import DistillbenchError, StoreError
from bench.plugins import outside
from bench.run import crew
from bench.run.cluster import Cluster
from bench.run.crew import Crew
from bench.run.job import Job
from bench.run.on_node import Errand, Hand, News, sources_of
from bench.run.slot import places
from bench.run.travel import Freight

Answer = Any  # of an actor: a value, an exception, or SILENT
SILENT = object()


class RayError(Exception):
    """Of a node or an actor."""

    actor_init_failed = False


class Asked(list[Any]):
    """A call whose answer comes later: a list of one then."""

    __hash__ = object.__hash__  # type: ignore[assignment]
    __eq__ = object.__eq__


class Ray:
    """Nodes by name and room, and actors whose calls a test answers."""

    exceptions = types.SimpleNamespace(RayError=RayError)

    def __init__(self) -> None:
        self.room: dict[str, int] = {}
        self.actors: list[Actor] = []
        self.answers: dict[str, Callable[[], Answer]] = {
            "look": lambda: (crew.versions(), True),
            "begin": lambda: None,
            "hear": lambda: SILENT,
            "stop": lambda: None,
            "close": lambda: None,
        }

    def nodes(self) -> list[dict[str, Any]]:
        facts = {"Alive": True, "NodeManagerHostname": ""}
        return [
            {**facts, "NodeID": n, "NodeName": n, "Resources": {"CPU": count}}
            for n, count in self.room.items()
        ]

    def remote(self, hand: type) -> Ray:
        return types.SimpleNamespace(  # type: ignore[return-value]
            options=lambda **_: types.SimpleNamespace(remote=lambda errand: Actor(self, errand))
        )

    def wait(
        self, asked: list[Asked], num_returns: int = 1, timeout: float = 0.0
    ) -> tuple[list[Asked], list[Asked]]:
        time.sleep(0.001)
        return [one for one in asked if one], [one for one in asked if not one]

    def get(self, asked: Asked) -> Answer:
        if isinstance(asked[0], Exception):
            raise asked[0]
        return asked[0]

    def kill(self, actor: Actor) -> None:
        actor.is_killed = True


class Actor:
    def __init__(self, ray: Ray, errand: Any) -> None:
        self.ray, self.node, self.is_killed = ray, errand.node["name"], False
        self.heard: dict[str, list[Asked]] = defaultdict(list)
        ray.actors.append(self)

    def __getattr__(self, name: str) -> Any:
        def remote(*args: Any) -> Asked:
            answer = self.ray.answers[name]()
            asked = Asked([] if answer is SILENT else [answer])
            self.heard[name].append(asked)
            return asked

        return types.SimpleNamespace(remote=remote)

    def says(self, *events: tuple[str, str, Any], is_over: bool = False) -> None:
        self.heard["hear"][-1].append(News(list(events), Freight(), is_over))

    def dies(self) -> None:
        self.heard["hear"][-1].append(RayError("the node died"))


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Ray:
    found = Ray()
    strategies: Any = types.ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = lambda *args, **more: None
    monkeypatch.setitem(sys.modules, "ray", found)
    monkeypatch.setitem(sys.modules, "ray.util", types.ModuleType("ray.util"))
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)
    here = crew.versions()
    monkeypatch.setattr(crew, "versions", lambda: here)
    monkeypatch.setattr(crew, "LOOK_S", 0.01)
    monkeypatch.setattr(crew, "LEFT_S", 0.5)
    return found


@pytest.fixture
def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def start(ray: Ray, told: list[tuple[str, str]], tmp_path: Path) -> Iterator[Callable[..., Crew]]:
    """Return what opens a crew on nodes with so much room."""
    opened: list[Crew] = []

    def start(**room: int) -> Crew:
        ray.room.update(room)
        opened.append(
            Crew(
                Cluster("cpu", tmp_path / "runs"),
                lambda event, key, data: told.append((event, str(data.get("reason", data)))),
                9,
            )
        )
        return opened[-1]

    yield start
    for one in opened:
        one.close()
    assert not list((tmp_path / "runs").glob(".*"))


def job(action: Any = "train") -> Job:
    return Job(action, (), {}, (), (), Path("runs"), "cpu", 1, 30.0, "")


def ended(found: Crew, within_s: float = 0.3) -> list[Job]:
    until = time.monotonic() + within_s
    jobs: list[Job] = []
    while time.monotonic() < until and not jobs:
        jobs = found.wait()
    return jobs


def test_a_check_that_finds_something_ends(
    start: Callable[..., Crew], ray: Ray, told: list[tuple[str, str]]
) -> None:
    found, check = start(north=1, south=1), job("check")
    found.submit(check)
    assert ended(found) == []
    north, south = ray.actors
    north.says(("error", "", {"reason": "it lacks data"}))  # before it says that it is over
    assert ended(found) == []
    south.says(is_over=True)
    assert ended(found) == [check]
    assert [said for event, said in told if event == "error"] == ["node north: it lacks data."]
    assert north.is_killed
    assert found.idle() == 1


def test_a_check_is_not_waited_for_once_somebody_wants_to_stop(
    start: Callable[..., Crew], ray: Ray
) -> None:
    found, check = start(north=1), job("check")
    found.submit(check)
    assert ended(found) == []
    found.stop()
    assert ended(found) == [check]


@pytest.mark.parametrize("action", ["train", "measure"])
def test_a_cluster_without_nodes_is_not_waited_for_for_ever(
    start: Callable[..., Crew], ray: Ray, action: str
) -> None:
    found = start(north=1)
    found.submit(job(action))
    assert ended(found) == []
    ray.room.clear()
    ray.actors[0].dies()
    with pytest.raises(DistillbenchError, match="no node of the cluster is left"):
        ended(found, within_s=5)


def test_who_trains_on_a_node_that_takes_nobody_else_goes_on(
    start: Callable[..., Crew], ray: Ray
) -> None:
    found, jobs = start(north=3), [job() for _ in range(3)]
    for one in jobs:
        found.submit(one)
    assert ended(found) == []
    *others, last = ray.actors
    full = RayError("no space left")
    full.actor_init_failed = True
    ray.answers["look"] = lambda: full
    last.dies()
    assert ended(found) == []
    assert not any(actor.is_killed for actor in others)
    for actor in others:
        actor.says(is_over=True)
    done = [*ended(found), *ended(found)]
    assert all(any(one is other for other in done) for one in jobs[:2])
    ray.answers["look"] = lambda: (crew.versions(), True)
    ray.room["south"] = 1
    assert ended(found) == []
    assert ray.actors[-1].node == "south"
    ray.actors[-1].says(is_over=True)
    (again,) = ended(found)
    assert again is jobs[2]


def test_why_a_node_could_not_be_looked_through_is_said(
    start: Callable[..., Crew], ray: Ray, told: list[tuple[str, str]]
) -> None:
    raised = RayError("ray::Hand.begin() (pid=1)\nand a long traceback")
    raised.cause = StoreError("the store: read-only")  # type: ignore[attr-defined]
    ray.answers["begin"] = lambda: raised
    found, check = start(north=1), job("check")
    found.submit(check)
    assert ended(found) == [check]
    assert any("the store: read-only" in said for event, said in told if event == "note")
    with pytest.raises(DistillbenchError, match=r"node north: .*the store: read-only"):
        found.idle()
    assert len(ray.actors) == crew.ATTEMPTS


def test_attempts_are_those_of_one_job(
    start: Callable[..., Crew], ray: Ray, told: list[tuple[str, str]]
) -> None:
    found, one = start(north=1), job()
    for _ in range(crew.ATTEMPTS):  # the same id() each time, as of another job there
        found.submit(one)
        assert ended(found) == []
        ray.actors[-1].dies()
        assert ended(found) == []
        ray.actors[-1].says(is_over=True)
        assert ended(found) == [one]
    assert "died" not in [event for event, _ in told]
    found.submit(one)
    for _ in range(crew.ATTEMPTS):
        assert found.wait() == []
        assert ended(found) == []
        ray.actors[-1].dies()
    assert ended(found) == [one]
    assert [said for event, said in told if event == "died"] == [
        f"lost {crew.ATTEMPTS} nodes, at last: the node died"
    ]


def test_a_job_whose_worker_dies_below_its_actor_is_done_elsewhere(
    start: Callable[..., Crew], ray: Ray, told: list[tuple[str, str]]
) -> None:
    found, one = start(north=1), job()
    found.submit(one)
    assert ended(found) == []
    ray.actors[-1].says(("died", "", {"reason": "its worker died (SIGKILL)"}), is_over=True)
    assert ended(found) == []
    assert len(ray.actors) == 2
    ray.actors[-1].says(is_over=True)
    assert ended(found) == [one]
    assert [event for event, _ in told if event in ("died", "error")] == []
    assert any("lost (its worker died (SIGKILL))" in said for _, said in told)


def test_somebody_is_there_to_measure_where_no_cell_is_left(ray: Ray, tmp_path: Path) -> None:
    ray.room["north"] = 3
    found = Cluster("cpu", tmp_path / "runs").open(lambda *event: None, 0)
    assert found.idle() == 1
    found.close()


@pytest.mark.parametrize(
    ("there", "asked", "room"),
    [
        ({"CPU": 3, "GPU": 2}, {"CPU": 1, "GPU": 0.4}, 3),
        ({"CPU": 64, "GPU": 2}, {"CPU": 1, "GPU": 0.4}, 4),
        ({"CPU": 64, "GPU": 8}, {"CPU": 1, "GPU": 0.6}, 8),
        ({"CPU": 64, "GPU": 8}, {"CPU": 1, "GPU": 0.1}, 64),
        ({"CPU": 64, "GPU": 8}, {"CPU": 1, "GPU": 2}, 4),
        ({"CPU": 1}, {"CPU": 0.4, "GPU": 0}, 2),
        ({"CPU": 1}, {"CPU": 1, "GPU": 1}, 0),
    ],
)
def test_a_part_of_a_gpu_is_of_one_of_them(
    there: dict[str, float], asked: dict[str, float], room: int
) -> None:
    assert places(there, asked) == room


def test_a_node_keeps_of_what_it_trained_only_what_others_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = list(tiny_plan(tmp_path, methods={"none": {}, "at": {}}).cells.values())[1:]
    hand = Hand(
        Errand({"name": "north"}, outside.places(), 1, tmp_path / "runs", "nobody's", [], 0.0)
    )
    try:
        monkeypatch.setattr(hand, "_worker", types.SimpleNamespace(submit=lambda job: None))
        hand.begin(replace(job(), cells=(first,)), Freight(), {})
        for name in ("spec.json", "end.json", "checkpoint.safetensors", "resume.safetensors"):
            (hand.store.folder(first.key) / name).parent.mkdir(parents=True, exist_ok=True)
            (hand.store.folder(first.key) / name).write_text("{}")
        hand.begin(replace(job(), cells=(second,)), Freight(), {})
        kept = {path.name for path in hand.store.folder(first.key).iterdir()}
    finally:
        monkeypatch.undo()
        hand.close()
    assert kept == {"spec.json", "end.json", "checkpoint.safetensors"}


def test_a_plug_in_that_has_other_content_on_a_node_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(tmp_path, methods={"hinton": {}}, metrics=["psnr"])
    check = replace(job("check"), cells=tuple(plan.cells.values()), metrics=plan.metrics)
    here = sources_of(check)
    assert {"dataset photo_edges", "metric psnr"} <= here.keys()
    hand = Hand(
        Errand({"name": "north"}, outside.places(), 1, tmp_path / "runs", "nobody's", [], 0.0)
    )
    try:
        hand.begin(check, Freight(), here | {"metric psnr": "another"})
        (event,) = hand.hear().events
    finally:
        hand.close()
    assert event[0] == "error"
    assert event[2]["reason"] == (
        "its file of metric psnr has other content than that of the machine that asks"
    )
    assert not hand.store.root.exists()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["--address", "auto"], "are for --executor ray"),
        (["--num-gpus", "0"], "are for --executor ray"),
        (["--executor", "ray", "--device", "cuda:1"], "Ray chooses GPUs: say cuda"),
    ],
)
def test_options_that_contradict_are_refused_before_a_suite_is_read(
    asked: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "suite.yaml").write_text("name: of another kind")
    done = CliRunner().invoke(main, ["run", str(tmp_path / "suite.yaml"), *asked])
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--num-cpus", "0"),
        ("--num-cpus", "0.00001"),
        ("--num-cpus", "nan"),
        ("--num-cpus", "inf"),
        ("--num-gpus", "0.00001"),
        ("--num-gpus", "nan"),
        ("--num-gpus", "1.5"),
        ("--num-gpus", "-1"),
    ],
)
def test_a_part_of_a_node_that_ray_cannot_give_is_refused(
    option: str, value: str, tmp_path: Path
) -> None:
    asked = ["run", str(write_suite(tmp_path)), "--executor", "ray", option, value]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 2
    assert option in done.output
    assert "unexpected" not in done.output
