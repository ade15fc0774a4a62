"""Pix2PixHD's discriminators: the same PatchGAN at full and at half resolution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from torch import Tensor, nn

from bench.contracts.network import OWN, Discriminator
from bench.nets._names import renamed
from bench.nets.patchgan import PatchGAN


class MultiscalePatchGAN(Discriminator):
    """Two PatchGANs with padding 2; the second judges the average-pooled image.

    Hint roles are `d1` ... `d4` of the full scale and `half.d1` ... `half.d4` of the other.
    """

    defaults = {"norm": None}
    choices = {"norm": (None, "batch", "instance")}
    source = "Wang et al., CVPR 2018; NVIDIA/pix2pixHD with num_D 2, n_layers_D 3"
    taps = {
        "d1": 1, "d2": 4, "d3": 7, "d4": 10,
        "half.d1": 1, "half.d2": 4, "half.d3": 7, "half.d4": 10,
    }  # fmt: skip

    def __init__(self, width: int, in_channels: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, in_channels, params)
        self.fine = PatchGAN(width, in_channels, {**params, "padding": 2})
        self.coarse = PatchGAN(width, in_channels, {**params, "padding": 2})
        self.pool = nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False)

    def forward(
        self, x: Tensor, hints: Sequence[str] = ()
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return the logits of both scales and the features that `hints` ask for."""
        of_half = [role.removeprefix("half.") for role in hints if role.startswith("half.")]
        logits, found = self.fine(x, [role for role in hints if not role.startswith("half.")])
        logits_half, found_half = self.coarse(self.pool(x), of_half)
        return logits + logits_half, found | {f"half.{r}": f for r, f in found_half.items()}

    def share(self, other: Self, convolutions: int) -> None:
        """Share as much at either scale."""
        self.fine.share(other.fine, convolutions)
        self.coarse.share(other.coarse, convolutions)

    def layouts(self) -> dict[str, dict[str, str]]:
        """Return NVIDIA's names, in which the full scale is the last, and its own.

        Where features are matched, its layers stand in groups that end with an activation.
        """
        own = {name: name for name in self.state_dict()}
        plain = renamed(own, {"fine.model.": "layer1.", "coarse.model.": "layer0."})
        starts = {}
        for part, scale in (("fine", 1), ("coarse", 0)):
            group, first = 0, 0
            for index, layer in enumerate(getattr(self, part).model):
                starts[f"{part}.model.{index}."] = f"scale{scale}_layer{group}.{index - first}."
                if isinstance(layer, nn.LeakyReLU):
                    group, first = group + 1, index + 1
        grouped = renamed(own, starts)
        return {
            "NVIDIA's pix2pixHD": grouped,
            "NVIDIA's pix2pixHD, --no_ganFeat_loss": plain,
            OWN: own,
        }
