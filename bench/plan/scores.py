"""What identifies a score, and which a cell should have: metric, version, parameters, protocol.

What a metric needs and adds is asked of the metric; nothing here knows one by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.contracts import shared_batches
from bench.contracts.dataset import Dataset
from bench.contracts.kinds import METHOD, NETWORK, TASK
from bench.contracts.making import EVAL, ROUNDED
from bench.contracts.metric import Judge, Metric, Scoring, Setting
from bench.contracts.width import Width
from bench.plan.cell import NUMERICS, Cell, Nets, open_dataset, plain, real_split, without_path
from bench.plan.identity import identity
from bench.plan.learning_rate import schedule_of
from bench.plan.suite import Budget
from bench.plugins.registry import Part

if TYPE_CHECKING:
    from bench.contracts.network import Network
    from bench.contracts.task import Task

Json = dict[str, Any]

RESIZE = "bicubic, antialiased (Pillow)"


class Wanted(NamedTuple):
    """A score that a cell should have."""

    id: str
    direction: str
    metric: Part[Metric]
    protocol: Json
    reason: str  # why it cannot be had, if so
    step: int = 0  # of a snapshot; 0 is the result
    judge: Cell | None = None  # a network that the metric judges by
    mode: str = EVAL  # in which outputs are made
    label: str = ""  # a heading, where the metric's own would mislead


def snapshot_scores(cell: Cell, metrics: Iterable[Part[Metric]]) -> Iterator[Wanted]:
    """Yield every score that the snapshots of a cell should have."""
    if cell.snapshots:
        scores = list(image_scores(cell, metrics))
        schedule = schedule_of(cell)
        for step in schedule.evenly(cell.snapshots):
            for wanted in scores:
                protocol = wanted.protocol | {"checkpoint": f"step {step} of {schedule.steps}"}
                name = score_id(wanted.metric, protocol)
                yield wanted._replace(id=name, protocol=protocol, step=step)


def modes_of(cell: Cell) -> list[str]:
    """Return the modes in which test outputs are made; the first is the suite's main one."""
    modes = list(cell.outputs.get("modes", [EVAL]))
    return modes if cell.has_networks else modes[:1]  # images were made in one, whichever it was


def image_protocol(cell: Cell, direction: str, images: int, mode: str) -> Json:
    """Return how test images are made and what they are held against."""
    selected = "last"
    if cell.select:
        selected = f"best of {cell.select['times']} on val by {cell.select['best_on_val']}"
    task = cell.task.declared
    source, _ = task.directions[direction]
    return {
        "split": real_split(task, cell.scored_on),
        "direction": direction,
        "images": images,
        "size": cell.size,
        "resize": RESIZE,
        "output": f"{cell.outputs.get('rounding', ROUNDED)} to 8 bits",
        "mode": mode,
        "checkpoint": selected,
        "real": cell.dataset.fingerprint,
        **({} if source else {"made from": "noise"}),
        **({"autoencoder": cell.latents.name} if cell.latents else {}),
        **({"batches": shared_batches.PROTOCOL} if cell.shared_batches else {}),
        **{n: x for n, x in cell.outputs.items() if n not in ("modes", "rounding")},
    }


def count_outputs(cell: Cell, direction: str, split: str) -> int:
    """Return how many outputs of a split a direction has: one per image, or as many samples."""
    source, _ = cell.task.declared.directions[direction]
    return int(cell.dataset.images[f"{split}{source}"] if source else cell.outputs["samples"])


def image_scores(cell: Cell, metrics: Iterable[Part[Metric]]) -> Iterator[Wanted]:
    """Yield every score of images that a cell should have."""
    for mode in modes_of(cell) if cell.scored_on else []:
        for asked in _asked(cell, metrics):
            made = image_protocol(cell, asked.direction, asked.images, mode)
            if needs_no_outputs(asked.metric):
                made = {n: x for n, x in made.items() if n not in (*cell.outputs, "made from")}
            protocol = {**made, **asked.scoring.protocol}
            if asked.judge:
                protocol[asked.role] = asked.judge.key
            name = score_id(asked.metric, protocol)
            yield Wanted(
                name,
                asked.direction,
                asked.metric,
                protocol,
                _lacks(cell, asked),
                judge=asked.judge,
                mode=mode,
                label=asked.scoring.label,
            )


