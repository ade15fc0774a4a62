"""DINOv2's and CLIP's features against timm's networks, and the distances made of them.

The published files are not in this repository: weights are random, of the same names, and small.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from inception_weights import photographs
from sklearn.metrics.pairwise import rbf_kernel
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import VisionTransformer as FidelitysTransformer
from torchvision import transforms

from bench.contracts.feature import Extractor
from bench.errors import WeightsError
from bench.features import clip_vitl14_336, dinov2_vitl14
from bench.features.clip_vitl14_336 import CLIPViTL14At336
from bench.features.dinov2_vitl14 import DINOv2ViTL14, positions
from bench.fetch import weights
from bench.metrics import cmmd
from bench.metrics.cmmd import CMMD

CPU = torch.device("cpu")
WIDTH, DEPTH = 64, 2
BICUBIC = transforms.InterpolationMode.BICUBIC


def randomised(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Return weights of the same shapes that leave no term of the network without a say."""
    random = torch.Generator().manual_seed(seed)
    found = {}
    for name, x in state.items():
        scale = x[0].numel() ** -0.5 if x.dim() > 1 and "pos" not in name else 0.5
        found[name] = scale * torch.randn(x.shape, generator=random) + (
            1 if x.dim() == 1 and name.endswith(("weight", "gamma")) else 0
        )
    return found


def close(found: Tensor, wanted: Tensor) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == torch.float32
    assert float((found - wanted).abs().max() / wanted.std()) < 1e-4
    assert float((found - found.flip(0)).abs().max() / wanted.std()) > 0.1  # tells images apart


def as_files(images: Tensor) -> list[object]:
    return [transforms.ToPILImage()(image) for image in images]


# --- DINOv2 ----------------------------------------------------------------------------------


def cubic(distance: float) -> float:
    """Keys' kernel with a = -0.75."""
    x, a = abs(distance), -0.75
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def interpolated(grid: np.ndarray, side: int) -> np.ndarray:
    """Sample [S, S, D] at (i + 0.5) S / (side + 0.1) - 0.5, pixel by pixel, edges repeated."""
    trained = len(grid)
    matrix = np.zeros((side, trained))
    for i in range(side):
        at = (i + 0.5) * trained / (side + 0.1) - 0.5
        for j in range(math.floor(at) - 1, math.floor(at) + 3):
            matrix[i, min(max(j, 0), trained - 1)] += cubic(at - j)
    return np.einsum("ia,jb,abd->ijd", matrix, matrix, grid)


@pytest.mark.parametrize("side", [16, 20, 45])
def test_positions_are_sampled_where_dinov2_samples_them(side: int) -> None:
    embedding = torch.randn(1, 1 + 37 * 37, 3, generator=torch.manual_seed(0))
    found = positions(embedding, side)
    wanted = interpolated(embedding[0, 1:].double().unflatten(0, (37, 37)).numpy(), side)
    assert torch.equal(found[:, 0], embedding[:, 0])
    np.testing.assert_allclose(found[0, 1:].unflatten(0, (side, side)), wanted, atol=1e-4)
    assert positions(embedding, 37) is embedding


@pytest.fixture
def dinov2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Extractor, nn.Module]:
    """Return our extractor and timm's network, with the same weights."""
    peer = VisionTransformer(
        224, 14, embed_dim=WIDTH, depth=DEPTH, num_heads=16, init_values=1.0, num_classes=0
    ).eval()
    state = randomised(peer.state_dict(), seed=1)
    trained = 0.5 * torch.randn(1, 1 + 37 * 37, WIDTH, generator=torch.manual_seed(2))
    file = tmp_path / "dinov2.pth"
    torch.save(state | {"pos_embed": trained, "mask_token": torch.zeros(1, WIDTH)}, file)
    grid = interpolated(trained[0, 1:].unflatten(0, (37, 37)).numpy(), 16)
    grid = torch.from_numpy(grid).float().flatten(0, 1)[None]
    peer.load_state_dict(state | {"pos_embed": torch.cat([trained[:, :1], grid], 1)})
    monkeypatch.setattr(weights, "find", {"dinov2_vitl14": file}.__getitem__)
    return DINOv2ViTL14(CPU), peer


