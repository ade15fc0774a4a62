"""A tiny task of another kind than translation: it denoises, and its test outputs are samples.

Noise and time are drawn with each example, the weights are averaged, nobody discriminates, and
there are no test inputs. What a diffusion model needs, at the smallest size.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.dataset import Dataset
from bench.contracts.distiller import Distiller, Trace
from bench.contracts.image import Pixels
from bench.contracts.network import Generator
from bench.contracts.task import Batch, Drawn, Networks, ReadTest, Task, Turn
from bench.data.photo_edges import PhotoEdges


class Photos(Dataset):
    """Crops of photographs, in one domain."""

    source = "as photo_edges"
    licence = PhotoEdges.licence
    task = "denoising:Denoise"
    size = 32
    domains = ("A",)
    names = ("photo",)

    def fingerprint(self) -> str:
        """Hash the photographs."""
        return PhotoEdges({}).fingerprint()

    def count(self, split: str, domain: str) -> int:
        """Return the number of crops; there is no test split."""
        return 20 if (split, domain) == ("train", "A") else 0

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one crop."""
        return PhotoEdges({}).read(split, "B", index, size)


class Denoiser(Generator):
    """Two convolutions that are told the time: noise in, noise out."""

    source = "nobody"
    taps = {"mid1": 1}
    multiple = 4

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        self.first = nn.Conv2d(3, width, 3, padding=1)
        self.last = nn.Conv2d(width, 3, 3, padding=1)
        self.late = nn.Parameter(torch.zeros(width, 1, 1))

    def initialise(self) -> None:
        """Stay at torch's own initial weights."""

    def example(self, batch: int = 1, sides: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Return an image and a time."""
        return (*super().example(batch, sides), torch.zeros(batch))

    def forward(
        self, x: Tensor, time: Tensor, hints: Sequence[str] = ()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the noise that is in an image at a time in [0, 1]."""
        found = F.relu(self.first(x) + self.late * time.view(-1, 1, 1, 1))
        return self.last(found), {"mid1": found} if hints else {}


class Denoise(Task):
    """Mean squared error of the noise; samples by a few steps from noise to image."""

    defaults = {"most": 0.9, "beta1": 0.9, "beta2": 0.999}
    source = "nobody"
    directions = {"sample": ("", "A")}
    terms = ("noise",)
    drawn_by = ("most",)
    outputs = {"samples": 6, "batch": 4, "steps": 3}
    real = "train"

    def draw(self, size: int, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw noise, and the share of it that is mixed in."""
        noise = rng.standard_normal((3, size, size), dtype=np.float32)
        return {"noise": noise, "time": np.float32(rng.uniform(0, self.params["most"]))}

    def inputs(self, direction: str, batch: Batch) -> tuple[Tensor, ...]:
        """Return the noisy image and its time."""
        time = batch["time"].view(-1, 1, 1, 1)
        return (1 - time).sqrt() * batch["A"] + time.sqrt() * batch["noise"], batch["time"]

    def forward(
        self, networks: Networks, batch: Batch, hints: Sequence[str], stage: str
    ) -> dict[str, Trace]:
        """Hold what the network made of it against the noise that was there."""
        traces = super().forward(networks, batch, hints, stage)
        return {d: replace(t, real=batch["noise"], paired=True) for d, t in traces.items()}

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """Return the error of the noise."""
        trace = turn.traces["sample"]
        return {"noise": F.mse_loss(trace.output, trace.real)} if "noise" in turn.keeps else {}

    def average(self, step: int) -> float:
        """Average with a ramp, up to 0.9."""
        return min(0.9, (1 + step) / (10 + step))

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return AdamW."""
        return torch.optim.AdamW(parameters, weight_decay=0.01)

    def item(
        self, read: ReadTest, direction: str, index: int, size: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return noise that depends on the index alone."""
        return {"noise": torch.from_numpy(rng.standard_normal((3, size, size), dtype=np.float32))}

    def make(
        self, networks: Networks, direction: str, items: Batch, outputs: Mapping[str, Any]
    ) -> Tensor:
        """Take noise out step by step."""
        x, times = items["noise"], torch.linspace(0.9, 0, outputs["steps"] + 1)
        for now, then in itertools.pairwise(times):
            noise, _ = networks["generator"][direction](x, now.expand(len(x)).to(x.device))
            clean = (x - now.sqrt() * noise) / (1 - now).sqrt()
            x = (1 - then).sqrt() * clean.clamp(-1, 1) + then.sqrt() * noise
        return x


class Imitate(Distiller):
    """The teacher's noise, and its features by their mean."""

    source = "nobody"
    tasks = ("denoising:Denoise",)
    teachers = ("frozen", "online")
    hints = ("mid1",)

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return two terms; both players saw the same noise at the same time."""
        assert torch.equal(student.input, teacher.input)
        assert torch.equal(student.batch["time"], teacher.batch["time"])
        means = (trace.hints["mid1"].mean((1, 2, 3)) for trace in (student, teacher))
        return {"output": F.mse_loss(student.output, teacher.output), "mean": F.l1_loss(*means)}
