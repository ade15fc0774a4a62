"""What the methods cost: seven in one cohort against each alone, and every one's terms per step.

The whole matrix at one seed should cost little more than its students. `-k tiny` is a quick look at
whether everything runs; its numbers mean nothing. A method whose pretrained networks are not on
this machine runs without the terms that need them, which the table says; one that cannot run at
all is shown with the reason.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from bench_cohort import link_teachers, timed
from tiny import by_method, tiny_plan, train_teachers

from bench.contracts.distiller import Trace
from bench.contracts.kinds import METHOD
from bench.errors import DistillbenchError
from bench.evaluate.costs import count_network
from bench.fetch import weights
from bench.plan.cell import Nets
from bench.plan.matrix import Plan, cohorts
from bench.run.preflight import check
from bench.store.layout import Store
from bench.train.batches import Batches
from bench.train.learner import Learner
from bench.train.loop import open_teacher

CPU = torch.device("cpu")
COHORT = ("none", "hinton", "at", "gan_compression", "wkd", "fesd", "pca_kd", "sd")
ROUNDS = 3  # of the cohort against each alone
STEPS, WARMUP = 12, 3  # of each method in turn
LOOK = 4  # batches that a method sees before its first step

FULL: dict[str, Any] = {
    "architectures": ["resnet9"],
    "widths": [16],
    "discriminator_widths": [64],
    "size": 128,
    "teacher": {"width": 64, "budget": {"steps": 1}},
    "budget": {"steps": 8, "batch": 1},
}
TINY: dict[str, Any] = FULL | {
    "widths": [2],
    "discriminator_widths": [2],
    "size": 32,
    "teacher": {"width": 4, "budget": {"steps": 1}},
    "budget": {"steps": 3, "batch": 1},
}
SCALES = [
    pytest.param(FULL, ROUNDS, STEPS, id="full"),
    pytest.param(TINY, 1, 3, id="tiny"),
]


def methods_here(folder: Path, config: Mapping[str, Any]) -> tuple[Plan, dict[str, str]]:
    """Return a plan of all methods that can run, and a remark on those that cannot, or not whole."""
    rows: dict[str, Any] = {"none": {}}
    remarks = {}
    for name in METHOD.names():
        try:
            off = needing_weights(name)
            row = dict.fromkeys(off, 0.0)
            if off:
                remarks[name] = f"without {', '.join(off)}: pretrained weights are not here"
            plan = tiny_plan(folder, **config, methods={"none": {}, name: row})
            check(plan.cells.values(), plan.cells, print)
            rows[name] = row
        except DistillbenchError as error:
            remarks[name] = str(error)
    return tiny_plan(folder, **config, methods=rows), remarks


def needing_weights(name: str) -> list[str]:
    """Return the weights of a method's terms that need pretrained networks which are not here."""
    defaults = METHOD.declaration(name, name).fields["defaults"]

    def lacks(params: Mapping[str, Any]) -> bool:
        return any(not is_here(w) for w in METHOD.load(name, name)(params).weights)

    if not lacks(defaults):
        return []
    zeros = {n: 0.0 for n, value in defaults.items() if isinstance(value, float)}
    return [n for n in zeros if lacks({**defaults, **zeros, n: defaults[n]})]


def is_here(network: str) -> bool:
    try:
        weights.find(network)
    except DistillbenchError:
        return False
    return True


def macs(learners: Mapping[str, Learner], size: int) -> tuple[float, float]:
    """Return the MACs of a step of all methods in a cohort and of each alone, summed.

    Forward and backward passes of the players, a backward pass at twice the forward, and the
    passes of frozen teachers. The methods' own terms are not counted: it is a floor.
    """

    def made(nets: Nets) -> float:
        return count_network(nets.architecture.name, nets.width, size, 3).macs

    def judged(nets: Nets) -> float:
        return count_network(nets.discriminator.name, nets.discriminator_width, size, 6).macs

    played, passes, teachers = 0.0, 0.0, {}
    for learner in learners.values():
        for player in learner.players:
            judging = 8 * judged(player.nets) if player.discriminators else 0.0  # both turns
            played += 3 * made(player.nets) + judging
        if learner.teacher:
            teachers[learner.cell.teacher] = made(learner.teacher.nets)
            passes += teachers[learner.cell.teacher]
    return played + sum(teachers.values()), played + passes


