"""How well a network finds the noise in each tone, frequent or rare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contracts.metric import ImageMetric, Scene, Scoring, Setting
from bench.errors import SuiteError
from bench.maths.seed import derive

if TYPE_CHECKING:  # planning reads this file without torch
    from torch import Tensor


class ToneErrors(ImageMetric):
    """Mean squared error of the noise found in a tone at `time`, mean over draws and tones.

    `error_KK` is that of frequency KK alone; each tone gets the same `noises` draws, which all
    networks see. Finding no noise at all would give 1. Tones count alike however frequent they are,
    and no samples are made: shares of samples are counts of few, this is not.
    """

    defaults = {"time": 50, "noises": 256}
    source = "Ho et al. (DDPM), NeurIPS 2020, eq. 14, at a fixed time; by tone: ours"
    label = "error of tones"
    digits = 3
    better = "lower"
    needs = ("tone", "denoiser")
    headline = "tone_errors"
    one_by_one = False

    @classmethod
    def scoring(cls, params: Mapping[str, Any], setting: Setting) -> Scoring | None:
        """Return at which time, or that there are no tones; None where nothing denoises.

        Raises:
            SuiteError: the task has no such time, or nothing is drawn.
        """
        if not setting.task.denoises:
            return None
        last = setting.task_params["times"] - 1
        if not 0 <= params["time"] <= last:
            raise SuiteError(f"tone_errors: time: should be 0 to {last}: {params['time']}.")
        if params["noises"] < 1:
            raise SuiteError(f"tone_errors: noises: should be at least 1: {params['noises']}.")
        protocol = {"images": params["noises"], "output": f"of one step at time {params['time']}"}
        if "tone" not in setting.dataset.names:
            return Scoring(protocol, f"needs tones, and {setting.name} has none")
        return Scoring(protocol)

    def open(self, scene: Scene) -> None:
        """Keep what will be asked."""
        self.scene = scene

    def add(self, output: Tensor, target: Tensor) -> None:
        """Pass over what the network makes."""

    def value(self) -> dict[str, float]:
        """Ask the network about every tone."""
        import torch

        scene, count = self.scene, self.params["noises"]
        assert scene.dataset is not None
        assert scene.denoise is not None
        rng = np.random.default_rng(derive("noise of tones"))
        drawn = rng.standard_normal((count, 1, 1, scene.size), dtype=np.float32)
        noise = torch.from_numpy(drawn).to(scene.device)
        time = torch.full((count,), self.params["time"], device=scene.device)
        place = 2 * np.pi * np.arange(scene.size) / scene.size
        found = {}
        for tone in scene.dataset.params["frequencies"]:
            signal = torch.from_numpy(np.cos(tone * place)).float().to(scene.device)
            batch = {"A": signal.expand_as(noise), "noise": noise, "time": time}
            seen, _ = scene.denoise(batch)
            found[f"error_{tone:02}"] = float((seen - noise).double().square().mean())
        return {"tone_errors": sum(found.values()) / len(found), **found}
