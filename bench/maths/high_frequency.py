"""What is left of a feature map when its local mean, or what pooling keeps, is taken away.

Source: Chiu & Gurari (PCA-KD), CVPR 2022: high-frequency residuals; the mean's border repeats the
edge pixel, as in its code at 658d4a24. PhotoWCT2's residual is another one, x - up(pool(x)).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def high_frequency(x: Tensor) -> Tensor:
    """Return x - mean3x3(x), of no mean over any flat region, the border included: [N, C, H, W]."""
    return x - F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)


def pooled_residual(x: Tensor) -> Tensor:
    """Return what 2 x 2 average pooling loses, x - up(pool(x)): [N, C, H, W] of even sides.

    Source: Chiu & Gurari (PhotoWCT2), WACV 2022; bilinear as in chiutaiyin/PhotoWCT2 at 533b5da6.
    """
    return x - doubled(F.avg_pool2d(x, 2))


def doubled(x: Tensor) -> Tensor:
    """Return a map at twice its size, bilinear between pixel centres: [N, C, 2H, 2W]."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
