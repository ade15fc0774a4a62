"""Features of the Inception network that FID and KID are defined by, as torch-fidelity has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.feature import Extractor
from bench.fetch import weights

SIDE = 299  # of the network's input, pixels
STEM = 4  # images at once in the first layers: their maps then stay below 32 MB, see __call__

Pair = tuple[int, int]


class Inception(Extractor):
    """Pooled features and logits of the Inception-v3 network of 2015.

    "pool" is [N, 2048]; "logits" is [N, 1008], without their bias, as torch-fidelity and the
    original code of the Inception Score have them.

    Images are resized to 299 x 299 as TensorFlow 1 did it: bilinear, no antialiasing, pixel i of
    the result at i * S / 299 of the image. It is the network of the original FID code, with
    TensorFlow's average pooling that leaves the border out, and max pooling in the last block,
    in torch-fidelity's conversion. The batch norms are folded into the convolutions in float64.

    How images get to 299 x 299 changes FID by several points. Other packages do it otherwise, with
    the same network; each has a file of its own here (`inception_*.py`).
    """

    source = (
        "Szegedy et al., CVPR 2016, arXiv:1512.00567; weights of 2015-12-05 as converted by "
        "torch-fidelity (feature_extractor_inceptionv3.py, 0.4.0)"
    )
    weights = ("inception",)
    gives = ("pool", "logits")

    def __init__(self, device: torch.device) -> None:
        """Load the weights.

        Raises:
            WeightsError: the file is missing or is not the published one.
        """
        super().__init__(device)
        state = torch.load(weights.find("inception"), map_location="cpu", weights_only=True)
        self.layers = {n: (w.to(device), b.to(device)) for n, (w, b) in folded(state).items()}
        self.classes = state["fc.weight"].to(device).float()

    @torch.inference_mode()
    def __call__(self, images: Tensor, first: int) -> dict[str, Tensor]:
        """Return the features.

        The first layers hold most of the memory and take few images at a time: glibc maps tensors
        of 32 MB and more anew at each use, which costs more than the arithmetic.
        """
        images = images.to(self.device)
        parts = (images[i : i + STEM] for i in range(0, len(images), STEM))
        x = torch.cat([self._stem(self.prepared(part)) for part in parts])
        pool = self._blocks(x).mean((2, 3))
        return {"pool": pool.cpu(), "logits": (pool @ self.classes.T).cpu()}

    def prepared(self, images: Tensor) -> Tensor:
        """[N, 3, H, W] in [0, 1] -> what the network sees: [N, 3, 299, 299] around [-1, 1]."""
        return resized(images.mul(255).round())

    def _stem(self, x: Tensor) -> Tensor:
        """[N, 3, 299, 299] in [-1, 1) -> [N, 192, 35, 35]."""
        x = self._conv(x, "Conv2d_1a_3x3", stride=2)
        x = self._conv(x, "Conv2d_2a_3x3")
        x = F.max_pool2d(self._conv(x, "Conv2d_2b_3x3", padding=(1, 1)), 3, 2)
        x = self._conv(x, "Conv2d_3b_1x1")
        return F.max_pool2d(self._conv(x, "Conv2d_4a_3x3"), 3, 2)

    def _blocks(self, x: Tensor) -> Tensor:
        """[N, 192, 35, 35] -> [N, 2048, 8, 8]."""
        for name in ("Mixed_5b", "Mixed_5c", "Mixed_5d"):
            x = self._block_35(x, name)
        x = self._to_17(x, "Mixed_6a")
        for name in ("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"):
            x = self._block_17(x, name)
        x = self._to_8(x, "Mixed_7a")
        x = self._block_8(x, "Mixed_7b", _average)
        return self._block_8(x, "Mixed_7c", lambda x: F.max_pool2d(x, 3, 1, 1))

    def _block_35(self, x: Tensor, name: str) -> Tensor:
        five = self._conv(x, f"{name}.branch5x5_1")
        three = self._conv(x, f"{name}.branch3x3dbl_1")
        three = self._conv(three, f"{name}.branch3x3dbl_2", padding=(1, 1))
        branches = [
            self._conv(x, f"{name}.branch1x1"),
            self._conv(five, f"{name}.branch5x5_2", padding=(2, 2)),
            self._conv(three, f"{name}.branch3x3dbl_3", padding=(1, 1)),
            self._conv(_average(x), f"{name}.branch_pool"),
        ]
        return torch.cat(branches, 1)

    def _to_17(self, x: Tensor, name: str) -> Tensor:
        double = self._conv(x, f"{name}.branch3x3dbl_1")
        double = self._conv(double, f"{name}.branch3x3dbl_2", padding=(1, 1))
        branches = [
            self._conv(x, f"{name}.branch3x3", stride=2),
            self._conv(double, f"{name}.branch3x3dbl_3", stride=2),
            F.max_pool2d(x, 3, 2),
        ]
        return torch.cat(branches, 1)

    def _block_17(self, x: Tensor, name: str) -> Tensor:
        wide, high = (0, 3), (3, 0)  # padding of 1 x 7 and 7 x 1
        single = self._conv(x, f"{name}.branch7x7_1")
        single = self._conv(single, f"{name}.branch7x7_2", padding=wide)
        double = self._conv(x, f"{name}.branch7x7dbl_1")
        for number, padding in ((2, high), (3, wide), (4, high), (5, wide)):
            double = self._conv(double, f"{name}.branch7x7dbl_{number}", padding=padding)
        branches = [
            self._conv(x, f"{name}.branch1x1"),
            self._conv(single, f"{name}.branch7x7_3", padding=high),
            double,
            self._conv(_average(x), f"{name}.branch_pool"),
        ]
        return torch.cat(branches, 1)

    def _to_8(self, x: Tensor, name: str) -> Tensor:
        three = self._conv(x, f"{name}.branch3x3_1")
        seven = self._conv(x, f"{name}.branch7x7x3_1")
        seven = self._conv(seven, f"{name}.branch7x7x3_2", padding=(0, 3))
        seven = self._conv(seven, f"{name}.branch7x7x3_3", padding=(3, 0))
        branches = [
            self._conv(three, f"{name}.branch3x3_2", stride=2),
            self._conv(seven, f"{name}.branch7x7x3_4", stride=2),
            F.max_pool2d(x, 3, 2),
        ]
        return torch.cat(branches, 1)

    def _block_8(self, x: Tensor, name: str, pool: Callable[[Tensor], Tensor]) -> Tensor:
        wide, high = (0, 1), (1, 0)  # padding of 1 x 3 and 3 x 1
        single = self._conv(x, f"{name}.branch3x3_1")
        double = self._conv(x, f"{name}.branch3x3dbl_1")
        double = self._conv(double, f"{name}.branch3x3dbl_2", padding=(1, 1))
        branches = [
            self._conv(x, f"{name}.branch1x1"),
            self._conv(single, f"{name}.branch3x3_2a", padding=wide),
            self._conv(single, f"{name}.branch3x3_2b", padding=high),
            self._conv(double, f"{name}.branch3x3dbl_3a", padding=wide),
            self._conv(double, f"{name}.branch3x3dbl_3b", padding=high),
            self._conv(pool(x), f"{name}.branch_pool"),
        ]
        return torch.cat(branches, 1)

    def _conv(self, x: Tensor, name: str, stride: int = 1, padding: Pair = (0, 0)) -> Tensor:
        kernel, bias = self.layers[name]
        return F.relu_(F.conv2d(x, kernel, bias, stride, padding))


def folded(state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return kernel and bias of each convolution with its batch norm (epsilon 0.001) in them.

    Args:
        state: torch-fidelity's names: `X.conv.weight`, `X.bn.weight`, `X.bn.running_mean`, ...
    """
    layers = {}
    for key, kernel in state.items():
        name, _, rest = key.partition(".conv.")
        if rest:
            scale, shift, mean, variance = (
                state[f"{name}.bn.{part}"].double()
                for part in ("weight", "bias", "running_mean", "running_var")
            )
            scale = scale / (variance + 1e-3).sqrt()
            kernel = (kernel.double() * scale.view(-1, 1, 1, 1)).float()
            bias = (shift - mean * scale).float()
            layers[name] = (kernel.contiguous(memory_format=torch.channels_last), bias)
    return layers


def resized(pixels: Tensor) -> Tensor:
    """Resize as TensorFlow 1 did: [N, 3, H, W] in [0, 255] -> [N, 3, 299, 299] in [-1, 1).

    Its bilinear filter has no half-pixel offset: pixel i lies at i * S / 299. With the last row
    and column doubled, that is the grid of `align_corners` for 300 pixels, of which the last is
    not used; torch has a fast kernel for it.
    """
    x = ((pixels - 128) / 128).contiguous(memory_format=torch.channels_last)
    x = F.pad(x, (0, 1, 0, 1), mode="replicate")
    x = F.interpolate(x, SIDE + 1, mode="bilinear", align_corners=True)
    return x[:, :, :SIDE, :SIDE]


def _average(x: Tensor) -> Tensor:
    """Average 3 x 3 pixels, of those that lie within the map."""
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
