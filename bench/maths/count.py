"""Parameters and MACs, counted in one pass on the meta device.

One MAC is one multiply-add, at batch 1 and a stated input. Papers count by other conventions, up
to three times apart for the same network, so the count comes under each, by name, and numbers of
two conventions never share a column:

* C1, the true count: convolutions, transposed convolutions (at their *input* grid), linear
  layers, attention. No bias, norm or activation. The formulas are torch's own.
* C2: C1 + 1 per output of a convolution with bias + 1 (non-affine) or 2 (affine) per element of a
  norm + 1 per ReLU or LeakyReLU. ptflops of 2021; WKD's CycleGAN, Pix2Pix and Cityscapes rows.
* C3: C1 with transposed convolutions counted at their *output* grid: 4 times too many at stride
  2. torchprofile, thop; FESD, OMGD, DCD, GAN Compression, DMAD.
* C5: C1 without the two products of attention, which have no weights: thop on latent diffusion;
  Spectral Diffusion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from bench.errors import CountError

aten = torch.ops.aten

WEIGHTED = {aten.convolution, aten.mm, aten.addmm}  # by the other products attention attends
NORMS = {aten.native_batch_norm, aten.native_group_norm, aten.native_layer_norm}
ACTIVATIONS = {aten.relu, aten.relu_, aten.leaky_relu, aten.leaky_relu_}
# No multiply-add of the network's own by any convention: padding, pooling, resampling, arithmetic
# by element, other activations, views and copies.
FREE_NAMES = """
    reflection_pad2d replication_pad2d constant_pad_nd avg_pool2d max_pool2d_with_indices
    adaptive_avg_pool2d _adaptive_avg_pool2d mean sum upsample_bilinear2d upsample_nearest2d
    upsample_bicubic2d add add_ sub sub_ mul mul_ div div_ neg tanh tanh_ sigmoid sigmoid_ silu
    silu_ gelu softplus exp cos sin pow sqrt rsqrt abs clamp clamp_ _softmax _safe_softmax cat stack
    flip view _unsafe_view reshape expand permute transpose t unsqueeze squeeze slice select narrow
    split split_with_sizes unbind chunk clone copy_ contiguous detach alias empty empty_like zeros
    zeros_like ones ones_like full arange _to_copy lift_fresh _unsafe_index index
"""
FREE = {getattr(aten, name) for name in FREE_NAMES.split() if hasattr(aten, name)}


@dataclass(frozen=True)
class Count:
    """Size and cost of one network at one input, in parameters and MACs."""

    params: int
    macs: int  # C1
    macs_c2: int
    macs_c3: int
    macs_c5: int


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up MACs as operators pass; stops at one it does not know."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.macs = self.macs_c2 = self.macs_c3 = self.macs_c5 = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        op = func.overloadpacket
        if op in flop_registry:
            macs = flop_registry[op](*args, **(kwargs or {}), out_val=out) // 2
            self.macs += macs
            self.macs_c2 += macs
            self.macs_c3 += macs
            self.macs_c5 += macs if op in WEIGHTED else 0
            if op is aten.convolution:
                image, _, bias, *_, transposed, _, _ = args
                self.macs_c2 += out.numel() if bias is not None else 0
                if transposed:  # the input grid is what C1 counted
                    self.macs_c3 += macs * out[0, 0].numel() // image[0, 0].numel() - macs
        elif op in NORMS:
            affine = args[1] is not None
            self.macs_c2 += out[0].numel() * (2 if affine else 1)
        elif op in ACTIVATIONS:
            self.macs_c2 += out.numel()
        elif op not in FREE:
            raise CountError(
                f"operator {func} has no known number of MACs; give bench/maths/count.py its "
                "formula, or add it to FREE if it multiplies nothing."
            )
        return out


def count(network: nn.Module, *inputs: Tensor) -> Count:
    """Count a network on meta tensors, where fused attention is seen too and nothing is computed.

    Args:
        network: on the meta device, as built under `torch.device("meta")`.
        inputs: meta tensors of batch 1.

    Raises:
        CountError: an operator is not known; it is never taken to be free.
    """
    network.eval()
    with torch.no_grad(), _Counter() as counter:
        network(*inputs)
    params = sum(p.numel() for p in network.parameters())
    return Count(params, counter.macs, counter.macs_c2, counter.macs_c3, counter.macs_c5)
