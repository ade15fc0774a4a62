"""How good a student is while it trains, on the validation split."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

import torch

from bench.contracts.kinds import METRIC
from bench.contracts.metric import ImageMetric, Scene
from bench.evaluate.generate import outputs
from bench.train.decoded import open_decoded
from bench.train.learner import Learner


def validate(learner: Learner) -> float:
    """Return how good the present students are on the validation split; higher is better.

    Outputs are made as the task declares, whatever a suite's `outputs` say: these are no part of a
    cell's key, and must not decide which of its checkpoints is the best.
    """
    cell = replace(learner.cell, outputs=learner.cell.task.declared.outputs)
    name = cell.select["best_on_val"]
    metric_class = cast(type[ImageMetric], METRIC.load(name, name))
    scene = Scene(learner.device, open_decoded(cell.dataset), cell.size)
    found = []
    for student in learner.students:
        student.modules.eval()
        for direction in learner.task.directions:
            metric = metric_class(cell.select["params"])
            metric.open(scene)
            for batch in outputs(cell, student, direction, "val"):
                metric.add(batch.output, cast(torch.Tensor, batch.target))
            values = metric.value()
            found.append(values[metric.headline or next(iter(values))])
        student.modules.train()
    return (1.0 if metric_class.better == "higher" else -1.0) * math.fsum(found) / len(found)
