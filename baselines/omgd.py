"""Online multi-granularity distillation: a student without discriminator or ground truth."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.distiller import Layout, Trace
from bench.losses.adapters import adapter
from bench.losses.imitation import Imitation
from bench.losses.perceptual import perceptual_terms
from bench.metrics.ssim import C1, C2, WINDOW


class OMGD(Imitation):
    """The student imitates the image and the channels of a teacher that trains along.

    No original term stays: the student has no discriminator and sees no ground truth. The image
    is compared by SSIM, by VGG-16 (style on four layers, features on relu2_2) and smoothed by
    total variation, a plain sum over batch and pixels. Channels are compared by their mean over
    positions, after an adapter (1x1 convolution, batch norm, ReLU) that trains with the student.
    At batch size 1 the batch norm fixes mean and variance over the positions of each channel, so
    that only the ReLU's mean, the shape of the distribution, tells channels apart.

    Choices of the official code where the paper is silent: SSIM with a window of 11 x 11 and zeros
    beyond the border, on images in [-1, 1] with the constants of a range of 1; VGG without
    ImageNet's mean and standard deviation. Its `lambda_cd`: 500 on horse2zebra (the default), 100
    on summer2winter, 10 and 50 for the U-Net on edges2shoes and Cityscapes, 100 for the ResNet on
    edges2shoes.

    On paired data the paper has a second teacher, narrower and deeper than the wide one: a suite's
    `teacher: {deeper: {architecture: deep_unet, width: 16, shared: 5}}` (`deep_mobile_resnet9`,
    `shared: 3` for its ResNet). Both play Pix2Pix's game, and the first `shared` of a
    discriminator's five convolutions judge both. The image is compared with each teacher's and
    the terms are added, total variation once for either; channels are the wide teacher's alone.
    `teacher_every` is the code's n_dis.

    On CycleGAN the code's n_dis is another thing. The teacher trains for ten epochs (six on
    summer2winter), then the student for n_dis = 4 times as many, and so on: `teacher:
    {alternation: {teacher: 10, students: 40}}` under the teacher's budget of 200 epochs. The code's
    student learns from the best teacher so far, by FID on what its download script links to the
    test split, and by either direction's; here it learns from the teacher as its turn left it, so
    that the test split decides nothing. Without an alternation both move at every step.
    """

    defaults = {
        "lambda_ssim": 10.0,
        "lambda_style": 1e4,
        "lambda_feature": 10.0,
        "lambda_tv": 1e-5,
        "lambda_cd": 500.0,
        "teacher_every": 1,
    }
    strength = ("lambda_cd",)
    source = "Ren et al., ICCV 2021; bytedance/OMGD at f2492a44"
    teachers = ("online", "frozen")
    hints = ("down", "mid1", "mid2", "up")
    keeps = ()
    deeper = True

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create an adapter per hint.

        Raises:
            SuiteError: every weight is 0, or `teacher_every` is not positive.
        """
        super().build(student, teacher)
        if self.params["lambda_cd"]:
            channels = {r: (student.hints[r][0], teacher.hints[r][0]) for r in self.hints}
            self.adapters = nn.ModuleDict({r: adapter(*both) for r, both in channels.items()})

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `ssim`, `style`, `feature`, `tv` and `channels`, without those of weight 0."""
        p, found = self.params, self._image_terms(student.output, teacher.output)
        if p["lambda_cd"]:
            distances = [
                F.mse_loss(
                    self.adapters[r](student.hints[r]).mean((2, 3)), teacher.hints[r].mean((2, 3))
                )
                for r in self.hints
            ]
            found["channels"] = p["lambda_cd"] * torch.stack(distances).sum()
        return found

    def deeper_terms(self, student: Trace, deeper: Trace) -> dict[str, Tensor]:
        """Return `ssim`, `style`, `feature` and `tv`, without those of weight 0."""
        return self._image_terms(student.output, deeper.output)

    def _image_terms(self, output: Tensor, target: Tensor) -> dict[str, Tensor]:
        p = self.params
        found = perceptual_terms(output, target, p["lambda_style"], p["lambda_feature"])
        if p["lambda_ssim"]:
            found["ssim"] = p["lambda_ssim"] * (1 - similarity(output, target))
        if p["lambda_tv"]:
            found["tv"] = p["lambda_tv"] * total_variation(output)
        return found


def similarity(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean SSIM of images [N, C, H, W], padded with zeros: []."""
    channels, radius = a.shape[1], len(WINDOW) // 2
    row = _window(a.device, a.dtype).expand(channels, 1, 1, -1)

    def blur(x: Tensor) -> Tensor:
        across = F.conv2d(x, row, padding=(0, radius), groups=channels)
        return F.conv2d(across, row.mT, padding=(radius, 0), groups=channels)

    mean_a, mean_b = blur(a), blur(b)
    spread = blur(a * a) - mean_a * mean_a + blur(b * b) - mean_b * mean_b
    common = blur(a * b) - mean_a * mean_b
    light = (2 * mean_a * mean_b + C1) / (mean_a.square() + mean_b.square() + C1)
    return (light * (2 * common + C2) / (spread + C2)).mean()


@functools.cache
def _window(device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return SSIM's window on a device, once: a copy per step would wait for the device."""
    return torch.tensor(WINDOW, device=device, dtype=dtype)


def total_variation(images: Tensor) -> Tensor:
    """Return the sum of absolute differences of neighbouring pixels, both ways: []."""
    return images.diff(dim=-1).abs().sum() + images.diff(dim=-2).abs().sum()
