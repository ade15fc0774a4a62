"""Apples to oranges and back."""

from __future__ import annotations

from bench.data._folders import Unpaired


class Apple2Orange(Unpaired):
    """A: apple; B: orange. Unpaired, 256 x 256 pixels; there is no validation split."""

    source = "Zhu et al., ICCV 2017: CycleGAN's apple2orange"
    licence = "ImageNet photographs (apple, navel orange); the photographers' own, for research"
    names = ("apple", "orange")
    counts = {"trainA": 995, "trainB": 1019, "testA": 266, "testB": 248}
    urls = (
        "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/apple2orange.zip",
        "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/apple2orange.zip",
    )
    sha256 = "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8"
    archive_bytes = 78456409
