"""Work that would be done for each student anew, against the same work done once.

CPU time of one thread, round by round in turn. `once` is what the program does; `each` has what is
kept switched off. One row is of work that stays: CycleGAN's translation and its identity term are
two passes of a generator. One pass over both would be other bits, since gradients are added up in
another order, and is measured here so that somebody can see what it would gain.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from bench_cohort import link_teachers
from tiny import by_method, student_cells, tiny_plan, train_teachers, train_together
from torch import Tensor

from bench.contracts.distiller import Trace
from bench.contracts.image import Pixels
from bench.contracts.task import Batch, Networks, Turn
from bench.data.photo_edges import PhotoEdges
from bench.evaluate.feed import evaluate
from bench.losses.gan import generator_loss
from bench.metrics import swd
from bench.plan.matrix import cohorts
from bench.store.layout import Store
from bench.tasks.unpaired import Unpaired
from bench.train import decoded
from bench.train.batches import Batches
from bench.train.device import configure
from bench.train.learner import Learner, open_task
from bench.train.prepared import Prepared

CPU = torch.device("cpu")
SHARED, SCORED, STEPS = 3, 4, 12  # rounds
QUICK: dict[str, Any] = {
    "size": 64,
    "discriminator_widths": [16],
    "teacher": {"width": 32, "budget": {"steps": 1}},
    "budget": {"steps": 1, "batch": 4},
}


def in_turns(
    benchmark: Any, sides: Mapping[str, Callable[[int], None]], rounds: int, **told: Any
) -> None:
    """Run both sides in each of some rounds, and say the ratio of the first to the second."""
    found: dict[str, list[float]] = {name: [] for name in sides}

    def run() -> None:
        for number in range(rounds):
            for name, side in sides.items():
                started = time.process_time()
                side(number)
                found[name].append(time.process_time() - started)

    benchmark.pedantic(run, rounds=1)
    ours, peer = found.values()
    ratios = [a / b for a, b in zip(ours, peer, strict=True)]
    benchmark.extra_info |= {
        "seconds": {name: round(statistics.median(times), 3) for name, times in found.items()},
        "ours_over_peer": {"median": round(statistics.median(ratios), 3)},
        "fastest": round(min(ours) / min(peer), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        **told,
    }
    print(f"\n{benchmark.extra_info}")


def bench_looks_at_all_inputs(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pca_kd` at two widths and three seeds before its first step, all cohorts."""
    changes = {"methods": ["pca_kd"], "widths": [4, 8], "seeds": [0, 1, 2], "size": 32}
    changes["teacher"] = {"width": 16, "budget": {"steps": 1}}
    plan = tiny_plan(tmp_path, **QUICK | changes)
    train_teachers(plan, Store(tmp_path / "teachers"))
    passes: dict[str, int] = {}
    of = Prepared.of

    def side(name: str, number: int) -> None:
        passes[name] = 0
        store = Store(tmp_path / f"{name}{number}")
        link_teachers(plan, tmp_path, store)

        def counted(self: Prepared, *asked: Any) -> Any:
            recall = of(self, *asked)

            def ask(what: str, compute: Callable[[], Mapping[str, Tensor]]) -> Any:
                def counting() -> Mapping[str, Tensor]:
                    passes[name] += 1
                    return compute()

                return recall(what, counting) if name == "once" else counting()

            return ask

        monkeypatch.setattr(Prepared, "of", counted)
        for cohort in cohorts(student_cells(plan)):
            train_together(cohort, plan, store)

    sides = {name: functools.partial(side, name) for name in ("once", "each")}
    in_turns(benchmark, sides, SHARED, passes=passes)
    assert passes == {"once": 1, "each": 6}


