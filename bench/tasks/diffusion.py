"""Diffusion: a network learns which noise is in an image, and images are made from noise alone."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.contracts.image import Pixels
from bench.contracts.task import Batch, Drawn, Networks, Read, ReadTest, Task, Turn
from bench.errors import SuiteError
from bench.maths.diffusion import (
    CLEAN,
    CLIPS,
    NEVER,
    alpha_bars,
    averaging,
    ddim_steps,
    ddim_times,
    implied,
    noised,
)

SAMPLERS = ("ddim",)
LAST_ALPHAS = {"one": CLEAN, "first": 0}  # where the last step leads


class Diffusion(Task):
    """DDPM's loss on the noise; samples by DDIM with averaged weights.

    With each example a time and noise are drawn, the same for the teacher and the whole cohort; a
    network is fed sqrt(alpha_bar) image + sqrt(1 - alpha_bar) noise and the time, and its output is
    held against the noise. `first_beta`, `last_beta` and `betas` ("scaled linear": in their square
    roots) are DDPM's by default; latent diffusion's are scaled linear, 0.0015 to 0.0195. AdamW; a
    budget's `warmup` and `decay: 1.0` make the learning rate rise and fall to 0. Images are halves
    of the time mirrored (`flip`) and never cropped.

    Weights are averaged by min(`average`, (1 + step) / (10 + step)) (latent diffusion's and
    diffusers' ramp and cap; 0: not at all). The averages are what is scored and what a frozen
    teacher teaches; the raw weights are not scored.

    Test outputs are `samples` images from noise that depends on their index alone, so that those of
    two methods, widths or training seeds are pairs, and are held against the train split, as latent
    diffusion's are. They are made in `steps` of `sampler`: at every (times // steps)-th time plus
    `offset`, with `eta` (noise drawn by index and step), the last one to the image (`last_alpha`:
    one) or to the first alpha (first, as latent diffusion with offset 1). `clip`: whether the clean
    image that a step implies is cut to [-1, 1], as pixels are (`both`: with the noise that then is
    left; `image`: with the noise as predicted) and latents are not (`never`).

    With `latents` all this is of codes of an autoencoder, scaled to unit variance as LDM's are; it
    is trained as a cell of its own, or its weights are a `file`. Samples are decoded.
    """

    defaults = {
        "betas": "linear",
        "first_beta": 1e-4,
        "last_beta": 0.02,
        "times": 1000,
        "loss": "l2",
        "flip": True,
        "average": 0.9999,
        "beta1": 0.9,
        "beta2": 0.999,
        "weight_decay": 0.01,
    }
    choices = {"betas": ("linear", "scaled linear"), "loss": ("l1", "l2")}
    source = "Ho et al. (DDPM), NeurIPS 2020; Song et al. (DDIM), ICLR 2021; Rombach et al. (LDM)"
    directions = {"sample": ("", "A")}
    terms = ("noise",)
    drawn_by: ClassVar[Sequence[str]] = ("betas", "first_beta", "last_beta", "times", "flip")
    outputs = {
        "samples": 256,
        "batch": 64,
        "sampler": "ddim",
        "steps": 50,
        "offset": 0,
        "eta": 0.0,
        "last_alpha": "one",
        "clip": "both",
    }
    real = "train"
    denoises = "images"
    latents = {
        "task": "autoencoding",
        "losses": {},
        "network": "kl_autoencoder",
        "width": 32,
        "params": {},
        "steps": 2000,
        "batch": 16,
        "lr": 1e-3,
        "file": "",
    }

    def check(self) -> None:
        """Refuse schedules, averages and decays that are none."""
        super().check()
        p = self.params
        if p["times"] < 1:
            raise SuiteError(f"task.times: should be at least 1: {p['times']}.")
        if not 0 < p["first_beta"] <= p["last_beta"] < 1:
            raise SuiteError(
                "task: first_beta and last_beta: should rise between 0 and 1: "
                f"{p['first_beta']}, {p['last_beta']}."
            )
        if not 0 <= p["average"] < 1:
            raise SuiteError(f"task.average: should be at least 0 and below 1: {p['average']}.")
        if p["weight_decay"] < 0:
            raise SuiteError(f"task.weight_decay: should be at least 0: {p['weight_decay']}.")

    def check_outputs(self, outputs: Mapping[str, Any]) -> None:
        """Refuse a sampler, or steps, that there are not."""
        times, steps = self.params["times"], outputs["steps"]
        choices = {"sampler": SAMPLERS, "last_alpha": tuple(LAST_ALPHAS), "clip": CLIPS}
        for name, known in choices.items():
            if outputs[name] not in known:
                said = ", ".join(known)
                raise SuiteError(f"outputs.{name}: should be one of {said}: {outputs[name]}.")
        if self.code_channels and outputs["clip"] != NEVER:
            raise SuiteError(f"outputs.clip: latents are not cut: never, not {outputs['clip']}.")
        if not 1 <= steps <= times:
            raise SuiteError(f"outputs.steps: should be 1 to the {times} times: {steps}.")
        most = times - 1 - (steps - 1) * (times // steps)
        if not 0 <= outputs["offset"] <= most:
            raise SuiteError(
                f"outputs.offset: {steps} steps of {times} times leave room for 0 to {most}: "
                f"{outputs['offset']}."
            )
        if not 0 <= outputs["eta"] <= 1:
            raise SuiteError(f"outputs.eta: should be 0 to 1: {outputs['eta']}.")

    def loaded(self, size: int) -> int:
        """Read images at their size: nothing is cropped."""
        return size

    def example(
        self, read: Read, counts: Mapping[str, int], index: int, size: int, rng: np.random.Generator
    ) -> dict[str, Pixels]:
        """Return an image, mirrored half of the time."""
        image = read("A", index)
        is_mirrored = self.params["flip"] and rng.random() < 0.5
        return {"A": image[:, ::-1] if is_mirrored else image}

    def draw(self, size: int, rng: np.random.Generator) -> dict[str, Drawn]:
        """Draw N(0, 1) noise, [C, S, S], and a time of the schedule, all alike."""
        noise = self._noise(size, rng)
        return {"noise": noise, "time": np.asarray(rng.integers(self.params["times"]))}

    def inputs(self, direction: str, batch: Batch) -> tuple[Tensor, ...]:
        """Return the noisy images and their times."""
        images, noise, time = batch["A"], batch["noise"], batch["time"]
        return noised(images, noise, self._alpha_bar(images.device)[time]), time

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """Return the mean squared or absolute error of the noise."""
        if "noise" not in turn.keeps:
            return {}
        trace = turn.traces["sample"]
        distance = F.mse_loss if self.params["loss"] == "l2" else F.l1_loss
        return {"noise": distance(trace.output, trace.batch["noise"])}

    def average(self, step: int) -> float | None:
        """Return the decay after a step."""
        most = self.params["average"]
        return averaging(step, most) if most else None

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return AdamW."""
        p = self.params
        return torch.optim.AdamW(
            parameters, betas=(p["beta1"], p["beta2"]), weight_decay=p["weight_decay"], fused=True
        )

    def item(
        self, read: ReadTest, direction: str, index: int, size: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return the noise to start from, and a seed of all noise that is added later."""
        noise = self._noise(size, rng)
        return {"noise": torch.from_numpy(noise), "seed": torch.tensor(rng.integers(2**63))}

    def make(
        self, networks: Networks, direction: str, items: Batch, outputs: Mapping[str, Any]
    ) -> Tensor:
        """Take the noise out, step by step."""
        network, x = networks["generator"][direction], items["noise"]
        last = LAST_ALPHAS[outputs["last_alpha"]]
        pairs = ddim_times(self.params["times"], outputs["steps"], outputs["offset"], last)
        bars = self._alpha_bar(torch.device("cpu")).tolist()
        steps = ddim_steps(bars, pairs, outputs["eta"], outputs["clip"])
        for (now, _), step in zip(pairs, steps, strict=True):
            noise, _ = network(x, torch.full((len(x),), now, device=x.device))
            fresh = _fresh(items["seed"], now, x) if outputs["eta"] else None
            x = step(x, noise.float(), fresh)
        return x

    def denoise(self, networks: Networks, direction: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the noise that a network finds at a batch's times, and the image it leaves."""
        x, time = self.inputs(direction, batch)
        noise, _ = networks["generator"][direction](x, time)
        return noise.float(), implied(x, noise.float(), self._alpha_bar(x.device)[time])

    def _noise(self, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
        return rng.standard_normal((self.code_channels or 3, size, size), dtype=np.float32)

    def _alpha_bar(self, device: torch.device) -> Tensor:
        p = self.params
        return _alpha_bars(p["betas"], p["first_beta"], p["last_beta"], p["times"], device)


def _fresh(seeds: Tensor, time: int, like: Tensor) -> Tensor:
    """Return N(0, 1) noise that depends on an image's seed and the time, not on the batch."""
    shape = like.shape[1:]
    drawn = [
        np.random.default_rng([seed, time]).standard_normal(shape, dtype=np.float32)
        for seed in seeds.tolist()
    ]
    return torch.from_numpy(np.stack(drawn)).to(like.device)


@functools.cache
def _alpha_bars(shape: str, first: float, last: float, times: int, device: torch.device) -> Tensor:
    """Return the schedule on a device, once: a copy per step would wait for the device."""
    return alpha_bars(shape, first, last, times).to(device)
