"""What metrics share that ask a diffusion model for one step from held-out images with noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.contracts.metric import ImageMetric, Scene, Scoring, Setting
from bench.errors import SuiteError
from bench.maths.seed import derive

if TYPE_CHECKING:  # planning reads this file without torch
    from torch import Tensor

Values = NDArray[np.float32]

AT_ONCE = 64  # images in a batch


class OneStepMetric(ImageMetric):
    """A score of a network that denoises: no samples are made.

    At most `images` images of the split that is scored, at even distances, get noise that depends
    on an image's place and the time alone, so that all networks see the same.
    """

    needs = ("denoiser",)
    one_by_one = False
    asked_at: ClassVar[tuple[str, ...]] = ("times",)  # parameters that list times

    @classmethod
    def scoring(cls, params: Mapping[str, Any], setting: Setting) -> Scoring | None:
        """Return how many held-out images there are, or why none; None where nothing denoises.

        Raises:
            SuiteError: a time that the task does not have, or no time or image at all.
        """
        if not setting.task.denoises:
            return None
        seen = "codes" if setting.of_codes else setting.task.denoises
        if seen != "images":
            return Scoring({}, f"is of images, and the network sees {seen} in their place")
        name, last = cls.__module__.rpartition(".")[2], setting.task_params["times"] - 1
        for key in cls.asked_at:
            odd = [t for t in params[key] if not (isinstance(t, int) and 0 <= t <= last)]
            if odd or not params[key]:
                raise SuiteError(f"{name}: {key}: should be times, 0 to {last}: {params[key]}.")
        if params["images"] < 1:
            raise SuiteError(f"{name}: images: should be at least 1: {params['images']}.")
        count = min(params["images"], setting.held_out)
        protocol = {"split": setting.split, "images": count, "output": "of one step, not rounded"}
        if not count:
            reason = f"needs held-out images, and the data have no {setting.split} split"
            return Scoring(protocol, reason)
        return Scoring(protocol)

    def open(self, scene: Scene) -> None:
        """Keep what will be asked."""
        assert scene.dataset is not None
        self.scene, self.dataset = scene, scene.dataset
        self.there = self.dataset.count(scene.split, "A")
        self.count = min(self.params["images"], self.there)

    def add(self, output: Tensor, target: Tensor) -> None:
        """Pass over what the network makes."""

    def batches(self, time: int) -> Iterator[dict[str, Tensor]]:
        """Yield the held-out images with their noise and the time, as in training."""
        import torch

        device = self.scene.device
        places = [number * self.there // self.count for number in range(self.count)]
        for first in range(0, self.count, AT_ONCE):
            drawn = [self._drawn(place, time) for place in places[first : first + AT_ONCE]]
            images, noise = (
                torch.from_numpy(np.stack(x)).to(device) for x in zip(*drawn, strict=True)
            )
            times = torch.full((len(drawn),), time, device=device)
            yield {"A": images, "noise": noise, "time": times}

    def _drawn(self, place: int, time: int) -> tuple[Values, Values]:
        """Return a held-out image, [3, S, S] in [-1, 1], and the noise that it gets at a time."""
        pixels = self.dataset.read(self.scene.split, "A", place, self.scene.size)
        image = pixels.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
        rng = np.random.default_rng(derive("held-out noise", place, time))
        return image, rng.standard_normal(image.shape, dtype=np.float32)
