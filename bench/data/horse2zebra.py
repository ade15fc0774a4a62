"""Horses to zebras and back."""

from __future__ import annotations

from bench.data._folders import Unpaired


class Horse2Zebra(Unpaired):
    """A: horse; B: zebra. Unpaired, 256 x 256 pixels; there is no validation split."""

    source = "Zhu et al., ICCV 2017: CycleGAN's horse2zebra"
    licence = "ImageNet photographs (wild horse, zebra); the photographers' own, for research"
    names = ("horse", "zebra")
    counts = {"trainA": 1067, "trainB": 1334, "testA": 120, "testB": 140}
    urls = (
        "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/horse2zebra.zip",
        "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/horse2zebra.zip",
    )
    sha256 = "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1"
    archive_bytes = 116867962
