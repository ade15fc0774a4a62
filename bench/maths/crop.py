"""The random crop and flip of a training image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Crop(NamedTuple):
    """A random crop, perhaps flipped."""

    top: int
    left: int
    flip: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, slack: int) -> Crop:
        """Draw one that leaves `slack` pixels of each side out."""
        choices = slack + 1
        return cls(int(rng.integers(choices)), int(rng.integers(choices)), bool(rng.integers(2)))

    def of(self, pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """[L, L, 3] -> [size, size, 3]."""
        crop = pixels[self.top : self.top + size, self.left : self.left + size]
        return crop[:, ::-1] if self.flip else crop
