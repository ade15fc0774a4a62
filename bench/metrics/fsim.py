"""Feature similarity: phase congruency and gradients, with and without colour."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.metric import ImageMetric
from bench.metrics import _memo as memo

RGB_TO_YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
SCALES, ORIENTATIONS = 4, 4
WAVELENGTH = 6.0  # of the smallest scale, in pixels; doubles from scale to scale
BANDWIDTH = 0.55  # standard deviation of a log-Gabor filter over its centre frequency
ANGLE = math.pi / ORIENTATIONS / 1.2  # standard deviation of the angular Gaussian, in radians
CUTOFF, ORDER = 0.45, 15  # of the Butterworth low-pass, in cycles per pixel
NOISE_DEVIATIONS = 2.0  # above the mean noise, below which energy is noise
NOISE_SCALING = 1.7  # how much the estimate exceeds the noise of this measure
EPSILON = 1e-4
FLAT = 1e-3  # levels of 255: what varies less does not vary, it is rounded
T1, T2, T3, T4, LAMBDA = 0.85, 160.0, 200.0, 200.0, 0.03  # of Zhang et al., section III

_GREY = torch.linspace(0.2, 0.8, 1024).view(1, 1, 32, 32).square().expand(1, 3, 32, 32)


class FSIM(ImageMetric):
    """FSIM of the luminance and FSIMc with colour, per image, then the mean over images.

    Computed on levels 0 to 255. An image whose shorter side is 384 px or more is first averaged
    over blocks of F x F, with F = that side / 256, rounded half up. Where the product of the two
    chrominance similarities is negative, the real part of its power counts, as in the authors'
    code. Where nothing varies, phase congruency is 0: an image of one colour scores low against any
    other, and two such images have no score (NaN).
    """

    source = (
        "Zhang et al., IEEE TIP 2011, eq. 1-13, with the YIQ matrix and the constants of the "
        "authors' FeatureSIM; phase congruency: Kovesi 1999"
    )
    label = "FSIM"
    presets = ("paper", "offline")
    digits = 4
    better = "higher"
    needs = ("target",)
    version = 2
    headline = "fsim"
    undefined = "an output and its ground truth are both of one colour"
    checks = {
        "the same image": (
            torch.linspace(0, 1, 3072).square().view(1, 3, 32, 32),
            torch.linspace(0, 1, 3072).square().view(1, 3, 32, 32),
            {"fsim": 1.0, "fsimc": 1.0},
        ),
        "a constant hue, at the same luminance, over grey": (
            _GREY,
            _GREY + 0.2 * torch.tensor([0.587, -0.299, 0.0]).view(3, 1, 1),
            {
                "fsim": 1.0,
                "fsimc": (200 / (200 + (51 * 0.431778) ** 2) * 200 / (200 + (51 * 0.280234) ** 2))
                ** 0.03,
            },
        ),
    }

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.scores: list[list[float]] = []

    def add(self, output: Tensor, target: Tensor) -> None:
        """Score each image by itself."""
        pairs = zip(output, target, strict=True)
        self.scores += torch.stack([_similarity(a, b) for a, b in pairs]).tolist()

    def each(self) -> dict[str, list[float]]:
        """Return both of each image."""
        fsim, fsimc = (list(scores) for scores in zip(*self.scores, strict=True))
        return {"fsim": fsim, "fsimc": fsimc}


def _similarity(output: Tensor, target: Tensor) -> Tensor:
    """[3, H, W] in [0, 1] twice -> [2] float64: FSIM (eq. 5) and FSIMc (eq. 13)."""
    (luma_a, i_a, q_a), (luma_b, i_b, q_b) = _yiq(output), _yiq(target)
    congruency_a, gradient_a = _structure(luma_a)
    congruency_b, gradient_b = memo.shared.recall(_structure, luma_b)
    weight = torch.maximum(congruency_a, congruency_b)
    alike = _alike(congruency_a, congruency_b, T1) * _alike(gradient_a, gradient_b, T2) * weight
    hue = _alike(i_a, i_b, T3) * _alike(q_a, q_b, T4)
    power = hue.abs().pow_(LAMBDA)
    power = torch.where(hue < 0, power * math.cos(math.pi * LAMBDA), power)
    sums = [x.sum(dtype=torch.float64) for x in (alike, alike * power)]
    return torch.stack(sums) / weight.sum(dtype=torch.float64)


def _alike(a: Tensor, b: Tensor, constant: float) -> Tensor:
    """Return the similarity of two maps, pixel by pixel (eq. 1, 2, 10 and 11)."""
    return (2 * a * b + constant) / (a * a + b * b + constant)


def _yiq(image: Tensor) -> tuple[Tensor, ...]:
    """[3, H, W] in [0, 1] -> luminance, I and Q on a scale of 255, at the size they are scored."""
    image = image * 255
    factor = int(min(image.shape[-2:]) / 256 + 0.5)
    if factor > 1:
        image = F.avg_pool2d(image, factor)
    yiq: Tensor = torch.tensordot(image.new_tensor(RGB_TO_YIQ), image, 1)
    return yiq.unbind()


def _structure(luma: Tensor) -> tuple[Tensor, Tensor]:
    """[H, W] -> phase congruency and gradient magnitude, both [H, W]."""
    return _phase_congruency(luma), _gradient(luma)


def _gradient(luma: Tensor) -> Tensor:
    """Return the magnitude of the Scharr gradient, with zeros around the image (eq. 9)."""
    around = F.pad(luma, (1, 1, 1, 1))
    x = around[:, 2:] - around[:, :-2]
    y = around[2:] - around[:-2]
    x = (x[2:] + x[:-2]).mul_(3).add_(x[1:-1], alpha=10)
    y = (y[:, 2:] + y[:, :-2]).mul_(3).add_(y[:, 1:-1], alpha=10)
    return x.square_().addcmul_(y, y).sqrt_().div_(16)


def _phase_congruency(luma: Tensor) -> Tensor:
    """[H, W] on a scale of 255 -> [H, W] in [0, 1] (eq. 6 and 7, summed over orientations)."""
    if luma.max() - luma.min() < FLAT:
        return torch.zeros_like(luma)
    filters, thresholds = _filters(*luma.shape, luma.dtype, luma.device)
    spectrum = torch.fft.fft2(luma)
    energies, amplitudes = torch.zeros_like(luma), torch.zeros_like(luma)
    for of_scales, threshold in zip(filters, thresholds, strict=True):
        responses = torch.view_as_real(torch.fft.ifft2(spectrum * of_scales))
        even, odd = (x.contiguous() for x in responses.unbind(-1))  # [scales, H, W]
        amplitude = (even * even).addcmul_(odd, odd).sqrt_()
        amplitudes += amplitude.sum(0)
        e, o = even.sum(0), odd.sum(0)
        square = (e * e).addcmul_(o, o)
        # (e, o) is the mean direction, not yet of length one: cosines add up to its square
        sines = (even * o).addcmul_(odd, e, value=-1).abs_().sum(0)
        energy = (square - sines) / (square.sqrt() + EPSILON)
        energies += energy.sub_(threshold * _median(amplitude[0])).clamp_min_(0)
    return torch.where(amplitudes > 0, energies / amplitudes, 0)


def _median(x: Tensor) -> float:
    """Return the median; numpy selects it ten times faster than torch."""
    values = x.flatten().cpu().numpy()
    middle = values.size // 2
    parts = np.partition(values, middle)
    if values.size % 2:
        return float(parts[middle])
    return (float(parts[middle]) + float(parts[:middle].max())) / 2


@functools.lru_cache(maxsize=4)
def _filters(
    height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, list[float]]:
    """Return log-Gabor filters and how much of the response's median is noise.

    Returns:
        [orientations, scales, H, W] over the frequencies of an FFT; and by orientation the noise
        threshold of the energy over the median amplitude of the smallest scale.
    """
    y, x = torch.meshgrid(_frequencies(height), _frequencies(width), indexing="ij")
    radius, angle = torch.hypot(x, y), torch.atan2(-y, x)
    low_pass = 1 / (1 + (radius / CUTOFF) ** (2 * ORDER))
    radius[0, 0] = 1  # the logarithm of 0; no filter lets the mean through
    low_pass[0, 0] = 0
    relative = radius * WAVELENGTH * 2.0 ** torch.arange(SCALES).view(-1, 1, 1)
    radial = low_pass * torch.exp(-(relative.log() ** 2) / (2 * math.log(BANDWIDTH) ** 2))
    turned = angle - torch.arange(ORIENTATIONS).view(-1, 1, 1, 1) * (math.pi / ORIENTATIONS)
    turned = torch.atan2(turned.sin(), turned.cos())  # to [-pi, pi]
    filters = radial * torch.exp(-(turned**2) / (2 * ANGLE**2))
    # The amplitude of noise is Rayleigh distributed. Its power follows from the median of the
    # smallest scale; what reaches the sum over scales, from the filters' even parts (Parseval).
    opposite = filters.flip(-1, -2).roll((1, 1), (-1, -2))
    even = ((filters + opposite) / 2).sum(1).square().sum((-1, -2))
    smallest = filters[:, 0].square().sum((-1, -2))
    deviation = (even / smallest / math.log(2)).sqrt()
    mean_and_spread = math.sqrt(math.pi / 2) + NOISE_DEVIATIONS * math.sqrt(2 - math.pi / 2)
    thresholds = deviation * mean_and_spread / NOISE_SCALING
    return filters.to(device, dtype), thresholds.tolist()


def _frequencies(n: int) -> Tensor:
    """[n] float64 in FFT order; Kovesi spreads an odd number of them over [-1/2, 1/2]."""
    steps = torch.arange(n, dtype=torch.float64) - n // 2
    frequencies: Tensor = torch.fft.ifftshift(steps / (n - 1 if n % 2 else n))
    return frequencies