def unanswered(cell: Cell, metrics: Iterable[Part[Metric]]) -> Iterator[tuple[str, str]]:
    """Yield the names of metrics that have nothing to say of a cell's images, and why."""
    for asked in _asked(cell, metrics) if cell.scored_on else ():
        if reason := _lacks(cell, asked):
            yield asked.metric.name, reason


def _lacks(cell: Cell, asked: _Asked) -> str:
    """Say why a score cannot be had; of images from elsewhere, what they cannot answer."""
    if asked.scoring.reason or cell.has_networks:
        return asked.scoring.reason
    if needs_no_outputs(asked.metric):
        return "asks a network, and these are images"
    assert cell.given is not None
    return "" if asked.direction in cell.given.files else f"no images {asked.direction} were given"


def needs_no_outputs(metric: Part[Metric]) -> bool:
    """Say whether a metric asks the network itself, in place of looking at what it makes."""
    return "denoiser" in metric.declared.needs


def references(cell: Cell, metrics: Iterable[Part[Metric]]) -> Iterator[Wanted]:
    """Yield the scores of real images that stand beside a cell's samples: its floor.

    Of as many real images as there are samples, held against the same real set. Where images are
    made from inputs, or nothing but the images decides a score, there are none.
    """
    task = cell.task.declared
    for asked in _asked(cell, metrics) if cell.scored_on else ():
        source, _ = task.directions[asked.direction]
        if source or asked.scoring.reason or asked.judge or asked.metric.declared.needs:
            continue
        protocol = {
            "split": real_split(task, cell.scored_on),
            "direction": asked.direction,
            "images": asked.images,
            "size": cell.size,
            "resize": RESIZE,
            "real": cell.dataset.fingerprint,
            "drawn": redraw(cell, asked.direction).said,
            **asked.scoring.protocol,
        }
        name = score_id(asked.metric, protocol)
        yield Wanted(name, asked.direction, asked.metric, protocol, "", label=asked.scoring.label)


class Redraw(NamedTuple):
    """Where real images beside the samples of one direction come from."""

    split: str
    images: int  # how many it has
    is_disjoint: bool  # from the real set

    @property
    def said(self) -> str:
        """What a table says of it."""
        if self.is_disjoint:
            return f"at random from the {self.images} images of split {self.split}"
        return "at random, with replacement, from the real set itself"


def redraw(cell: Cell, direction: str) -> Redraw:
    """Return the data set's other draw of its images, where it has enough, or the real set."""
    task, other = cell.task.declared, cell.dataset.declared.redrawn
    _, domain = task.directions[direction]
    split = real_split(task, cell.scored_on)
    if other and split == "train":
        count = open_dataset(cell.dataset).count(other, domain)
        if count >= int(cell.outputs["samples"]):
            return Redraw(other, count, True)
    return Redraw(split, cell.dataset.images[f"{split}{domain}"], False)


def reference_id(cell: Cell) -> str:
    """Return what cells share whose samples are held against the same real images."""
    data = cell.dataset
    return identity([data.name, data.version, data.fingerprint, without_path(data.params)])


def judges(cell: Cell, metrics: Iterable[Part[Metric]]) -> dict[str, tuple[str, Cell]]:
    """Return the cells that the plan trains so that a cell can be scored: key -> role, cell."""
    return {a.judge.key: (a.role, a.judge) for a in _asked(cell, metrics) if a.judge}


class _Asked(NamedTuple):
    """What a metric says of the outputs of one direction."""

    direction: str
    images: int
    metric: Part[Metric]
    scoring: Scoring
    role: str  # of its judge
    judge: Cell | None


def _asked(cell: Cell, metrics: Iterable[Part[Metric]]) -> tuple[_Asked, ...]:
    samples = int(cell.outputs.get("samples", 0))
    of_codes, parts = cell.latents is not None, tuple(metrics)
    return _asked_of(cell.task, cell.dataset, cell.size, samples, cell.scored_on, of_codes, parts)


