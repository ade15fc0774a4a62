"""PCA distillation: the student's features, seen in the teacher's principal components."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Inputs, Layout, Side, Trace
from bench.errors import SuiteError
from bench.losses.eigenbases import EigenbasisDistiller


class PCAKD(EigenbasisDistiller):
    """Squared distance of features through the teacher's eigenbases; a port of a style method.

    The paper distils VGG encoders and decoders for photorealistic style transfer. Here a hint
    takes the place of a VGG block, and the student is trained whole instead of block by block.

    Before training, one pass over the training inputs finds the global eigenbasis W (C_t x C_s)
    of each of the teacher's hints: the C_s directions that keep most of the variance. Each step
    compares W f_s with f_t (eq. 6), both centred over space: the student's C_s channels are to be
    the teacher's first components. W is fixed; there is no adapter that could hide a difference.

    `basis: exact` are the eigenvectors of the covariance of all inputs. `gradient` descends the
    paper's own loss, which these minimise, with its `lr` and `epochs` (10 in the official code)
    times as many steps as there are batches. Few batches do not suffice: after 5 epochs of 231
    batches W kept 0.32 of a variance of which 0.60 was to be had (`kept` below).

    Of the paper's other terms (eq. 7) one has a meaning here: the image. The decoder is to make
    what the teacher's makes, hence the squared distance to the teacher's output. Its VGG features
    of the reconstruction are those of the input in an autoencoder, and a translated image is no
    input of the teacher; its decoder's features are to be the encoder's, which is so in an
    autoencoder only.

    Both weights are the paper's 1. On CycleGAN's ResNet, whose features are sums over blocks and
    not normalised, `hints` is then several times the original loss; GAN Compression weights the
    same features by 0.01 there.

    Facts, per hint: `mev`, the mean over images of the share of variance along each of the
    teacher's components; `mcev`, the same summed up; `channels_85`, how many components `mcev`
    needs to reach 0.85, which is how the paper chose its student's widths; `kept`, the share of
    the total variance that W keeps.
    """

    defaults = {
        "weight": 1.0,
        "image_weight": 1.0,
        "basis": "exact",
        "epochs": 5,
        "lr": 1e-4,
    }
    choices = {"basis": ("exact", "gradient")}
    strength = ("weight", "image_weight")
    source = "Chiu & Gurari, CVPR 2022, eq. 4-7; chiutaiyin/PCA-Knowledge-Distillation at 658d4a24"
    port = "port of a style-transfer method"
    teachers = ("frozen", "same", "assistant")
    hints = ("down", "mid1", "mid2", "up")

    def build(self, student: Layout, teacher: Layout) -> None:
        """Make room for the bases.

        Raises:
            SuiteError: a hint of the student has more channels than the teacher's or another
                size, or is a single pixel, which has no variance over space.
        """
        for role in self.hints:
            (c, *size), (c_t, *size_t) = student.hints[role], teacher.hints[role]
            if c > c_t or size != size_t or size == [1, 1]:
                raise SuiteError(
                    f"pca_kd: the hint {role!r} is {[c, *size]} in the student and {[c_t, *size_t]}"
                    " in the teacher; choose a teacher of the same architecture that is no"
                    " narrower, and images large enough for hints above 1 x 1."
                )
            self.make_room(role, c_t, c)

    def prepare(self, student: Side, teacher: Side, inputs: Iterable[Inputs]) -> None:
        """Derive the bases from the teacher's hints over all training inputs.

        Raises:
            DataError: a hint is constant over space in every image.
        """
        self.look(inputs, lambda batch: teacher.generator(*batch, hints=self.hints)[1])

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return the distance of the hints, summed over them, and that of the images."""
        hints = [
            self.distance(role, student.hints[role], teacher.hints[role]) for role in self.hints
        ]
        image = F.mse_loss(student.output, teacher.output)
        return {
            "hints": self.params["weight"] * torch.stack(hints).sum(),
            "image": self.params["image_weight"] * image,
        }
