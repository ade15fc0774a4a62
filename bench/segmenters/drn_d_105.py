"""DRN-D-105 for Cityscapes: the segmenter of the papers' mIoU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.contracts.segmenter import Segmenter
from bench.errors import WeightsError
from bench.fetch import weights
from bench.maths.labels import largest

STRIDE = 8  # of the logits, pixels
MEAN, STD = (0.290101, 0.328081, 0.286964), (0.182954, 0.186566, 0.184475)  # of Cityscapes


class DRND105(Segmenter):
    """Dilated residual network D-105, 19 classes, as GAN Compression, OMGD, DCD and WKD use it.

    As in the papers the network sees the generated image as it is. Its logits are upsampled by a
    transposed convolution that never learned, their log-softmax is resized to the labels: 2048 x
    1024 pixels where the data set is Cityscapes as its makers give it. Labels of Pix2Pix's archive
    have 256 x 256 pixels; the score's protocol states which it was.
    """

    version = 2
    source = (
        "Yu et al., CVPR 2017; fyu/drn (segment.py), drn_d_105 trained on Cityscapes; "
        "mit-han-lab/gan-compression (metric/cityscapes_mIoU.py)"
    )
    weights = ("drn_d_105_cityscapes",)
    classes = (
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    )

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        path = weights.find(self.weights[0])
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = {name.removeprefix("module."): x for name, x in state.items()}
        self.network = network(len(self.classes))
        wanted = self.network.state_dict()
        missing = [name for name in wanted if name not in state]
        if missing:
            raise WeightsError(f"{path}: no DRN-D-105 for segmentation: it lacks {missing[0]}.")
        self.network.load_state_dict({name: state[name] for name in wanted})
        self.network.requires_grad_(False).eval().to(device)

    @torch.no_grad()
    def __call__(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """[N, 3, H, W] float32 RGB in [0, 1] -> [N, h, w] int64, a class per pixel of `size`."""
        mean, std = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (MEAN, STD))
        logits = self.network((images - mean) / std)  # of an eighth of the size
        return largest(upsampled(logits).log_softmax(1), size)


class _Bottleneck(nn.Module):
    """1x1, dilated 3x3, 1x1 with four times the channels, and the sum with the input."""

    def __init__(self, before: int, planes: int, stride: int, dilation: int) -> None:
        super().__init__()
        after = 4 * planes
        self.conv1 = nn.Conv2d(before, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        skip = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(y)) + skip)


def network(classes: int) -> nn.Module:
    """Return DRN-D-105 up to its logits, [N, 3, H, W] -> [N, classes, H / 8, W / 8].

    Names of layers are those of the published file. Its upsampling, which it keeps as a layer
    though nothing ever changed it, is `upsampled`.
    """
    base = [_convolution(3, 16, 7), _convolution(16, 16), _convolution(16, 32, stride=2)]
    before = 32
    for planes, count, stride, dilation in (
        (64, 3, 2, 1),
        (128, 4, 2, 1),
        (256, 23, 1, 2),
        (512, 3, 1, 4),
    ):
        blocks = []
        for i in range(count):
            blocks.append(_Bottleneck(before, planes, 1 if i else stride, dilation))
            before = 4 * planes
        base.append(nn.Sequential(*blocks))
    base += [_convolution(before, 512, dilation=2), _convolution(512, 512)]
    found = nn.Sequential()
    found.add_module("base", nn.Sequential(*base))
    found.add_module("seg", nn.Conv2d(512, classes, 1))
    return found


def upsampled(logits: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 8 H, 8 W], by the network's own transposed convolution.

    Its kernel is a fixed tent of 16 x 16 pixels, the same for each class. It interpolates
    bilinearly within the map; beyond the map there are zeros, which the border fades towards.
    """
    tent = 1 - (torch.arange(2 * STRIDE, device=logits.device) - (STRIDE - 0.5)).abs() / STRIDE
    kernel = torch.outer(tent, tent).expand(logits.shape[1], 1, -1, -1)
    return F.conv_transpose2d(
        logits, kernel, stride=STRIDE, padding=STRIDE // 2, groups=logits.shape[1]
    )


def _convolution(
    before: int, after: int, side: int = 3, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    padding = side // 2 * dilation
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride, padding, dilation, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )
