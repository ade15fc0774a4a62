"""How far the power spectrum of generated images is from that of real ones."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.contracts.metric import Features, SetMetric
from bench.maths.bootstrap import Draws, Values

LEAST = 1e-8  # power: below that of 8-bit rounding, 1.3e-6


class Spectrum(SetMetric):
    """Mean over spatial frequencies of |power of outputs / power of real images| in dB.

    Power is that of gray images in [0, 1], by radius (see `bench/features/spectrum.py`), mean over
    the images of a set; no pairs are needed. 0 is perfect; 3 dB is a factor of 2. `out_01`,
    `out_02`, ... and `real_01`, `real_02`, ... are the spectra themselves in dB, from low to high
    frequencies: radius r of R ends at r / (2 R) cycles per pixel. Power below 1e-8 counts as 1e-8.
    """

    source = "Durall et al., CVPR 2020, arXiv:2003.01826; the mean absolute ratio: ours"
    label = "spectral error"
    presets = ("modern", "offline")
    unit = "dB"
    better = "lower"
    features = "spectrum"
    headline = "spectrum"
    checks = {
        "a tenth of the power at one of two radii": (
            {"power": torch.tensor([[0.2, 0.01], [0.2, 0.03]])},
            {"power": torch.tensor([[0.2, 0.2]])},
            {"spectrum": 5.0, "out_02": -16.9897000, "real_02": -6.9897000},
        ),
        "nothing at all beside something": (
            {"power": torch.tensor([[0.0]])},
            {"power": torch.tensor([[1e-6]])},
            {"spectrum": 20.0, "out_01": -80.0},
        ),
    }

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return the error and both spectra."""
        ours, theirs = (_decibels(images["power"]) for images in (outputs, real))
        spectra = {"out": ours.tolist(), "real": theirs.tolist()}
        return {"spectrum": float((ours - theirs).abs().mean())} | {
            f"{name}_{radius:02}": level
            for name, levels in spectra.items()
            for radius, level in enumerate(levels, 1)
        }

    def resampled(self, outputs: Features, real: Features, draws: Draws) -> dict[str, Values]:
        """Return the error of each resample."""
        ours, theirs = (
            10
            * np.log10(
                np.maximum(counts @ images["power"].double().numpy() / len(counts[0]), LEAST)
            )
            for images, counts in zip((outputs, real), draws, strict=True)
        )
        return {"spectrum": np.abs(ours - theirs).mean(1)}


def _decibels(power: Tensor) -> Tensor:
    """[N, R] -> [R], of the mean over images."""
    return 10 * power.double().mean(0).clamp(min=LEAST).log10()
