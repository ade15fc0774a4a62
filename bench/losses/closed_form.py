"""How a student of style transfer can start: each convolution from the solution of a regression.

PCA-KD starts from random weights and trains for 45 epochs of MS-COCO. This start is ours, for
budgets that a CPU can afford: every table has to say which start its students had.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.network import Generator
from bench.errors import SuiteError
from bench.maths.least_squares import rank_one_regression, ridge_regression
from bench.maths.pca import Covariance, centred, eigenbasis

RIDGE = 1e-3  # of the mean square of what a convolution sees
ABOVE = 2.0  # standard deviations: the mean before a ReLU, so that channels live


def check_start(student: Any, source: Any) -> None:
    """Refuse networks whose convolutions do not correspond one by one.

    Raises:
        SuiteError: what they should be.
    """
    pairs = zip(student.encoder, source.encoder, strict=True)
    if any(_kinds(a) != _kinds(b) for a, b in pairs):
        names = type(student).__name__, type(source).__name__
        raise SuiteError(
            "`start: closed_form` needs a student and a source model of one layout; "
            f"{names[0]} and {names[1]} are not. Set `start: random`."
        )


def _kinds(block: Any) -> list[str]:
    """Return what the layers of an encoder's block are."""
    found = []
    for layer in block.layers:
        if isinstance(layer, nn.Sequential):
            found.append("convolution" if _mixes(layer) else "depthwise")
        else:
            found.append(type(layer).__name__)
    return found


def _mixes(layer: nn.Module) -> bool:
    """Tell a convolution that sees all channels from a depthwise one, and from other layers."""
    return isinstance(layer, nn.Sequential) and _convolution(layer).groups == 1


@torch.no_grad()
def start_block(
    student: Generator,
    source: Generator,
    level: int,
    basis: Tensor,
    images: Tensor,
    below: Tensor | None = None,
) -> None:
    """Set the weights of one pair of blocks of a student; the blocks before stay as they are.

    In the encoder a convolution is regressed from the patches that it sees, centred image by image,
    onto principal components of the source's map at the same place: the last one onto `basis`,
    others onto the leading components, brought to a mean variance of 1. Its bias lifts the mean to
    two standard deviations, so that the ReLU cuts little. A depthwise convolution is regressed
    channel by channel. It mixes none, so the pointwise one before it makes what brings both
    together nearest to the components at the depthwise one's place; one that begins a block keeps
    to the basis of the channels that enter it, `below`. In the decoder a convolution is regressed
    with an intercept onto what entered the encoder's block, averaged over 2 x 2 pixels where the
    map is still half as large.

    Args:
        student: to be set; its layout is the source's.
        source: whose maps are imitated.
        level: of the blocks, from 0.
        basis: [C_t, C_s], of the source's map of that level.
        images: [N, 3, S, S] in [-1, 1].
        below: the basis of the level before; for blocks that begin with a depthwise convolution.
    """
    mine: Any = student
    theirs: Any = source
    x, s = ((images + 1) / 2,) * 2
    if level:
        x, s = (network.encode(x, level).features[-1] for network in (mine, theirs))
    entered, layers = x, list(mine.encoder[level].layers)
    maps = []
    for layer in theirs.encoder[level].layers:
        s = layer(s)
        maps.append(s)
    for place, layer in enumerate(layers):
        if isinstance(layer, nn.Sequential):
            _start_convolution(layers, place, x, maps, basis, below)
        x = layer(x)
    _start_decoder(mine.decoder[level], x, entered, mine.encoder[level].residual(entered))


def _start_convolution(
    layers: Sequence[Any],
    place: int,
    x: Tensor,
    maps: Sequence[Tensor],
    basis: Tensor,
    below: Tensor | None,
) -> None:
    """Set one convolution of an encoder's block, of what enters it and the source's maps."""
    layer, last = layers[place], len(layers) - 1
    convolution = _convolution(layer)
    is_pair = _mixes(layer) and place < last and _is_depthwise(layers[place + 1])
    aim = place + 1 if is_pair else place  # whose map it is to make, with the next one
    if aim == last:
        components = basis
    elif _mixes(layer) or below is None or place:
        components = _leading(maps[aim], convolution.out_channels)
    else:
        components = below  # whose channels enter, and are not mixed
    target = torch.einsum("nchw,ck->nkhw", centred(maps[aim].double()), components.double())
    if aim != last:
        target = _scaled(target, target.square().mean())
    if is_pair:
        target = _before_depthwise(layers[place + 1], x, target)
    _fit_centred(convolution, _patches(layer, x), target)