@pytest.mark.parametrize(("height", "width"), [(64, 64), (224, 224), (300, 200)])
def test_features_are_dinov2s_of_images_as_dgm_eval_reads_them(
    dinov2: tuple[Extractor, nn.Module], height: int, width: int
) -> None:
    ours, peer = dinov2
    images = photographs(3, max(height, width), seed=1)[:, :, :height, :width]
    read = transforms.Compose(
        [
            transforms.Resize((224, 224), BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    with torch.no_grad():
        wanted = peer(torch.stack([read(image) for image in as_files(images)]))
    close(ours(images / 255, 0)["token"], wanted)


# --- CLIP ------------------------------------------------------------------------------------


class Clip(nn.Module):
    """The image's half under OpenAI's name, and something of the other half."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = FidelitysTransformer(336, 14, WIDTH, DEPTH, 16, 24)
        self.logit_scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return self.visual(images) * self.logit_scale


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Extractor, nn.Module]:
    """Return our extractor of a TorchScript archive in half precision, and timm's network."""
    made, file = Clip().eval().requires_grad_(False), tmp_path / "clip.pt"
    made.load_state_dict(randomised(made.state_dict(), seed=3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of TorchScript
        torch.jit.trace(made, torch.zeros(1, 3, 336, 336)).half().save(file)
    norm = functools.partial(nn.LayerNorm, eps=1e-5)
    peer = VisionTransformer(
        *(336, 14, 3, 24),
        embed_dim=WIDTH,
        depth=DEPTH,
        num_heads=16,
        pre_norm=True,
        norm_layer=norm,
        act_layer="quick_gelu",
    ).eval()
    state = {name: x.half().float() for name, x in made.state_dict().items()}
    peer.load_state_dict(checkpoint_filter_fn(state, peer))
    monkeypatch.setattr(weights, "find", {"clip_vitl14_336": file}.__getitem__)
    return CLIPViTL14At336(CPU), peer


@pytest.mark.parametrize(("height", "width"), [(64, 64), (300, 201)])
def test_embeddings_are_clips_of_images_as_cmmd_reads_them(
    clip: tuple[Extractor, nn.Module], height: int, width: int
) -> None:
    ours, peer = clip
    images = photographs(3, max(height, width), seed=2)[:, :, :height, :width]
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    read = transforms.Compose(
        [
            lambda image: image.crop((left, top, left + side, top + side)),
            transforms.Resize((336, 336), BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    with torch.no_grad():
        wanted = peer(torch.stack([read(image) for image in as_files(images)]))
    found = ours(images / 255, 0)["embedding"]
    close(found, wanted / wanted.norm(dim=1, keepdim=True))
    assert found.norm(dim=1) == pytest.approx(torch.ones(3))


# --- both ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dinov2", "clip"])
def test_features_do_not_depend_on_the_size_of_batches(
    name: str, request: pytest.FixtureRequest
) -> None:
    ours, _ = request.getfixturevalue(name)
    images = photographs(3, 64, seed=3) / 255
    (whole,) = ours(images, 0).values()
    parts = torch.cat([*ours(images[:1], 0).values(), *ours(images[1:], 1).values()])
    assert float((whole - parts).abs().max() / whole.std()) < 1e-4


def test_networks_have_the_published_sizes() -> None:
    """By timm's own models, which read the published files; nothing is computed."""
    with torch.device("meta"):
        dinov2 = timm.create_model("vit_large_patch14_dinov2", num_classes=0)
        clip = timm.create_model("vit_large_patch14_clip_quickgelu_336", num_classes=768)
        visual = FidelitysTransformer(336, 14, 1024, 24, 16, 768)
    for peer, module in ((dinov2, dinov2_vitl14), (clip, clip_vitl14_336)):
        assert {block.attn.num_heads for block in peer.blocks} == {module.HEADS}
    assert clip.patch_embed.img_size == (clip_vitl14_336.SIDE,) * 2
    assert dinov2.patch_embed.img_size == (518, 518)
    ours = dinov2_vitl14.network(dinov2.state_dict(), dinov2_vitl14.HEADS)
    left_out = (37 * 37 - 16 * 16 + 2 * 24) * 1024  # positions, and scales that are folded
    assert count(ours) == count(dinov2) - left_out
    assert count(dinov2) + 1024 == 304_368_640  # with the mask token: the file's 1.2 GB
    state = {f"visual.{name}": x for name, x in visual.state_dict().items()}
    ours = clip_vitl14_336.network(state, clip_vitl14_336.HEADS)
    assert count(ours) == count(clip) - 768  # its projection has a bias, of zero


def count(network: nn.Module) -> int:
    return sum(x.numel() for x in network.parameters())


@pytest.mark.parametrize(
    ("extractor", "file"),
    [(DINOv2ViTL14, "dinov2_vitl14_pretrain.pth"), (CLIPViTL14At336, "ViT-L-14-336px.pt")],
)
def test_other_weights_under_the_published_name_are_refused(
    extractor: type[Extractor], file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path))
    with pytest.raises(WeightsError, match=f"{file}: missing"):
        extractor(CPU)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / file).write_bytes(b"others")
    with pytest.raises(WeightsError, match=f"{file}: its sha256 begins"):
        extractor(CPU)


# --- CMMD ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outputs", "real"), [(1, 1), (7, 4), (40, 55)])
def test_cmmd_is_the_biased_estimate_with_scikit_learns_kernel(
    outputs: int, real: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a kernel matrix takes several blocks, and not zero between different sets."""
    monkeypatch.setattr(cmmd, "ROWS", 6)
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((n, 8)) + shift for n, shift in ((outputs, 0), (real, 0.3)))
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    of_x, of_y, across = (
        rbf_kernel(a, b, gamma=1 / 200).mean() for a, b in ((x, x), (y, y), (x, y))
    )
    wanted = 1000 * (of_x + of_y - 2 * across)
    sets = ({"embedding": torch.from_numpy(z)} for z in (x, y))
    assert CMMD({}).distance(*sets)["cmmd"] == pytest.approx(wanted, rel=1e-9)
    assert wanted > 0.1
