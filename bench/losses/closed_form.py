"""How a student of style transfer can start: each convolution from the solution of a regression.

PCA-KD starts from random weights and trains for 45 epochs of MS-COCO. This start is ours, for
budgets that a CPU can afford: every table has to say which start its students had.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.network import Generator
from bench.errors import SuiteError
from bench.maths.least_squares import ridge_regression
from bench.maths.pca import Covariance, centred, eigenbasis

RIDGE = 1e-3  # of the mean square of what a convolution sees
ABOVE = 2.0  # standard deviations: the mean before a ReLU, so that channels live


def check_start(student: Any, source: Any) -> None:
    """Refuse networks whose convolutions do not correspond one by one.

    Raises:
        SuiteError: what they should be.
    """
    pairs = zip(student.encoder, source.encoder, strict=True)
    if any(_kinds(a) != _kinds(b) or "grouped" in _kinds(a) for a, b in pairs):
        names = type(student).__name__, type(source).__name__
        raise SuiteError(
            "`start: closed_form` needs a student and a source model of one layout, without "
            f"depthwise convolutions; {names[0]} and {names[1]} are not. Set `start: random`."
        )


def _kinds(block: Any) -> list[str]:
    """Return what the layers of an encoder's block are."""
    found = []
    for layer in block.layers:
        if isinstance(layer, nn.Sequential):
            grouped = any(isinstance(x, nn.Conv2d) and x.groups > 1 for x in layer)
            found.append("grouped" if grouped else "convolution")
        else:
            found.append(type(layer).__name__)
    return found


@torch.no_grad()
def start_block(
    student: Generator, source: Generator, level: int, basis: Tensor, images: Tensor
) -> None:
    """Set the weights of one pair of blocks of a student; the blocks before stay as they are.

    In the encoder a convolution is regressed from the patches that it sees, centred image by image,
    onto principal components of the source's map at the same place: the last one onto `basis`,
    others onto the leading components, brought to a mean variance of 1. Its bias lifts the mean to
    two standard deviations, so that the ReLU cuts little. In the decoder a convolution is regressed
    with an intercept onto what entered the encoder's block, averaged over 2 x 2 pixels where the
    map is still half as large.

    Args:
        student: to be set; its layout is the source's.
        source: whose maps are imitated.
        level: of the blocks, from 0.
        basis: [C_t, C_s], of the source's map of that level.
        images: [N, 3, S, S] in [-1, 1].
    """
    mine: Any = student
    theirs: Any = source
    x, s = ((images + 1) / 2,) * 2
    if level:
        x, s = (network.encode(x, level).features[-1] for network in (mine, theirs))
    entered, blocks = x, (mine.encoder[level].layers, theirs.encoder[level].layers)
    last = len(blocks[0]) - 1
    for place, (layer, above) in enumerate(zip(*blocks, strict=True)):
        s = above(s)
        if isinstance(layer, nn.Sequential):
            convolution = _convolution(layer)
            target = _components(s, convolution.out_channels, basis if place == last else None)
            _fit_centred(convolution, x, target)
        x = layer(x)
    _start_decoder(mine.decoder[level], x, entered, mine.encoder[level].residual(entered))


def _start_decoder(block: Any, z: Tensor, target: Tensor, skip: Tensor) -> None:
    """Set a decoder's block so that it makes `target` of the map z and the skip."""
    layers = block.before if isinstance(block.before, nn.Sequential) else [block.before]
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            is_half = z.shape[-1] < target.shape[-1]
            _fit(_convolution(layer), z, F.avg_pool2d(target, 2) if is_half else target)
        z = layer(z)
    _fit(_convolution(block.after), z + skip if block.adds else torch.cat([z, skip], 1), target)


def _convolution(layers: nn.Sequential) -> nn.Conv2d:
    (found,) = (layer for layer in layers if isinstance(layer, nn.Conv2d))
    return found


def _components(maps: Tensor, count: int, basis: Tensor | None) -> Tensor:
    """Return maps, centred over space, in a basis or in their leading components of variance 1."""
    x = centred(maps.double())
    if basis is not None:
        return torch.einsum("nchw,ck->nkhw", x, basis.double())
    seen = Covariance()
    seen.add(maps)
    found = torch.einsum("nchw,ck->nkhw", x, eigenbasis(seen.mean(), count))
    return found / found.square().mean().sqrt()


def _patches(x: Tensor) -> Tensor:
    """Return what a 3 x 3 convolution over reflected borders sees: [N, C, H, W] -> [N, 9C, HW]."""
    return F.unfold(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3).double()


def _fit_centred(layer: nn.Conv2d, x: Tensor, target: Tensor) -> None:
    """Regress onto targets [N, K, H, W] whose mean over space is 0, and lift the mean."""
    seen = _patches(x)
    means = seen.mean(2, keepdim=True)
    rows = target.flatten(2)
    weight = ridge_regression(_joined(seen - means), _joined(rows), RIDGE)
    lifted = ABOVE * _joined(rows).square().mean(1).sqrt()
    _set(layer, weight, lifted - weight @ means.mean((0, 2)))


def _fit(layer: nn.Conv2d, x: Tensor, target: Tensor) -> None:
    """Regress onto targets with an intercept."""
    seen, rows = _joined(_patches(x)), _joined(target.flatten(2).double())
    means = seen.mean(1, keepdim=True), rows.mean(1, keepdim=True)
    weight = ridge_regression(seen - means[0], rows - means[1], RIDGE)
    _set(layer, weight, (means[1] - weight @ means[0]).squeeze(1))


def _joined(rows: Tensor) -> Tensor:
    """Put the images of a batch one after the other: [N, D, M] -> [D, N M]."""
    return rows.transpose(0, 1).flatten(1)


def _set(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(weight.view_as(layer.weight))
    assert layer.bias is not None
    layer.bias.copy_(bias)
