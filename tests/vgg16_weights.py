"""A file of the shape of torchvision's VGG-16, with random weights.

The published file is not in this repository. What is tested with it is the computation, and that
gradients flow; no value of a loss.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

WIDTHS = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256),
          14: (256, 256), 17: (256, 512), 19: (512, 512), 21: (512, 512)}  # fmt: skip


def write(path: Path) -> None:
    """Save the convolutions up to relu4_3, drawn so that features keep their size."""
    torch.manual_seed(0)
    state = {}
    for index, (before, after) in WIDTHS.items():
        weight = torch.empty(after, before, 3, 3)
        state[f"features.{index}.weight"] = nn.init.kaiming_normal_(weight, nonlinearity="relu")
        state[f"features.{index}.bias"] = 0.1 * torch.randn(after)
    torch.save(state, path)
