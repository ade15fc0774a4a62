"""Embeddings of CLIP's ViT-L/14 at 336 px, as CMMD has them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import VisionTransformer

from bench.contracts.feature import Extractor
from bench.features._pillow import bicubic, normalised
from bench.fetch import weights

SIDE = 336  # of the network's input, pixels
HEADS = 16
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP
TOWER = "visual."  # what names of the image's half of CLIP begin with


class CLIPViTL14At336(Extractor):
    """The embedding of an image by CLIP's ViT-L/14, of length one: "embedding", [N, 768].

    The square in the middle is resized to 336 x 336 by Pillow, bicubic and antialiased, in 8 bits,
    and normalised by CLIP's own mean and standard deviation. The published weights are half
    precision; the arithmetic here is float32, as on CPUs in OpenAI's code.
    """

    source = (
        "Radford et al., ICML 2021, arXiv:2103.00020; protocol of Jayasumana et al., CVPR 2024, "
        "arXiv:2401.09603, google-research/cmmd (io_util.py, embedding.py)"
    )
    weights = ("clip_vitl14_336",)
    gives = ("embedding",)

    def __init__(self, device: torch.device) -> None:
        """Load the weights.

        Raises:
            WeightsError: the file is missing or is not the published one.
        """
        super().__init__(device)
        self.network = network(_read(weights.find("clip_vitl14_336")), HEADS).to(device)

    @torch.inference_mode()
    def __call__(self, images: Tensor, first: int) -> dict[str, Tensor]:
        """Return the embeddings."""
        x = normalised(bicubic(_middle(images), SIDE).to(self.device), MEAN, STD)
        return {"embedding": F.normalize(self.network(x)).cpu()}


def network(state: Mapping[str, Tensor], heads: int) -> nn.Module:
    """Return torch-fidelity's vision transformer with CLIP's weights, in float32.

    [N, 3, S, S], normalised -> projected class token, [N, D] float32, of any length.

    Args:
        state: names and shapes of the published file; sizes are read off it. The half of CLIP that
            reads texts is left out.
        heads: of attention, in every block.
    """
    image = {n.removeprefix(TOWER): x.float() for n, x in state.items() if n.startswith(TOWER)}
    width, _, patch, _ = image["conv1.weight"].shape
    grid = round((len(image["positional_embedding"]) - 1) ** 0.5)
    depth = sum(name.endswith("attn.in_proj_weight") for name in image)
    with torch.device("meta"):  # no random weights: neither their time nor the generator's state
        made: nn.Module = VisionTransformer(
            patch * grid, patch, width, depth, heads, output_dim=image["proj"].shape[1]
        )
    made.load_state_dict(image, assign=True)
    return made.requires_grad_(False).eval()


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a TorchScript archive, whose sha256 has been checked.

    `weights_only` takes no such archive. It holds code, of which opening it runs nothing that was
    not published with that sha256; the code is dropped with the module.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated")
        archive: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return archive.state_dict()


def _middle(images: Tensor) -> Tensor:
    """Cut the largest square out of the middle of images [N, 3, H, W]."""
    height, width = images.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[:, :, top : top + side, left : left + side]
