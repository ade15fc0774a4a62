"""Sliced Wasserstein distance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.contracts.metric import Features, SetMetric
from bench.maths.bootstrap import Draws, Values
from bench.maths.seed import derive
from bench.metrics import _memo as memo

DIRECTIONS = 512  # the paper's 4 repeats of 128
AT_ONCE = 32  # directions projected on at once
OF_ERROR = 64  # directions from which the sampling error is computed
KEPT = 2**28  # bytes of a real set's projections that are kept for the next student
LEAST = 1e-6  # standard deviation of a channel, in [0, 1]: below it there is only rounding


class SWD(SetMetric):
    """Sliced Wasserstein distance between patches of Laplacian pyramids, one score per level.

    Each channel of a set's patches is normalised by the set's own mean and standard deviation, so
    a global shift of brightness, contrast or colour is not seen. Then the 1-D Wasserstein-1
    distance along 512 random directions, mean over them, times 1000. `swd_64`, `swd_32`, `swd_16`
    are by the height of the level in pixels, fine to coarse; `swd` is their mean. NaN where a
    channel of a level has no contrast. Needs no weights. Biased upwards where images are few.

    Which patches are cut depends on an image's place in its set alone, so an output and the ground
    truth of the same place are compared at the same spots: on paired data the values are below
    those of independent patches, as published ones are, and not comparable with them.
    """

    source = "Karras et al., ICLR 2018, arXiv:1710.10196, section 5; sets may differ in size"
    label = "SWD"
    presets = ("offline",)
    better = "lower"
    features = "laplacian"
    headline = "swd"
    undefined = "a channel of one set has no contrast at some level"
    checks = {
        "the same patches in another order": (
            {"16": torch.linspace(0, 1, 588).square().view(2, 2, 3, 49)},
            {"16": torch.linspace(0, 1, 588).square().view(2, 2, 3, 49).flip(0)},
            {"swd_16": 0.0, "swd": 0.0},
        ),
        "a quarter of the contrast: normalised away": (
            {"16": torch.linspace(0, 1, 588).square().view(2, 2, 3, 49)},
            {"16": torch.linspace(0, 1, 588).square().view(2, 2, 3, 49) / 4},
            {"swd_16": 0.0},
        ),
    }

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        """Return the distance at each level, and the mean over levels."""
        values = {f"swd_{x}": 1e3 * sliced(outputs[x], real[x]) for x in sorted(real)}
        return values | {"swd": math.fsum(values.values()) / len(values)}

    def resampled(self, outputs: Features, real: Features, draws: Draws) -> dict[str, Values]:
        """Return the distances of each resample, to first order in how often it holds each image.

        The slope by each image's weight is exact, normalisation included, along 64 of the 512
        directions; sorting 200 resamples anew would cost 200 distances.
        """
        found = {}
        for level in sorted(real):  # whose order depends on whether they came from a file
            value, of_outputs, of_real = slopes(outputs[level], real[level])
            moved = draws.outputs / len(of_outputs) @ of_outputs
            moved += draws.real / len(of_real) @ of_real
            found[f"swd_{level}"] = 1e3 * (value + moved)
        return found | {"swd": np.mean(list(found.values()), axis=0)}


def sliced(a: Tensor, b: Tensor) -> float:
    """Return the sliced Wasserstein-1 distance of patches normalised per channel.

    Args:
        a: [N, P, C, K]: images, patches, channels, pixels.
        b: [M, P, C, K]; M may differ from N.
    """
    in_a, in_b, mass = quantiles(len(a) * a.shape[1], len(b) * b.shape[1])
    is_kept = 4 * DIRECTIONS * len(b) * b.shape[1] <= KEPT
    reals = memo.shared.recall(_projections, b) if is_kept else _projected(b)
    total = 0.0
    for of_a, of_b in zip(_projected(a), reals, strict=True):
        apart = np.abs(of_a.numpy().take(in_a, 1) - of_b.numpy().take(in_b, 1), dtype=np.float64)
        total += float((apart @ mass).sum())
    return total / DIRECTIONS


def slopes(a: Tensor, b: Tensor) -> tuple[float, Values, Values]:
    """Return how `sliced` moves with the weight of each image.

    With weights the distance along a direction is the integral of |F_a - F_b|, where each patch
    adds its image's weight to the distribution function of its set, and where means and deviations
    of channels are weighted too.

    Args:
        a: [N, P, C, K]: images, patches, channels, pixels.
        b: [M, P, C, K].

    Returns:
        The distance along the first 64 directions, and its derivatives by the images' weights, [N]
        and [M], less their means, so that weights add up to one.
    """
    sets = (a, b)
    weights = [torch.full((len(x),), 1 / len(x), dtype=torch.float64) for x in sets]
    flat = [x.flatten(2).flatten(0, 1) for x in sets]
    drawn = directions(a.shape[2] * a.shape[3])[:OF_ERROR]
    total = 0.0
    with torch.enable_grad():
        towards = []
        for x, weight in zip(sets, weights, strict=True):
            weight.requires_grad_()
            towards.append(_of_weighted(x, weight, drawn))
        mass = torch.cat([weights[0].repeat_interleave(a.shape[1]) / a.shape[1],
                          -weights[1].repeat_interleave(b.shape[1]) / b.shape[1]])  # fmt: skip
        for first in range(0, OF_ERROR, AT_ONCE // 4):
            some = slice(first, first + AT_ONCE // 4)
            places = torch.cat(
                [
                    torch.addmm(t[some, -1:], t[some, :-1], x.T)
                    for t, x in zip(towards, flat, strict=True)
                ],
                1,
            )
            order = torch.from_numpy(np.argsort(places.detach().numpy(), axis=1))
            gaps = places.gather(1, order).diff(dim=1)
            distance = (mass[order].cumsum(1)[:, :-1].abs() * gaps).sum()
            distance.backward(retain_graph=True)  # type: ignore[no-untyped-call]
            total += distance.item()
    of_a, of_b = (cast(Tensor, w.grad).numpy() / OF_ERROR for w in weights)
    return total / OF_ERROR, of_a - of_a.mean(), of_b - of_b.mean()


def _of_weighted(patches: Tensor, weights: Tensor, drawn: Tensor) -> Tensor:
    """Fold the normalisation of weighted images into directions, as `_of_normalised`."""
    moments = [(patches.double() ** power).mean((1, 3)) for power in (1, 2)]  # by image, channel
    mean, square = (weights @ moment for moment in moments)
    std = (square - mean**2).sqrt()
    std = std.where(std > LEAST, math.nan)
    scaled = drawn.view(-1, *patches.shape[2:]) / std[:, None]
    offset = -(scaled * mean[:, None]).sum((1, 2))
    return torch.cat([scaled.flatten(1), offset[:, None]], 1).float()


def directions(dimensions: int) -> Tensor:
    """Return 512 random unit vectors [512, D]; always the same."""
    random = np.random.default_rng(derive("swd directions", dimensions))
    drawn = random.standard_normal((DIRECTIONS, dimensions))
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).float()


def quantiles(n: int, m: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Cut [0, 1] where the quantile function of n or of m samples steps.

    Returns:
        For each piece, which of n sorted samples lies there, which of m, and how long it is: at
        most n + m - 1 pieces. With these the 1-D Wasserstein-1 distance is a weighted sum.
    """
    common = math.lcm(n, m)  # in these units all steps are at whole numbers
    steps = np.union1d(np.arange(n) * (common // n), np.arange(m) * (common // m))
    return (
        steps // (common // n),
        steps // (common // m),
        np.diff(steps, append=common) / common,
    )


def _of_normalised(patches: Tensor, drawn: Tensor) -> Tensor:
    """Fold the normalisation of [N, P, C, K] into directions [Q, C K].

    Returns:
        [Q, C K + 1]: directions for the patches as they are, and what to add to the projections.
    """
    std, mean = torch.std_mean(patches, dim=(0, 1, 3), correction=0)
    std = std.where(std > LEAST, math.nan)
    scaled = drawn.view(-1, *patches.shape[2:]) / std[:, None]
    offset = -(scaled * mean[:, None]).sum((1, 2))
    return torch.cat([scaled.flatten(1), offset[:, None]], 1)


def _projected(patches: Tensor) -> Iterator[Tensor]:
    """Yield the projections of [N, P, C, K] in order, for some directions at a time: [Q, N P]."""
    towards = _of_normalised(patches, directions(patches.shape[2] * patches.shape[3]))
    flat = patches.flatten(2).flatten(0, 1)
    for first in range(0, DIRECTIONS, AT_ONCE):
        some = towards[first : first + AT_ONCE]
        places = torch.addmm(some[:, -1:], some[:, :-1], flat.T)
        yield torch.from_numpy(np.sort(places.numpy(), axis=1))


def _projections(patches: Tensor) -> tuple[Tensor, ...]:
    return tuple(_projected(patches))
