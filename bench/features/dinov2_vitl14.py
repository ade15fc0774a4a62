"""Features of DINOv2's ViT-L/14, as dgm-eval has them."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from bench.contracts.feature import Extractor
from bench.features._pillow import bicubic, normalised
from bench.fetch import weights

SIDE = 224  # of the network's input, pixels; its weights were trained at 518
HEADS = 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
OFFSET = 0.1  # patches; of DINOv2's interpolation of positions, see `positions`

NAMES = {  # of DINOv2 -> of torchvision
    r"^cls_token$": "class_token",
    r"^pos_embed$": "encoder.pos_embedding",
    r"^patch_embed\.proj\.": "conv_proj.",
    r"^norm\.": "encoder.ln.",
    r"^blocks\.(\d+)\.": r"encoder.layers.encoder_layer_\1.",
    r"\.norm(\d)\.": r".ln_\1.",
    r"\.attn\.qkv\.": ".self_attention.in_proj_",
    r"\.attn\.proj\.": ".self_attention.out_proj.",
    r"\.mlp\.fc1\.": ".mlp.0.",
    r"\.mlp\.fc2\.": ".mlp.3.",
}


class DINOv2ViTL14(Extractor):
    """The class token of DINOv2's ViT-L/14 after the last norm: "token", [N, 1024].

    Images are stretched to 224 x 224 by Pillow, bicubic and antialiased, in 8 bits, and normalised
    by ImageNet's mean and standard deviation: dgm-eval's protocol without its `--clean_resize`.
    """

    source = (
        "Oquab et al., TMLR 2024, arXiv:2304.07193; protocol of Stein et al., NeurIPS 2023, "
        "arXiv:2306.04675, layer6ai-labs/dgm-eval (models/dinov2.py)"
    )
    weights = ("dinov2_vitl14",)
    gives = ("token",)

    def __init__(self, device: torch.device) -> None:
        """Load the weights.

        Raises:
            WeightsError: the file is missing or is not the published one.
        """
        super().__init__(device)
        path = weights.find("dinov2_vitl14")
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network = network(state, HEADS).to(device)

    @torch.inference_mode()
    def __call__(self, images: Tensor, first: int) -> dict[str, Tensor]:
        """Return the features."""
        x = normalised(bicubic(images, SIDE).to(self.device), MEAN, STD)
        return {"token": self.network(x).cpu()}


def network(state: Mapping[str, Tensor], heads: int) -> nn.Module:
    """Return torchvision's vision transformer with DINOv2's weights.

    [N, 3, 224, 224], normalised -> the class token after the last norm, [N, D] float32.

    DINOv2 multiplies what a branch adds by a learned scale of each channel. torchvision's blocks
    have none, so it is folded into the last layer of the branch.

    Args:
        state: names and shapes of the published file; depth and width are read off it.
        heads: of attention, in every block.
    """
    width, _, patch, _ = state["patch_embed.proj.weight"].shape
    depth = sum(name.endswith(".ls1.gamma") for name in state)
    with torch.device("meta"):  # no random weights: neither their time nor the generator's state
        made: nn.Module = VisionTransformer(SIDE, patch, depth, heads, width, 4 * width)
    made.heads = nn.Identity()
    made.load_state_dict(_renamed(_folded(state, SIDE // patch)), assign=True)
    return made.requires_grad_(False).eval()


def positions(embedding: Tensor, side: int) -> Tensor:
    """Interpolate the positions of a square of patches, bicubic and without antialiasing.

    DINOv2 adds 0.1 to the wanted side and hands the ratio to torch, which samples by it: patch i
    lies at (i + 0.5) S / (side + 0.1) - 0.5, and the positions shift by a fraction of a patch.

    Args:
        embedding: [1, 1 + S S, D], the class token's first.
        side: of the result, in patches.

    Returns:
        [1, 1 + side side, D]; `embedding` itself where S is `side`.
    """
    token, grid = embedding[:, :1], embedding[:, 1:]
    trained = round(grid.shape[1] ** 0.5)
    if trained == side:
        return embedding
    grid = grid.transpose(1, 2).reshape(1, -1, trained, trained)
    scale = (side + OFFSET) / trained
    grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([token, grid.flatten(2).transpose(1, 2)], 1)


def _folded(state: Mapping[str, Tensor], side: int) -> dict[str, Tensor]:
    """Return the weights with scales folded into layers, and positions of `side` x `side` patches.

    The mask token, which only training uses, is left out.
    """
    found = {n: x for n, x in state.items() if n != "mask_token" and ".ls" not in n}
    found["pos_embed"] = positions(state["pos_embed"], side)
    for branch, layer in (("ls1", "attn.proj"), ("ls2", "mlp.fc2")):
        for name in [n for n in state if n.endswith(f".{branch}.gamma")]:
            scale, block = state[name], name.removesuffix(f"{branch}.gamma")
            found[f"{block}{layer}.weight"] = state[f"{block}{layer}.weight"] * scale[:, None]
            found[f"{block}{layer}.bias"] = state[f"{block}{layer}.bias"] * scale
    return found


def _renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights by torchvision's names."""
    found = {}
    for name, x in state.items():
        for pattern, other in NAMES.items():
            name = re.sub(pattern, other, name)
        found[name] = x
    return found