def bench_scoring_of_students(
    benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Students of one data set by what needs no weights: what a second one costs."""
    metrics = ["swd", "psnr", "ssim", "fsim", "band_error"]
    seeds = list(range(2 * SCORED + 1))
    plan = tiny_plan(tmp_path, **QUICK | {"methods": ["none"], "seeds": seeds, "metrics": metrics})
    store, cells = Store(tmp_path / "runs"), student_cells(plan)
    for cell in cells:
        train_together([cell], plan, store)
    assert not evaluate(cells[-1], store, plan.metrics, CPU)  # the first pays for the real images
    kept = {"OF_A_SPLIT": decoded.OF_A_SPLIT, "_KEPT": decoded._KEPT}
    none: dict[str, Any] = {"OF_A_SPLIT": 0, "_KEPT": {}}
    reads, read = [0], PhotoEdges.read

    def reading(self: PhotoEdges, *place: Any) -> Pixels:
        reads[0] += 1
        return read(self, *place)

    monkeypatch.setattr(PhotoEdges, "read", reading)
    decodings = {}

    def side(name: str, number: int) -> None:
        for limit, value in (kept if name == "once" else none).items():
            monkeypatch.setattr(decoded, limit, value)
        monkeypatch.setattr(swd, "KEPT", projections if name == "once" else 0)
        before = reads[0]
        cell = cells[2 * number + (name == "each")]
        assert not evaluate(cell, store, plan.metrics, CPU)
        decodings[name] = reads[0] - before

    projections = swd.KEPT
    sides = {name: functools.partial(side, name) for name in ("once", "each")}
    in_turns(benchmark, sides, SCORED, decodings=decodings)
    assert decodings == {"once": 0, "each": 2 * cells[0].dataset.images["testA"]}


class OnePass(Unpaired):
    """CycleGAN whose translations and identity terms are made in one pass of each generator."""

    def forward(
        self, networks: Networks, batch: Batch, hints: Sequence[str], stage: str
    ) -> dict[str, Trace]:
        judges, found = dict(networks["discriminator"].items()), {}
        self.same = {}
        for direction, (source, target) in self.directions.items():
            x, real = batch[source], batch[target]
            made, _ = networks["generator"][direction](torch.cat([x, real]))
            output, self.same[direction] = made.split(len(x))
            game, judge = self.params["gan"], judges[direction]
            found[direction] = Trace(x, output, {}, real, False, judge, game, batch)
        return found

    def generator_terms(self, turn: Turn) -> dict[str, Tensor]:
        cycle, identity = self.params["lambda_cycle"], self.params["lambda_identity"]
        terms = []
        for direction, back in (("AtoB", "BtoA"), ("BtoA", "AtoB")):
            trace = turn.traces[direction]
            logits, _ = trace.judge(trace.output)
            restored, _ = turn.networks["generator"][back](trace.output)
            terms.append(generator_loss(self.params["gan"], logits))
            terms.append(cycle * F.l1_loss(restored, trace.input))
            terms.append(cycle * identity * F.l1_loss(self.same[direction], trace.real))
        return {"all": torch.stack(terms).sum()}


@pytest.mark.parametrize(("width", "size", "batch"), [(16, 128, 1), (16, 64, 2)])
def bench_translation_and_identity(
    benchmark: Any, tmp_path: Path, width: int, size: int, batch: int
) -> None:
    """Steps of CycleGAN, ResNet-9 by discriminators of width 64, one pass against two."""
    changes = {"architectures": ["resnet9"], "discriminator_widths": [64], "size": size}
    changes |= {"datasets": ["grass2brick"], "methods": ["none"], "widths": [width]}
    plan = tiny_plan(tmp_path, **changes, budget={"steps": 100, "batch": batch})
    (cell,) = by_method(plan).values()
    configure("cpu", 1, cell.numerics)
    sides, batches = {}, Batches(cell, open_task(cell))
    learners: list[Learner] = []
    for name, task in (("one", OnePass), ("two", Unpaired)):
        learner = Learner(cell, CPU, None)
        learner.task = learner.students[0].task = task(cell.task.params)
        learner.update(0, 2e-4, batches[0], None)
        sides[name] = functools.partial(step, learner, batches)
        learners.append(learner)
    one, two = (learner.networks() for learner in learners)
    equal = all(torch.equal(one[name], x) for name, x in two.items())
    in_turns(benchmark, sides, STEPS, equal_bits=equal)


def step(learner: Learner, batches: Batches, number: int) -> None:
    learner.update(number, 2e-4, batches[number], None)
