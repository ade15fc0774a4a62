"""A network of two layers that finds the noise in a signal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.network import Generator, run
from bench.nets._denoising import time_features

TIME = 32  # features of the time


class SignalFFN(Generator):
    """Two linear layers, SiLU between them; the width is that of the hidden one, M in the paper.

    Fed the noisy signal, [N, 1, 1, S], and 32 sines and cosines of its time, side by side; puts out
    the noise, of the same shape and unbounded. Widths of the paper: 64 and 1024. Its nonlinearity
    and how it is told the time are not stated; both are ours. The hint `hidden` is what the hidden
    layer puts out, [N, width, 1, 1].
    """

    source = "Yang et al. (Spectral Diffusion), CVPR 2023, Figure 4; nonlinearity and time: ours"
    taps = {"hidden": 1}

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        self.model = nn.Sequential(nn.Linear(size + TIME, width), nn.SiLU(), nn.Linear(width, size))

    def initialise(self) -> None:
        """Stay as torch draws it."""

    def example(self, batch: int = 1, sides: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Return a signal and a time of zeros."""
        return torch.zeros(batch, 1, 1, self.size), torch.zeros(batch, dtype=torch.int64)

    def forward(  # type: ignore[override]
        self, x: Tensor, time: Tensor, hints: Sequence[str] = ()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the noise, [N, 1, 1, S], and the hidden layer where `hints` ask for it."""
        seen = torch.cat([x.flatten(1), time_features(time, TIME).to(x.dtype)], 1)
        found, hidden = run(self.model, seen, {role: self.taps[role] for role in hints})
        return found.view_as(x), {role: h[:, :, None, None] for role, h in hidden.items()}
