"""Spectral Diffusion's denoising U-Net: wavelet gates halve and double its grids."""

from __future__ import annotations

from torch import Tensor, nn

from bench.errors import SuiteError
from bench.maths.dwt import HAAR, haar, inverse_haar
from bench.nets.ldm_unet import LDMUNet


class SDUNet(LDMUNet):
    """LDM's U-Net whose resamplers weigh the four Haar bands, by gates that follow the features.

    Width 64 at the defaults is Spectral Diffusion's network (21,094,683 parameters at 3 x 64 x 64,
    Table 2). A gate per band, LL, LH, HL, HH: sigmoid(FFN(mean over positions)), FFN = linear C to
    C, SiLU, linear C to 4. Down: the gated sum of the bands, then a 1 x 1 convolution. Up: quarters
    of the channels, gated, are the bands of an image twice as large, then a 1 x 1 convolution from
    C / 4 to C. The convolutions of 3 x 3 that resampled in LDM's network are gone.

    The paper states neither the FFN nor which convolutions stay; of the readings that were tried
    this is the only one that gives its 21.1M parameters and 6.7G MACs, and it gives the 77.6M of
    its text-to-image network too (`context` 768, width 96). The gates see no time but what the
    features hold of it. Hints `gates_downK` and `gates_upK` are the gates between levels K and
    K + 1, [N, 4, 1, 1] in (0, 1), in the order above.
    """

    version = 1
    source = "Yang et al. (Spectral Diffusion), CVPR 2023, section 4.1; which convolutions: ours"
    taps = {
        "decoder1": 1, "decoder2": 2, "decoder3": 3, "decoder4": 4, "decoder5": 5,
        "gates_down1": 1, "gates_down2": 2, "gates_down3": 3, "gates_down4": 4,
        "gates_up1": 1, "gates_up2": 2, "gates_up3": 3, "gates_up4": 4,
    }  # fmt: skip

    def down(self, channels: int) -> nn.Module:
        """Return a gated sum of bands."""
        return GatedDown(channels)

    def up(self, channels: int) -> nn.Module:
        """Return a gated sum of bands, backwards."""
        return GatedUp(channels)

    def _resample(
        self, layer: nn.Module, x: Tensor, embedding: Tensor, place: str, found: dict[str, Tensor]
    ) -> Tensor:
        changed: Tensor
        changed, found[f"gates_{place}"] = layer(x)
        return changed

    def _check(self) -> None:
        super()._check()
        if self.params["residual_resampling"]:
            raise SuiteError("SDUNet: its gates resample; leave residual_resampling at false.")
        for multiple in self.params["multiples"][1:]:
            if multiple * self.width % len(HAAR):
                raise SuiteError(
                    f"SDUNet: a level of {multiple * self.width} channels does not split into "
                    f"{len(HAAR)} bands: choose a width that is a multiple of {len(HAAR)}."
                )


class Gates(nn.Module):
    """How much of each band passes, by the mean features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.ffn = nn.Sequential(
            nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, len(HAAR))
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, 4, 1, 1] in (0, 1)."""
        found: Tensor = self.ffn(x.mean((2, 3)))
        return found.sigmoid()[:, :, None, None]


class GatedDown(nn.Module):
    """[N, C, 2h, 2w] -> [N, C, h, w], and the gates."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates, self.mix = Gates(channels), nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Sum up the gated bands."""
        gates = self.gates(x)
        ll, lh, hl, hh = (g * band for g, band in zip(gates.split(1, 1), haar(x), strict=True))
        return self.mix(ll + lh + hl + hh), gates


class GatedUp(nn.Module):
    """[N, C, h, w] -> [N, C, 2h, 2w], and the gates."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gates = Gates(channels)
        self.mix = nn.Conv2d(channels // len(HAAR), channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Put the gated quarters together."""
        gates = self.gates(x)
        quarters = x.chunk(len(HAAR), 1)
        bands = (g * band for g, band in zip(gates.split(1, 1), quarters, strict=True))
        return self.mix(inverse_haar(*bands)), gates
