"""Feature enhancement and spectrum distillation: DCD with shifted channels and spectra."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.distiller import Layout, Trace
from bench.contracts.network import initialise
from bench.errors import SuiteError
from bench.losses.adapters import LEAST, View, Views, cooperation, enlarged
from bench.losses.gan import discriminator_loss, fake_loss, generator_loss
from bench.losses.imitation import Imitation
from bench.losses.perceptual import TAPS, perceptual_terms
from bench.maths.radial import count_bins, log_spectrum

UP, DOWN, LEFT, RIGHT = (0, -1), (0, 1), (-1, 0), (1, 0)  # steps in x and y
DIRECTIONS = {
    "none": (),
    "uni": (UP,),
    "bi": (UP, DOWN),
    "cross": (UP, LEFT),
    "quad": (UP, DOWN, LEFT, RIGHT),
}


class FESD(Imitation):
    """A teacher that trains along, hints enhanced by channel shifts, and spectra of the hints.

    L = L_GAN + 10 L_feat + 1e4 L_sty + L_dcd + 0.2 L_spec. As in DCD the student has no
    discriminator of its own and keeps no original term.

    - L_GAN (eq. 8): the teacher's discriminator also learns to reject the student's image, and
      the student learns to fool it; `lambda_gan` is the weight of the student in both. The kind of
      adversarial loss is the task's (the paper writes log-GAN, its base code has lsgan and hinge).
    - L_feat, L_sty: sums over four layers of VGG-16. Both are means over the elements of a layer,
      as in the base code: the weights are its own.
    - L_dcd (eq. 12) and L_spec (eq. 13) compare hints after h, the partial channel shift (PCS),
      and f, the adapter to the discriminator's channels. The equations write h(f(.)), but an
      eighth of three channels is none: h is applied first.
    - PCS: of the middle channels a share `ratio` is moved by `shift` positions, zeros come in, in
      equal parts up and down (`bi`, the paper's), up (`uni`), up and left (`cross`) or all four
      ways (`quad`); `none` moves nothing. At least one channel goes each way.
    - L_spec: L1 between a linear classifier's verdicts on the log spectra
      (`bench/maths/radial.py`) of the two hints; on paired data of the last three channels, which
      stand for the image.

    The paper does not say how the classifier is trained. Here it learns with the teacher's
    discriminator to tell spectra of real images from those of the teacher's, both averaged to the
    side of the largest hint, so that the number of frequencies agrees. Smaller hints are enlarged
    to that by repeating pixels. It has no spectral norm.

    Both move at every step; the paper states one number of epochs. On CycleGAN the base code's
    n_dis multiplies the student's (4: it sees 800, the teacher 200): a suite has that by the
    alternation of `omgd.py`, in which the discriminator still learns from the student's image.
    A discriminator of several scales, as Pix2PixHD's, compares hints by the features of its full
    scale alone.

    Tables 3 to 5 are `direction`, `shift` and `ratio`. Of Table 6, BL is `dcd` (the same FID) and
    BL+PCS is `lambda_spec: 0.0`. DCD differs from that in L_GAN and L_feat too; `direction: none,
    lambda_spec: 0.0` differs in the shift alone.
    """

    defaults = {
        "lambda_gan": 1.0,
        "lambda_style": 1e4,
        "lambda_feature": 10.0,
        "lambda_cd": 1.0,
        "lambda_spec": 0.2,
        "direction": "bi",
        "shift": 2,
        "ratio": 0.125,
    }
    choices = {"direction": ("none", "uni", "bi", "cross", "quad")}
    strength = ("lambda_spec",)
    source = "FESD, 2026, eq. 8-13; shifts as OwXiaoM/PCS at 8d9314d3, base poopit/DCD-official"
    teachers = ("online",)
    hints = ("down", "mid1", "mid2", "up")
    teacher_judges = True
    keeps = ()

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create both players' adapters and the spectral classifier.

        Raises:
            SuiteError: every weight is 0, no shift is left of `shift` or `ratio`, or hints differ
                in height or width.
        """
        super().build(student, teacher)
        p = self.params
        if not 0 < p["ratio"] <= 1 or p["shift"] < 1:
            raise SuiteError(
                f"fesd: ratio {p['ratio']} and shift {p['shift']}: should be in (0, 1] and at "
                "least 1; `direction: none` shifts nothing."
            )
        fewest = min(
            channels for side in (student, teacher) for channels, _, _ in side.hints.values()
        )
        if fewest < len(DIRECTIONS[p["direction"]]):
            raise SuiteError(
                f"fesd: a hint of {fewest} channels cannot be shifted {p['direction']}."
            )
        self.views = Views(self.hints, student, teacher)
        self.side = max(LEAST, *(student.hints[role][1] for role in self.hints))
        if p["lambda_spec"]:
            self.classifier = nn.Linear(count_bins(self.side), 1)
            initialise(self.classifier)

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return gan, style, feature, cooperation and spectrum, without those of weight 0."""
        p = self.params
        weights = p["lambda_style"], p["lambda_feature"]
        found = perceptual_terms(student.output, teacher.output, *weights, layers=tuple(TAPS))
        if p["lambda_gan"]:
            logits, _ = teacher.judge(student.output)
            found["gan"] = p["lambda_gan"] * generator_loss(teacher.gan, logits)
        if p["lambda_cd"] or p["lambda_spec"]:
            own, above = (
                {r: shifted(t.hints[r], p["direction"], p["shift"], p["ratio"]) for r in self.hints}
                for t in (student, teacher)
            )
            views = self.views(own, above)
            if p["lambda_cd"]:
                assert teacher.discriminator is not None
                found["cooperation"] = p["lambda_cd"] * cooperation(teacher.discriminator, views)
            if p["lambda_spec"]:
                found["spectrum"] = p["lambda_spec"] * self._spectral_distance(views)
        return found

    def discriminator_terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `student`, its share of eq. 8, and `spectrum`, the classifier's own loss."""
        p, found = self.params, {}
        if p["lambda_gan"]:
            logits, _ = teacher.judge(student.output)
            found["student"] = p["lambda_gan"] * 0.5 * fake_loss(teacher.gan, logits)
        if p["lambda_spec"]:
            images = torch.stack([teacher.real, teacher.output]).flatten(0, 1)
            small = F.adaptive_avg_pool2d(images, self.side)
            real, fake = self.classifier(log_spectrum(small)).chunk(2)
            found["spectrum"] = discriminator_loss(teacher.gan, [real], [fake])
        return found

    def discriminator_parameters(self) -> Iterable[nn.Parameter]:
        """Yield the classifier's."""
        return self.classifier.parameters() if self.params["lambda_spec"] else ()

    def _spectral_distance(self, views: Sequence[View]) -> Tensor:
        """Return the sum over hints of the mean distance of the verdicts, in one batch: []."""
        maps = [enlarged(x, self.side)[:, -3:] for view in views for x in view]
        verdicts: Tensor = self.classifier(log_spectrum(torch.cat(maps)))
        student, teacher = verdicts.view(len(views), 2, -1).unbind(1)
        return F.l1_loss(student, teacher, reduction="none").mean(1).sum()


def shifted(features: Tensor, direction: str, shift: int, ratio: float) -> Tensor:
    """Return [N, C, H, W] with its middle channels moved, zeros where nothing comes in.

    Args:
        features: [N, C, H, W].
        direction: a key of `DIRECTIONS`, whose parts follow each other from low channels to high.
        shift: positions.
        ratio: the share of all C channels that moves, in equal parts each way.
    """
    ways = DIRECTIONS[direction]
    if not ways:
        return features
    _, channels, height, width = features.shape
    each = max(1, int(ratio * channels / len(ways)))
    first = channels // 2 - len(ways) * each // 2
    parts = [features[:, :first]]
    for place, (x, y) in enumerate(ways):
        part = features[:, first + place * each : first + (place + 1) * each]
        dx, dy = x * min(shift, width), y * min(shift, height)
        parts.append(F.pad(part, (dx, -dx, dy, -dy)))
    return torch.cat([*parts, features[:, first + len(ways) * each :]], 1)
