"""The equations of diffusion: schedules, noising and DDIM's steps.

x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) noise, with alpha_bar_t the product of 1 - beta
up to t. Everything here is of float64, however coarse the images are.

Sources: Ho et al. (DDPM), NeurIPS 2020; Song et al. (DDIM), ICLR 2021, eq. 12 and 16; Rombach et
al. (LDM), CVPR 2022, whose word "linear" means `scaled linear` here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

CLEAN = -1  # in place of a time: the image itself, alpha_bar 1

SHAPES = ("linear", "scaled linear")  # of betas; the second is linear in their square roots

NEVER, IMAGE, BOTH = CLIPS = ("never", "image", "both")
"""Whether the clean image that a step implies is cut to [-1, 1], and, with `both`, the noise taken
anew to be what then is left. Latents are not cut; `image` is what diffusers does unless told
otherwise, `both` what the code of improved diffusion does. With few steps the two are far apart."""


def alpha_bars(shape: str, first: float, last: float, times: int) -> Tensor:
    """Return alpha_bar at every time: [times] float64, falling from almost 1 towards 0.

    Args:
        shape: one of `SHAPES`.
        first: the smallest beta, at time 0.
        last: the largest one.
        times: how many.
    """
    power = 2.0 if shape == "scaled linear" else 1.0
    start, end = first ** (1 / power), last ** (1 / power)
    betas = torch.linspace(start, end, times, dtype=torch.float64).pow(power)
    return (1 - betas).cumprod(0)


def noised(images: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return x_t of images, in their own dtype.

    Args:
        images: x_0, [N, C, H, W].
        noise: of the same shape, N(0, 1).
        alpha_bar: [N], of each image's time.
    """
    signal, rest = (
        x.to(images.dtype).view(-1, 1, 1, 1) for x in (alpha_bar.sqrt(), (1 - alpha_bar).sqrt())
    )
    return signal * images + rest * noise


def implied(x: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """Return the x_0 of which x_t would be made with this noise: what `noised` undoes.

    Args:
        x: x_t, [N, C, H, W].
        noise: of the same shape, as predicted.
        alpha_bar: [N], of each image's time.
    """
    signal, rest = (
        y.to(x.dtype).view(-1, 1, 1, 1) for y in (alpha_bar.sqrt(), (1 - alpha_bar).sqrt())
    )
    return (x - rest * noise) / signal


def ddim_times(times: int, steps: int, offset: int, last: int) -> list[tuple[int, int]]:
    """Return the pairs (time, time after the step) of DDIM, from noise to image.

    As LDM's code has them: every (times // steps)-th time, plus `offset`. With 1,000 times, 200
    steps and offset 1 these are 996, 991, ..., 6, 1.

    Args:
        times: of the schedule.
        steps: how many to take.
        offset: the time of the last step but for its multiple of the stride.
        last: where the last step leads: 0 as in LDM's code, or `CLEAN`.
    """
    found = [offset + step * (times // steps) for step in range(steps)]
    return list(zip(reversed(found), [*reversed(found[:-1]), last], strict=True))


class Step(NamedTuple):
    """One step of DDIM; numbers of float64, so that images of float32 stay such."""

    now: float  # alpha_bar of the image it starts from
    then: float  # of the one it leads to
    eta: float  # 0: nothing is drawn; 1: as much noise as DDPM adds
    clip: str  # one of `CLIPS`

    @property
    def sigma(self) -> float:
        """Standard deviation of the noise that is added (DDIM, eq. 16)."""
        variance = (1 - self.then) / (1 - self.now) * (1 - self.now / self.then)
        return self.eta * math.sqrt(variance)

    def __call__(self, x: Tensor, noise: Tensor, fresh: Tensor | None = None) -> Tensor:
        """Return the next image (DDIM, eq. 12).

        Args:
            x: the present image, [N, C, H, W].
            noise: what is predicted to be in it.
            fresh: N(0, 1), needed where `eta` is not 0.
        """
        signal, rest = math.sqrt(self.now), math.sqrt(1 - self.now)
        clean = (x - rest * noise) / signal
        if self.clip != NEVER:
            clean = clean.clamp(-1, 1)
        if self.clip == BOTH:
            noise = (x - signal * clean) / rest
        direction = math.sqrt(max(1 - self.then - self.sigma**2, 0.0))
        found = math.sqrt(self.then) * clean + direction * noise
        if not self.eta:
            return found
        if fresh is None:
            raise ValueError("a step whose eta is not 0 needs fresh noise.")
        return found + self.sigma * fresh


def ddim_steps(
    alpha_bar: Sequence[float], pairs: Sequence[tuple[int, int]], eta: float, clip: str
) -> list[Step]:
    """Return one step per pair of times, as `ddim_times` gives them."""
    at = {CLEAN: 1.0} | dict(enumerate(alpha_bar))
    return [Step(at[now], at[then], eta, clip) for now, then in pairs]


def averaging(step: int, most: float) -> float:
    """Return the decay of an average of weights after a step, counted from 0.

    min(most, (1 + step) / (10 + step)): short-sighted first, so that a short training is averaged
    over its own length. `most` acts only after some 9 / (1 - most) steps.
    """
    return min(most, (1 + step) / (10 + step))
