"""What Pillow makes of an image file's pixels, for extractors whose protocol resizes with it."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def bicubic(images: Tensor, side: int) -> Tensor:
    """Resize with Pillow, bicubic and antialiased, all three channels in 8 bits.

    Args:
        images: [N, 3, H, W] in [0, 1], rounded to 8 bits.
        side: of the result, pixels; another aspect is stretched.

    Returns:
        [N, 3, side, side] in [0, 1], again rounded to 8 bits.
    """
    pixels = images.mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    size, how = (side, side), Image.Resampling.BICUBIC
    resized = np.stack([np.asarray(Image.fromarray(image).resize(size, how)) for image in pixels])
    return torch.from_numpy(resized).permute(0, 3, 1, 2).to(images.device) / 255


def normalised(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Return images [N, 3, H, W] less `mean`, in units of `std`, both per channel."""
    shift, scale = (images.new_tensor(values).view(3, 1, 1) for values in (mean, std))
    return (images - shift) / scale
