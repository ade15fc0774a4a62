"""DMAD's co-attention: where the teacher's generator and its discriminator look."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Distiller, Layout, Trace, check_grids


class DMAD(Distiller):
    """Attention of the teacher's generator and discriminator, and the discriminator's features.

    An attention map is the mean over channels of the squared feature. Per hint, the target is half
    the generator's map plus half that of `d2` of the discriminator, brought to the same size by
    averaging; both sides are divided by their length over positions, and the squared distance is
    averaged. Added to it is the Euclidean distance, over the whole batch, of what the teacher's
    discriminator makes of the two images at `d4`. Weights are the code's: 10 on paired data, 100 on
    unpaired, 1e-4 for the discriminator.

    Only the distillation of DMAD is here; its student is a pruned one, this one has the suite's
    width. The original differs in three points that are not repeated: it resizes the
    discriminator's map as an 8-bit image where sizes differ; that map is what the teacher's
    discriminator makes of the student's image, so that the target moves with the student, here it
    is of the teacher's image, as the paper has it; on U-Nets it taps the norms, here the hints are
    those of all other methods. Of a discriminator of several scales, as Pix2PixHD's, the features
    of the full scale alone are read.
    """

    defaults = {"paired_weight": 10.0, "unpaired_weight": 100.0, "discriminator_weight": 1e-4}
    strength = ("paired_weight", "unpaired_weight", "discriminator_weight")
    source = "Li et al., arXiv 2011.08382; SJLeo/DMAD at f85989c9"
    hints = ("down", "mid1", "mid2", "up")
    teacher_judges = True

    def build(self, student: Layout, teacher: Layout) -> None:
        """Check that positions correspond; there is nothing to build."""
        check_grids(self.hints, student, teacher)

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `attention`, summed over hints, and `discriminator`."""
        p = self.params
        with torch.no_grad():
            _, wanted = teacher.judge(teacher.output, ("d2", "d4"))
        _, found = teacher.judge(student.output, ("d4",))
        judged = _attention(wanted["d2"])
        losses = []
        for role in self.hints:
            own = _attention(teacher.hints[role])
            target = 0.5 * own + 0.5 * F.interpolate(judged, own.shape[-2:], mode="area")
            gap = _unit(_attention(student.hints[role])) - _unit(target)
            losses.append(gap.square().mean())
        weight = p["paired_weight"] if student.paired else p["unpaired_weight"]
        distance = torch.linalg.vector_norm(found["d4"] - wanted["d4"])
        return {
            "attention": weight * torch.stack(losses).sum(),
            "discriminator": p["discriminator_weight"] * distance,
        }


def _attention(feature: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, 1, H, W]."""
    return feature.square().mean(1, keepdim=True)


def _unit(attention: Tensor) -> Tensor:
    """[N, 1, H, W] -> [N, H * W], each row of length 1."""
    return F.normalize(attention.flatten(1))
