"""What Spectral Diffusion's distillation and its port to translation share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.contracts.distiller import Distiller, Layout, Trace, check_grids
from bench.errors import SuiteError
from bench.maths.fourier import FLOOR, STEEPEST, spectral_weight, weighted_power


class SpectralDistillation(Distiller):
    """Hints and outputs compared in space and in frequency.

    With d_i = A_i f_s - f_t over the hints, A_i a 1x1 convolution, and the difference of the two
    outputs, which needs none:

        spatial    sum_i mean d_i^2
        frequency  sum_i mean w_i |DFT d_i|^2,  w_i = |DFT(x_0 resized to d_i)|^exponent

    x_0 is the trace's `real`; w_i has mean 1 and the transform is orthonormal, so that by Parseval
    both terms are equal at `exponent` 0. Parameters: `spatial` and `frequency`, the weights of the
    terms, `exponent`, and perhaps `floor` and `spectrum_of`, as of `spectral_weight`.
    """

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
        """Return the spatial and the frequency term, each summed over hints and output."""
        p = self.params
        maps = [self.adapters[r](student.hints[r]) - teacher.hints[r] for r in self.hints]
        maps.append(student.output - teacher.output)
        weights = {
            size: spectral_weight(
                student.real,
                size,
                p["exponent"],
                floor=p.get("floor", FLOOR),
                of_batch=p.get("spectrum_of") == "batch",
            )
            for size in {(x.shape[2], x.shape[3]) for x in maps}
        }
        spatial = [x.square().mean() for x in maps]
        frequency = [weighted_power(x, weights[x.shape[2], x.shape[3]]) for x in maps]
        return {
            "spatial": p["spatial"] * torch.stack(spatial).sum(),
            "frequency": p["frequency"] * torch.stack(frequency).sum(),
        }
