"""Spectrum-aware distillation: rare frequencies of the target count more."""

from __future__ import annotations

from bench.losses.spectral import SpectralDistillation


class SD(SpectralDistillation):
    """Features and images compared in space and in frequency; a port of a diffusion method.

    Spectral Diffusion distils the denoising network of a latent diffusion model, whose small
    student misses high frequencies. Here a generator takes its place: the target x_0 is a real
    image of the output's domain (the ground truth where data are paired), and the predicted noise
    is the image. The student's wavelet gates are part of its network, not of this loss.

    With d_i = f_t - A_i f_s over the four hints, A_i a 1x1 convolution, and the difference of the
    two images, which needs none:

        spatial    sum_i mean d_i^2
        frequency  sum_i mean w_i |DFT d_i|^2,  w_i = |DFT(x_0 resized to d_i)|^exponent

    The paper weights by the inverse spectrum (`exponent` below 0), but its value and those of the
    two weights could not be read, and no official code was found. Choices of ours: exponent -1,
    both weights 0.1, means instead of sums, the magnitude of x_0 averaged over channels and at
    least a thousandth of its largest value, w_i with mean 1 and the transform orthonormal. By
    Parseval both terms are then equal at `exponent` 0.
    """

    defaults = {"spatial": 0.1, "frequency": 0.1, "exponent": -1.0}
    strength = ("spatial", "frequency")
    source = "Yang et al. (Diffusion Probabilistic Model Made Slim), CVPR 2023"
    port = "port of a diffusion method"
    hints = ("down", "mid1", "mid2", "up")
