"""Diffusion of signals: what `diffusion` does with images, of one row and one channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contracts.image import Pixels
from bench.contracts.task import Batch, Drawn, Networks, Read, ReadTest
from bench.maths.diffusion import noised
from bench.tasks.diffusion import Diffusion


class Signals(Diffusion):
    """DDPM's loss on the noise of signals, [N, 1, 1, S].

    A signal is the first row of an image in its first channel; an output is the signal in all rows
    and channels of an image. Everything else is as in `diffusion`; by default nothing is averaged
    and Adam decays no weights, as suits the one-dimensional example of Spectral Diffusion, and
    there are 300 samples in 100 steps. The paper does not say whether the clean signal that a step
    implies is cut to [-1, 1]; without it (`clip: never`) amplitudes of a small network run away.
    """

    defaults = {
        "betas": "linear",
        "first_beta": 1e-4,
        "last_beta": 0.02,
        "times": 1000,
        "loss": "l2",
        "average": 0.0,
        "beta1": 0.9,
        "beta2": 0.999,
        "weight_decay": 0.0,
    }
    source = "Yang et al. (Spectral Diffusion), CVPR 2023, Figure 4; Ho et al.; Song et al."
    drawn_by = ("betas", "first_beta", "last_beta", "times")
    outputs = {
        "samples": 300,
        "batch": 300,
        "sampler": "ddim",
        "steps": 100,
        "offset": 0,
        "eta": 0.0,
        "last_alpha": "one",
        "clip": "both",
    }

    denoises = "signals"
    latents = {}

    def example(
        self, read: Read, counts: Mapping[str, int], index: int, size: int, rng: np.random.Generator
    ) -> dict[str, Pixels]:
        """Return a row of an image, [1, size, 3]."""
        return {"A": read("A", index)[:1]}

    def draw(self, size: int, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw N(0, 1) noise, [1, 1, S], and a time of the schedule, all alike."""
        noise = rng.standard_normal((1, 1, size), dtype=np.float32)
        return {"noise": noise, "time": np.asarray(rng.integers(self.params["times"]))}

    def inputs(self, direction: str, batch: Batch) -> tuple[Tensor, ...]:
        """Return the noisy signals and their times."""
        signals, noise, time = batch["A"][:, :1, :1], batch["noise"], batch["time"]
        return noised(signals, noise, self._alpha_bar(signals.device)[time]), time

    def item(
        self, read: ReadTest, direction: str, index: int, size: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return the noise to start from, and a seed of all noise that is added later."""
        noise = rng.standard_normal((1, 1, size), dtype=np.float32)
        return {"noise": torch.from_numpy(noise), "seed": torch.tensor(rng.integers(2**63))}

    def make(
        self, networks: Networks, direction: str, items: Batch, outputs: Mapping[str, Any]
    ) -> Tensor:
        """Take the noise out, step by step; return images of the signals."""
        signals = super().make(networks, direction, items, outputs)
        return signals.expand(-1, 3, signals.shape[-1], -1)
