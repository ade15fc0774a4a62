"""Spectrum-aware distillation: rare frequencies of the target count more."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.contracts.distiller import Distiller, Layout, Trace, check_grids
from bench.errors import SuiteError
from bench.maths.fourier import STEEPEST, spectral_weight, weighted_power


class SD(Distiller):
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

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create a 1x1 convolution per hint, in torch's own initialisation.

        Raises:
            SuiteError: a hint of the student has another size than the teacher's, or weights with
                this `exponent` may not be finite.
        """
        if not abs(self.params["exponent"]) <= STEEPEST:
            raise SuiteError(
                f"sd: exponent: should be from {-STEEPEST} to {STEEPEST}: "
                f"{self.params['exponent']}."
            )
        check_grids(self.hints, student, teacher)
        self.adapters = nn.ModuleDict(
            {
                role: nn.Conv2d(student.hints[role][0], teacher.hints[role][0], 1)
                for role in self.hints
            }
        )

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return the spatial and the frequency term, each summed over hints and image."""
        maps = [self.adapters[r](student.hints[r]) - teacher.hints[r] for r in self.hints]
        maps.append(student.output - teacher.output)
        sizes = {(x.shape[2], x.shape[3]) for x in maps}
        exponent = self.params["exponent"]
        weights = {size: spectral_weight(student.real, size, exponent) for size in sizes}
        spatial = [x.square().mean() for x in maps]
        frequency = [weighted_power(x, weights[x.shape[2], x.shape[3]]) for x in maps]
        return {
            "spatial": self.params["spatial"] * torch.stack(spatial).sum(),
            "frequency": self.params["frequency"] * torch.stack(frequency).sum(),
        }