@pytest.fixture(autouse=True)
def _short_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a method look at four batches before the first step: a step is what is measured."""
    whole = Learner.prepare

    def prepare(
        self: Learner, inputs: Mapping[str, Callable[[], Iterator[Any]]], _prepared: object = None
    ) -> None:
        whole(self, {d: lambda run=run: islice(run(), LOOK) for d, run in inputs.items()})

    monkeypatch.setattr(Learner, "prepare", prepare)


@pytest.mark.parametrize(("config", "rounds", "steps"), SCALES)
def bench_methods(
    benchmark: Any, tmp_path: Path, config: dict[str, Any], rounds: int, steps: int
) -> None:
    """The seven methods and the control on Pix2Pix in one cohort; every method term by term."""
    plan, remarks = methods_here(tmp_path, config)
    cells = {name: cell for name, cell in by_method(plan).items() if name in COHORT}
    shared = Store(tmp_path / "teachers")
    train_teachers(plan, shared)
    learners = opened(plan, shared)
    together, alone = [], {name: [] for name in cells}

    def run() -> None:
        for number in range(rounds):
            stores = [Store(tmp_path / f"{kind}{number}") for kind in ("together", "alone")]
            for store in stores:
                link_teachers(plan, tmp_path, store)
            (cohort,) = cohorts(cells.values())
            together.append(timed(cohort, plan, stores[0]))
            for name, cell in cells.items():
                alone[name].append(timed([cell], plan, stores[1]))

    benchmark.pedantic(run, rounds=1)
    costs = step_costs(learners, steps)
    ratios = [t / sum(alone[n][i] for n in alone) for i, t in enumerate(together)]
    floor, separate = macs({name: learners[name] for name in cells}, config["size"])
    students = sum(alone["none"]) * len(alone) / rounds
    benchmark.extra_info |= {
        "methods": len(cells),
        "ours_over_peer": {"together": round(statistics.median(ratios), 3)},
        "ratios": [round(ratio, 3) for ratio in ratios],
        "macs_predict": round(floor / separate, 3),
        "of_its_students": round(statistics.median(together) / students, 3),
        "costs": costs,
        "remarks": remarks,
    }
    show(costs, alone, config["budget"]["steps"], benchmark.extra_info, remarks)


def opened(plan: Plan, store: Store) -> dict[str, Learner]:
    """Return every method's learner with its trained teacher, ready for the first step."""
    learners = {}
    for name, cell in by_method(plan).items():
        teacher = open_teacher(plan.cells[cell.teacher], store, CPU) if cell.teacher else None
        learners[name] = Learner(cell, CPU, teacher)
    return learners


def step_costs(learners: Mapping[str, Learner], steps: int) -> dict[str, dict[str, float]]:
    """Return milliseconds per method, all measured step by step in turn.

    `step` is a whole step without a frozen teacher's pass; `terms` are the method's own terms of
    one direction, forward and backward up to the hints and images; `look` is what it does before
    training, per batch of training inputs.
    """
    cell = learners["none"].cell
    batches = Batches(cell, learners["none"].task)
    found: dict[str, dict[str, list[float]]] = {}
    for name, learner in learners.items():
        looks = {
            d: lambda: ((batches[i]["A"],) for i in range(LOOK)) for d in learner.task.directions
        }
        seconds = clocked(lambda learner=learner, looks=looks: learner.prepare(looks))
        found[name] = {"step": [], "terms": [], "look": [seconds / LOOK]}
    for step in range(WARMUP + steps):
        batch = batches[step]
        for name, learner in learners.items():
            taught = taught_by(learner, batch)
            costs = found[name]
            costs["terms"].append(clocked(own_terms(learner, batch, taught)))
            given = taught if learner.teacher else None
            costs["step"].append(
                clocked(lambda: learner.update(step, 2e-4, batch, given))  # noqa: B023 - called here
            )
    return {
        name: {
            "step": 1e3 * statistics.median(costs["step"][WARMUP:]),
            "terms": 1e3 * statistics.median(costs["terms"][WARMUP:]),
            "look": 1e3 * costs["look"][0],
        }
        for name, costs in found.items()
    }


def taught_by(learner: Learner, batch: Any) -> dict[str, Trace]:
    """Return what a method's teacher, frozen or not, makes of a batch."""
    above = learner.teacher or learner.mentor
    if above is None:
        return {}
    with torch.no_grad():
        return above.forward(batch, learner.hints)


def own_terms(learner: Learner, batch: Any, taught: Mapping[str, Trace]) -> Callable[[], None]:
    """Return a run through a method's terms, forward and backward to the student's trace."""
    if not taught:
        return lambda: None
    with torch.no_grad():
        traces = learner.students[0].forward(batch, learner.hints)
    calls = []
    for direction, _, distiller in learner.distillers[0]:
        trace = traces[direction]
        output = trace.output.requires_grad_()
        hints = {role: x.requires_grad_() for role, x in trace.hints.items()}
        moved = [output, *hints.values(), *(p for p in distiller.parameters() if p.requires_grad)]
        calls.append((distiller, replace(trace, output=output, hints=hints), direction, moved))

    def run() -> None:
        for distiller, trace, direction, moved in calls:
            terms = distiller.terms(trace, taught[direction])
            if terms:
                total = torch.stack(list(terms.values())).sum()
                torch.autograd.grad(total, moved, allow_unused=True)

    return run


def clocked(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def show(
    costs: Mapping[str, Mapping[str, float]],
    alone: Mapping[str, list[float]],
    steps: int,
    summary: Mapping[str, Any],
    remarks: Mapping[str, str],
) -> None:
    """Print a table in markdown; ratios are to a step of the student without a teacher."""
    student = costs["none"]["step"]
    print(f"\n\ncohort: { ({n: summary[n] for n in summary if n not in ('costs', 'remarks')}) }")
    print(f"student's own step {student:.2f} ms\n")
    print("| method | terms [ms] | terms / student | step / student | alone [ms] | look [ms] | |")
    print("|---|---|---|---|---|---|---|")
    for name, cost in costs.items():
        each = f"{1e3 * statistics.median(alone[name]) / steps:.1f}" if name in alone else ""
        print(
            f"| {name} | {cost['terms']:.2f} | {cost['terms'] / student:.2f} "
            f"| {cost['step'] / student:.2f} | {each} | {cost['look']:.1f} "
            f"| {remarks.get(name, '')} |"
        )
    for name in remarks.keys() - costs.keys():
        print(f"| {name} | | | | | | cannot run: {remarks[name]} |")