def _is_depthwise(layer: Any) -> bool:
    return isinstance(layer, nn.Sequential) and not _mixes(layer)


def _before_depthwise(depthwise: nn.Sequential, x: Tensor, target: Tensor) -> Tensor:
    """Return what a depthwise convolution has to be fed to come near a target, of variance 1.

    A channel whose target is 0 everywhere is fed 0.

    A pointwise convolution and a depthwise one are together, per channel, a convolution of rank
    one: a mixture of channels times a picture of places. That is regressed onto the target.
    """
    seen = _patches(depthwise, x)
    seen = _joined(seen - seen.mean(2, keepdim=True))
    directions = rank_one_regression(seen, _joined(target.flatten(2)), x.shape[1], RIDGE)
    found = torch.einsum("nchw,kc->nkhw", centred(x.double()), directions)
    return _scaled(found, found.square().mean((0, 2, 3), keepdim=True))


def _scaled(target: Tensor, variance: Tensor) -> Tensor:
    """Bring a target to a variance of 1; one that has none stays 0."""
    return target / torch.where(variance > 0, variance, 1.0).sqrt()


def _start_decoder(block: Any, z: Tensor, target: Tensor, skip: Tensor) -> None:
    """Set a decoder's block so that it makes `target` of the map z and the skip."""
    layers = block.before if isinstance(block.before, nn.Sequential) else [block.before]
    for layer in layers:
        if isinstance(layer, nn.Sequential):
            is_half = z.shape[-1] < target.shape[-1]
            _fit(layer, z, F.avg_pool2d(target, 2) if is_half else target)
        z = layer(z)
    _fit(block.after, z + skip if block.adds else torch.cat([z, skip], 1), target)


def _convolution(layers: nn.Sequential) -> nn.Conv2d:
    (found,) = (layer for layer in layers if isinstance(layer, nn.Conv2d))
    return found


def _leading(maps: Tensor, count: int) -> Tensor:
    """Return the leading components of maps, [C, count]."""
    seen = Covariance()
    seen.add(maps)
    return eigenbasis(seen.mean(), count)


def _patches(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Return what a convolution sees through its border: [N, C, H, W] -> [N, C k^2, places]."""
    convolution = _convolution(layers)
    for layer in layers:
        if layer is convolution:
            break
        x = layer(x)
    return F.unfold(x, convolution.kernel_size, stride=convolution.stride).double()


def _fit_centred(layer: nn.Conv2d, seen: Tensor, target: Tensor) -> None:
    """Regress onto targets [N, K, H, W] whose mean over space is 0, and lift the mean."""
    weights, biases = [], []
    for own, rows in zip(
        seen.chunk(layer.groups, 1), target.flatten(2).chunk(layer.groups, 1), strict=True
    ):
        means = own.mean(2, keepdim=True)
        weight = ridge_regression(_joined(own - means), _joined(rows), RIDGE)
        lifted = ABOVE * _joined(rows).square().mean(1).sqrt()
        weights.append(weight)
        biases.append(lifted - weight @ means.mean((0, 2)))
    _set(layer, torch.cat(weights), torch.cat(biases))


def _fit(layers: nn.Sequential, x: Tensor, target: Tensor) -> None:
    """Regress onto targets with an intercept."""
    seen, rows = _joined(_patches(layers, x)), _joined(target.flatten(2).double())
    means = seen.mean(1, keepdim=True), rows.mean(1, keepdim=True)
    weight = ridge_regression(seen - means[0], rows - means[1], RIDGE)
    _set(_convolution(layers), weight, (means[1] - weight @ means[0]).squeeze(1))


def _joined(rows: Tensor) -> Tensor:
    """Put the images of a batch one after the other: [N, D, M] -> [D, N M]."""
    return rows.transpose(0, 1).flatten(1)


def _set(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    layer.weight.copy_(weight.view_as(layer.weight))
    assert layer.bias is not None
    layer.bias.copy_(bias)
