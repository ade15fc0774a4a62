"""Latent diffusion's denoising U-Net: an image and a time in, the noise that is in it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.network import Generator
from bench.errors import SuiteError
from bench.nets._denoising import (
    AttentionBlock,
    Downsample,
    ResBlock,
    SpatialTransformer,
    Upsample,
    group_norm,
    time_features,
    zeroed,
)

LEVELS = 5  # at most; of each there is a hint


class LDMUNet(Generator):
    """U-Net of residual blocks, with attention on coarse grids, that is told the time.

    Width 224 at the defaults is LDM's network for FFHQ, CelebA-HQ and LSUN bedrooms (274,056,163
    parameters at 3 x 64 x 64), width 64 is Spectral Diffusion's Lite-LDM. Level k has the k-th of
    `multiples` x width channels and a grid of size / 2^(k - 1). `attention` lists the factors of
    downsampling at which each of the `blocks` residual blocks is followed by attention, as the
    middle always is. It has `heads`, or, at 0, one per `head_width` channels and at least one.
    With a `context` it also attends to vectors of that length (text, classes), which come as a
    third input: [N, M, context]. `scale_shift` and `residual_resampling` are LDM's of LSUN
    churches: the time scales and shifts the norm, and residual blocks that average or repeat pixels
    resample.

    Images are [N, `channels`, S, S], pixels or latents, times [N], the output is unbounded. The
    last convolutions of all blocks and of the network start at 0, the rest as torch draws it. A
    hint `decoderK` is what the last block of level K puts out, [N, C, H, W]; level 1 is the finest.
    """

    defaults = {
        "multiples": [1, 2, 3, 4],
        "blocks": 2,
        "attention": [2, 4, 8],
        "heads": 0,
        "head_width": 32,
        "context": 0,
        "channels": 3,
        "scale_shift": False,
        "residual_resampling": False,
    }
    version = 2
    source = "Rombach et al. (LDM), CVPR 2022; CompVis/latent-diffusion, openaimodel.py"
    taps = {"decoder1": 1, "decoder2": 2, "decoder3": 3, "decoder4": 4, "decoder5": 5}

    def __init__(self, width: int, size: int, params: Mapping[str, Any]) -> None:
        super().__init__(width, size, params)
        multiples, self.blocks = params["multiples"], params["blocks"]
        self.levels, self.embedded = len(multiples), 4 * width
        self._check()
        widths = [multiple * width for multiple in multiples]
        self.time_embed = nn.Sequential(
            nn.Linear(width, self.embedded), nn.SiLU(), nn.Linear(self.embedded, self.embedded)
        )
        now = width
        self.input_blocks = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(params["channels"], now, 3, padding=1))]
        )
        skips = [now]
        for level, after in enumerate(widths):
            for _ in range(self.blocks):
                self.input_blocks.append(self._block(now, after, level))
                now = after
                skips.append(now)
            if level < self.levels - 1:
                self.input_blocks.append(nn.Sequential(self.down(now)))
                skips.append(now)
        attending = self._attention(now)
        self.middle_block = nn.Sequential(self._res(now, now), attending, self._res(now, now))
        self.output_blocks = nn.ModuleList()
        for level, after in reversed(list(enumerate(widths))):
            for number in range(self.blocks + 1):
                block = self._block(now + skips.pop(), after, level)
                now = after
                if level and number == self.blocks:
                    block.append(self.up(now))
                self.output_blocks.append(block)
        last = zeroed(nn.Conv2d(now, params["channels"], 3, padding=1))
        self.out = nn.Sequential(group_norm(now), nn.SiLU(), last)

    def initialise(self) -> None:
        """Stay as built."""

    def example(self, batch: int = 1, sides: tuple[int, int] | None = None) -> tuple[Tensor, ...]:
        """Return an image and a time of zeros; and one vector, where there is a context."""
        given = self.params["context"]
        image = torch.zeros(batch, self.params["channels"], *(sides or (self.size, self.size)))
        context = (torch.zeros(batch, 1, given),) if given else ()
        return (image, torch.zeros(batch, dtype=torch.int64), *context)

    def down(self, channels: int) -> nn.Module:
        """Return what halves a grid."""
        if self.params["residual_resampling"]:
            return self._res(channels, channels, nn.AvgPool2d(2))
        return Downsample(channels)

    def up(self, channels: int) -> nn.Module:
        """Return what doubles a grid."""
        if self.params["residual_resampling"]:
            return self._res(channels, channels, nn.Upsample(scale_factor=2.0))
        return Upsample(channels)

    def forward(  # type: ignore[override]
        self, x: Tensor, time: Tensor, context: Tensor | None = None, hints: Sequence[str] = ()
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the noise, [N, C, S, S], and the features that `hints` ask for by role.

        Raises:
            SuiteError: a hint of a level that there is not.
        """
        embedding = self.time_embed(time_features(time, self.width).to(x.dtype))
        found: dict[str, Tensor] = {}
        skips: list[Tensor] = []
        for number, block in enumerate(self.input_blocks):
            level, place = divmod(number - 1, self.blocks + 1)
            if place == self.blocks and number:
                x = self._resample(next(block.children()), x, embedding, f"down{level + 1}", found)
            else:
                x = self._run(block.children(), x, embedding, context)
            skips.append(x)
        x = self._run(self.middle_block.children(), x, embedding, context)
        for number, block in enumerate(self.output_blocks):
            before, place = divmod(number, self.blocks + 1)
            level, is_last = self.levels - before, place == self.blocks
            layers = list(block.children())
            up = layers.pop() if is_last and level > 1 else None
            x = self._run(layers, torch.cat([x, skips.pop()], 1), embedding, context)
            if is_last:
                found[f"decoder{level}"] = x
            if up is not None:
                x = self._resample(up, x, embedding, f"up{level - 1}", found)
        for role in hints:
            if role not in found:
                raise SuiteError(
                    f"{type(self).__name__} with {self.levels} levels has no hint {role!r}; it has "
                    f"{', '.join(sorted(found))}."
                )
        return self.out(x), {role: found[role] for role in hints}

    def _resample(
        self, layer: nn.Module, x: Tensor, embedding: Tensor, place: str, found: dict[str, Tensor]
    ) -> Tensor:
        """Halve or double a grid; what there is to tell of it goes into `found`."""
        changed: Tensor = layer(x, embedding) if isinstance(layer, ResBlock) else layer(x)
        return changed

    def _run(
        self, layers: Iterable[nn.Module], x: Tensor, embedding: Tensor, context: Tensor | None
    ) -> Tensor:
        for layer in layers:
            if isinstance(layer, ResBlock):
                x = layer(x, embedding)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, context)
            else:
                x = layer(x)
        return x

    def _block(self, before: int, after: int, level: int) -> nn.Sequential:
        """Return a residual block, and attention where the level has it."""
        found = nn.Sequential(self._res(before, after))
        if 2**level in self.params["attention"]:
            found.append(self._attention(after))
        return found

    def _res(self, before: int, after: int, resample: nn.Module | None = None) -> ResBlock:
        scale_shift = self.params["scale_shift"]
        return ResBlock(before, after, self.embedded, scale_shift=scale_shift, resample=resample)

    def _attention(self, channels: int) -> nn.Module:
        """Return attention of as many heads as the parameters say.

        Raises:
            SuiteError: they do not divide the channels.
        """
        heads = self.params["heads"] or max(1, channels // self.params["head_width"])
        if channels % heads:
            raise SuiteError(
                f"{type(self).__name__}: {heads} heads of attention do not divide {channels} "
                f"channels: choose another width than {self.width}, or `heads`."
            )
        given = self.params["context"]
        if given:
            return SpatialTransformer(channels, given, heads)
        return AttentionBlock(channels, heads)

    def _check(self) -> None:
        """Refuse what cannot be built.

        Raises:
            SuiteError: what, and what it should be.
        """
        name, p = type(self).__name__, self.params
        are_counts = all(isinstance(m, int) and m >= 1 for m in p["multiples"])
        if not (1 <= self.levels <= LEVELS and are_counts):
            raise SuiteError(
                f"{name}: multiples: give 1 to {LEVELS} whole numbers, found {p['multiples']}."
            )
        for key in ("blocks", "head_width", "channels"):
            if p[key] < 1:
                raise SuiteError(f"{name}: {key}: should be at least 1, found {p[key]}.")
        multiple = 2 ** (self.levels - 1)
        if self.size % multiple:
            raise SuiteError(
                f"{name}: {self.levels} levels need a side that is a multiple of {multiple} "
                f"pixels, found {self.size}: set `size`, or fewer `multiples`."
            )