@lru_cache(maxsize=256)  # thousands of cells differ in nothing that a metric is asked about
def _asked_of(
    task: Part[Task],
    dataset: Part[Dataset],
    size: int,
    samples: int,
    split: str,
    of_codes: bool,
    metrics: tuple[Part[Metric], ...],
) -> tuple[_Asked, ...]:
    """Ask every metric of images about every direction."""
    found = []
    declared, opened = task.declared, open_dataset(dataset)
    for direction, (source, target) in declared.directions.items():
        images = dataset.images.get(f"{split}{source}", 0) if source else samples  # 0: not here
        real_images = dataset.images.get(f"{real_split(declared, split)}{target}", 0)
        setting = Setting(
            declared,
            opened,
            dataset.name,
            size,
            source,
            real_images,
            images,
            dataset.images.get(f"{split}{target}", 0),
            task.params,
            of_codes,
            split,
        )
        for part in metrics:
            if part.declared.judges != "images":
                continue
            scoring = part.declared.scoring(part.params, setting)
            if scoring is not None:
                judge = cell_of(scoring.judge, dataset, size) if scoring.judge else None
                role = scoring.judge.role if scoring.judge else ""
                found.append(_Asked(direction, images, part, scoring, role, judge))
    return tuple(found)


def cell_of(judge: Judge, dataset: Part[Dataset], size: int) -> Cell:
    """Return the cell of a judge, which learns from one data set at one size."""
    nets = Nets(NETWORK.part(judge.network, judge.network_params, judge.role), judge.width)
    if judge.discriminator:
        named = NETWORK.part(judge.discriminator, {}, judge.role)
        nets = replace(nets, discriminator=named, discriminator_width=1)
    task = TASK.part(judge.task, judge.task_params, judge.role)
    budget = Budget(steps=judge.steps, batch=judge.batch, lr=judge.lr)
    return Cell(
        task=task,
        dataset=dataset,
        size=size,
        nets=nets,
        methods=(METHOD.part("none", {}, judge.role),),
        seed=0,
        budget=budget,
        later=(budget,) * (len(task.declared.stages) - 1),
        outputs=task.declared.outputs,
        select={},
        numerics=NUMERICS,
    )


def network_metrics(cell: Cell, metrics: Iterable[Part[Metric]]) -> list[Part[Metric]]:
    """Return the metrics that judge a cell's network; none where there is none, or no images."""
    if not cell.has_networks or cell.task.declared.makes != "images":
        return []
    return [part for part in metrics if part.declared.judges == "network"]


def network_protocol(cell: Cell, metric: Part[Metric], environment: Mapping[str, Any]) -> Json:
    """Return at which input a network is measured and, where it matters, on what machine."""
    names = ("device", "threads", "torch", "cuda")
    machine = {name: environment[name] for name in names if name in environment}
    numerics = dict(cell.numerics) if environment else {}
    batch = metric.params.get("batch", 1)
    return {"size": cell.side, "batch": batch, **machine, **numerics}


def fits(score: Mapping[str, Any], cell: Cell, metric: Part[Metric]) -> bool:
    """Say whether a network's stored score is one of this metric under this cell's numerics.

    The machine is left open: a table shows the last one measured, and which it was.
    """
    asked = {"size": cell.side, **(cell.numerics if metric.declared.alone else {})}
    made = {name: score["protocol"].get(name) for name in asked}
    same = (score["metric"], score["version"], score["params"])
    return same == (metric.name, metric.version, kept_params(metric)) and made == asked


def network_id(cell: Cell) -> str:
    """Return what cells with the same generator share, whatever trained it."""
    return _network_id(cell.nets.architecture, cell.nets.width, cell.side)


@lru_cache(maxsize=256)
def _network_id(architecture: Part[Network], width: Width, side: int) -> str:
    return identity(json.loads(json.dumps([architecture, width, side], default=plain)))


def score_id(metric: Part[Metric], protocol: Mapping[str, Any]) -> str:
    """Return the id under which a score is kept."""
    return identity([metric.name, metric.version, kept_params(metric), dict(protocol)])


def kept_params(metric: Part[Metric]) -> Json:
    """Return a metric's parameters as its scores have them: without `added` ones at a default."""
    declared = metric.declared
    return {
        name: value
        for name, value in metric.params.items()
        if name not in declared.added or value != declared.defaults[name]
    }


def record(
    metric: Part[Metric],
    protocol: Mapping[str, Any],
    values: Mapping[str, float],
    reason: str,
    now: float,
    errors: Mapping[str, float] = MappingProxyType({}),
) -> Json:
    """Return a score as it is stored: readable without the code that made it.

    `errors` are the sampling errors over test images of those values that have one.
    """
    return {
        "metric": metric.name,
        "version": metric.version,
        "params": kept_params(metric),
        "unit": metric.declared.unit,
        "better": metric.declared.better,
        "values": dict(values),
        **({"errors": dict(errors)} if errors else {}),
        "reason": reason,  # why there are no values
        "protocol": dict(protocol),
        "scored_at": now,
    }
