"""Averages of weights over steps (EMA): what is kept, scored and teaches, where a task asks."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """Networks whose weights follow those that train; they never train themselves."""

    def __init__(self, networks: nn.ModuleDict) -> None:
        self.modules = copy.deepcopy(networks).requires_grad_(False).eval()
        self.share = torch.zeros(())  # of the networks as they are; lies where the averages do

    def place(self, device: torch.device) -> None:
        """Move to a device."""
        self.modules.to(device)
        self.share = self.share.to(device)

    def aim(self, decay: float) -> None:
        """Set the decay of the next step."""
        self.share.fill_(1 - decay)

    @torch.no_grad()
    def follow(self, networks: nn.ModuleDict) -> None:
        """Become decay x average + (1 - decay) x present; statistics of norms are copied."""
        pairs = zip(self.modules.parameters(), networks.parameters(), strict=True)
        for kept, moved in pairs:
            kept.lerp_(moved, self.share)
        for buffer, present in zip(self.modules.buffers(), networks.buffers(), strict=True):
            buffer.copy_(present)

    def restart(self, networks: nn.ModuleDict) -> None:
        """Start again from the networks as they are."""
        self.modules.load_state_dict(networks.state_dict())
