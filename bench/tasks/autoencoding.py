"""Autoencoding: images through a narrow code and back, for diffusion that learns codes."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Trace
from bench.contracts.task import Batch, Networks, Task, Turn
from bench.errors import SuiteError


class Autoencoding(Task):
    """Mean absolute error of the image that is made from its code, and a small KL divergence.

    In training a code is drawn from the distribution that the network gives; `kl` weighs that
    distribution's divergence from N(0, 1), in nats per value of the image: latent diffusion's 1e-6,
    at its scale against the error. Of its loss, the perceptual term and the discriminator are left
    out: the one needs pretrained weights, and sharp texture is not asked for here. Adam with its
    momenta. Images are mirrored half of the time and never cropped.
    """

    defaults = {"kl": 1e-6, "beta1": 0.5, "beta2": 0.9}
    source = "Rombach et al. (LDM), CVPR 2022, appendix G; its code's LPIPSWithDiscriminator"
    directions = {"reconstruct": ("A", "A")}
    paired = True
    terms = ("error", "kl")

    def check(self) -> None:
        """Refuse a negative weight."""
        super().check()
        if not self.params["kl"] >= 0:
            raise SuiteError(f"task.kl: should be at least 0: {self.params['kl']}.")

    def loaded(self, size: int) -> int:
        """Read images at their size: nothing is cropped."""
        return size

    def forward(
        self, networks: Networks, batch: Batch, hints: Sequence[str], stage: str
    ) -> dict[str, Trace]:
        """Ask for the codes' distribution too."""
        return super().forward(networks, batch, (*hints, "moments"), stage)

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """Return the error, mean over pixels and colours, and the weighted divergence."""
        (trace,) = turn.traces.values()
        found = {}
        if "error" in turn.keeps:
            found["error"] = F.l1_loss(trace.output, trace.real)
        if "kl" in turn.keeps:
            mean, log_variance = trace.hints["moments"].chunk(2, 1)
            nats = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
            found["kl"] = self.params["kl"] * nats.sum() / trace.real.numel()
        return found

    def shown(self, direction: str, items: Batch) -> dict[str, Tensor]:
        """Return the image."""
        return {"input": items["A"]}
