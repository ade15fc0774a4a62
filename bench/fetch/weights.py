"""Pretrained networks by name: where they come from, and what they must be.

A network lies under its published file name in `$DISTILLBENCH_HOME/weights` (default
`~/.cache/distillbench/weights`). A copy from elsewhere, or a link to one, is put in that place: no
other setting decides which weights a number is made with. A file whose sha256 is not the published
one is refused, and nothing falls back to other or random weights.

Where no sha256 was published, that of the first use is recorded in `FILE.sha256` beside the file,
and from then on no other file is accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import WeightsError, unknown
from bench.fetch.home import home, is_offline, record, recorded, sha256_of

TORCHVISION = "torchvision; trained on ImageNet-1k"
CLIP = "https://openaipublic.azureedge.net/clip/models"
FIDELITY = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"


@dataclass(frozen=True)
class Weights:
    """One published file."""

    file: str
    urls: tuple[str, ...]  # tried in order; none: a person has to bring it
    sha256: str  # or as much of it as was published
    licence: str
    source: str  # who made it

    @property
    def path(self) -> Path:
        """Where the file lies on this machine, or would."""
        return home() / "weights" / self.file


def _torchvision(file: str) -> Weights:
    """Return a file of torchvision, whose name ends in the first digits of its sha256."""
    digits = file.removesuffix(".pth").rpartition("-")[2]
    url = f"https://download.pytorch.org/models/{file}"
    return Weights(file, (url,), digits, "BSD-3-Clause", TORCHVISION)


KNOWN = {
    "vgg19": _torchvision("vgg19-dcbb9e9d.pth"),
    "vgg16": _torchvision("vgg16-397923af.pth"),
    "alexnet": _torchvision("alexnet-owt-7be5be79.pth"),
    "squeezenet1_1": _torchvision("squeezenet1_1-b8a52dc0.pth"),
    "inception": Weights(
        "weights-inception-2015-12-05-6726825d.pth",
        (f"{FIDELITY}/weights-inception-2015-12-05-6726825d.pth",),
        "6726825d",
        "Apache-2.0",
        "torch-fidelity, from the Inception graph of 2015-12-05 that FID is defined by",
    ),
    "dinov2_vitl14": Weights(
        "dinov2_vitl14_pretrain.pth",
        ("https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",),
        "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        "Apache-2.0",
        "DINOv2's ViT-L/14 without registers, trained on LVD-142M",
    ),
    "clip_vitl14_336": Weights(
        "ViT-L-14-336px.pt",
        (
            f"{CLIP}/3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02/ViT-L-14-336px.pt",
        ),
        "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        "MIT",
        "OpenAI's CLIP ViT-L/14 at 336 px, a TorchScript archive",
    ),
    "mobilenet_v1": Weights(
        "mobilenet_v1_1.0_224.npz",
        (),
        "",
        "Apache-2.0",
        "Keras's MobileNet 1.0/224 as numpy arrays by name, as in conv_dw_1/depthwise_kernel",
    ),
    "nima_vgg16": Weights(
        "nima_vgg16.pth",
        (),
        "",
        "the file's own; AVA's photographs are for research",
        "NIMA on VGG-16 trained on AVA, keys features.* and classifier.1.* (ten ratings)",
    ),
    "drn_d_105_cityscapes": Weights(
        "drn_d_105_cityscapes.pth",
        (),
        "",
        "BSD-3-Clause (code); Cityscapes' terms bind what is trained on it",
        "fyu/drn: DRN-D-105 trained on Cityscapes, 19 classes",
    ),
}


def find(name: str) -> Path:
    """Return the checked file of a pretrained network; never downloads.

    Raises:
        WeightsError: the file is not there, or its sha256 is not the published or recorded one.
    """
    known = row(name)
    state, found = look(name)
    if state == "missing":
        raise WeightsError(f"{known.path}: missing. {_remedy(name)}")
    if state == "wrong":
        raise WeightsError(f"{known.path}: its sha256 begins {found[:12]}, {_wanted(known)}")
    if not known.sha256 and not recorded(known.path):
        record(known.path, found)
    return known.path


def fetch(name: str) -> Path:
    """Return the checked file of a pretrained network; download it if it is not there.

    Raises:
        WeightsError: as for `find`, or it has no address.
        FetchError: the download failed.
    """
    known = row(name)
    if known.urls and not known.path.exists():
        from bench.fetch.download import download  # `requests` takes a tenth of a second

        download(known.urls, known.path, known.sha256)
    return find(name)


def look(name: str) -> tuple[Literal["here", "missing", "wrong"], str]:
    """Return how a file stands, and its sha256 as far as it is known. Records nothing."""
    known = row(name)
    expected = known.sha256 or recorded(known.path)
    if not known.path.is_file():
        return "missing", expected
    found = sha256_of(known.path)
    return ("here" if found.startswith(expected) else "wrong"), found


def row(name: str) -> Weights:
    """Return what is known of a pretrained network.

    Raises:
        WeightsError: nothing is; the message names the closest and lists all.
    """
    if name not in KNOWN:
        raise WeightsError(unknown("weights", name, KNOWN, "bench/fetch/weights.py"))
    return KNOWN[name]


def _wanted(known: Weights) -> str:
    """Say which file is expected instead of the one that was found."""
    if known.sha256:
        where = f"fetch it again from {known.urls[0]}"
        return f"the published one {known.sha256}; remove it and {where}."
    first = recorded(known.path)
    return (
        f"that of its first use {first[:12]}; bring that file back, or remove "
        f"{known.path.name}.sha256 beside it to accept this one."
    )


def _remedy(name: str) -> str:
    """Say how a missing file is brought."""
    known = KNOWN[name]
    if not known.urls:
        return (
            f"No address is known to work: put the file of {known.source} there "
            f"(licence {known.licence}); its sha256 is recorded at its first use."
        )
    fetch = "" if is_offline() else f", or run `distillbench fetch {name}`"
    return (
        f"Put the file from {known.urls[0]} there (sha256 begins {known.sha256}, licence "
        f"{known.licence}){fetch}."
    )
