"""Discriminator-cooperated distillation: the teacher's discriminator compares the hints."""

from __future__ import annotations

from torch import Tensor

from bench.contracts.distiller import Layout, Trace
from bench.losses.adapters import Views, cooperation
from bench.losses.gan import generator_loss
from bench.losses.imitation import Imitation
from bench.losses.perceptual import perceptual_terms


class DCD(Imitation):
    """Hints are compared in the eyes of the teacher's discriminator, which also judges the image.

    Each hint of both players is mapped to the discriminator's channels
    (`bench/losses/adapters.py`); its deepest features of the two are the distance. On unpaired
    data the teacher's adapters are random and never train. The student fools the teacher's
    discriminator, which learns from the teacher's images alone, and imitates the teacher's image
    by VGG-16 (style, relu2_2). No original term stays, and the student has no discriminator of
    its own.

    As the paper: the official code evaluates the adversarial term on the teacher's image, where
    it has no gradient (CycleGAN), or never adds it (Pix2Pix), and its scripts give four weights
    to an option that reads two, so that style and feature are swapped (`lambda_style: 10.0,
    lambda_feature: 10000.0` repeats that). The kind of adversarial loss is the task's. Hints
    smaller than 32 px, as the U-Net has, are enlarged; the code would fail on them with instance
    norm. A discriminator of several scales, as Pix2PixHD's, compares hints by the features of its
    full scale alone.

    On paired data `teacher_every` is the code's n_dis. On CycleGAN n_dis multiplies the student's
    epochs instead: ten of the teacher (six on summer2winter), four times as many of the student,
    and so on, which is `teacher: {alternation: {teacher: 10, students: 40}}` under the teacher's
    budget. Whom the code's student learns from then, and whom here, is in `omgd.py`; the
    discriminator is the last one in both. Without an alternation both move at every step.
    """

    defaults = {
        "lambda_gan": 1.0,
        "lambda_style": 1e4,
        "lambda_feature": 10.0,
        "lambda_cd": 1.0,
        "teacher_every": 1,
    }
    strength = ("lambda_cd",)
    source = "Hu et al., CVPR 2023, arXiv:2212.14169; poopit/DCD-official at 3dbc87b1"
    teachers = ("online", "frozen")
    hints = ("down", "mid1", "mid2", "up")
    teacher_judges = True
    keeps = ()

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create both players' adapters.

        Raises:
            SuiteError: every weight is 0, `teacher_every` is not positive, or hints differ in
                height or width.
        """
        super().build(student, teacher)
        self.views = Views(self.hints, student, teacher)

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `gan`, `style`, `feature` and `cooperation`, without those of weight 0."""
        p = self.params
        found = perceptual_terms(
            student.output, teacher.output, p["lambda_style"], p["lambda_feature"]
        )
        if p["lambda_gan"]:
            logits, _ = teacher.judge(student.output)
            found["gan"] = p["lambda_gan"] * generator_loss(teacher.gan, logits)
        if p["lambda_cd"]:
            assert teacher.discriminator is not None
            views = self.views(student.hints, teacher.hints)
            found["cooperation"] = p["lambda_cd"] * cooperation(teacher.discriminator, views)
        return found
