"""Label maps to photographs of facades, from the CMP Facade Database."""

from __future__ import annotations

from bench.data._folders import Pairs


class Facades(Pairs):
    """A: label map of 12 classes; B: photograph, as the papers go (`direction: BtoA`).

    256 x 256 pixels; train, val and test. The archive is JPEG, so label colours are near those of
    `labels`, not equal. It shows the classes in MATLAB's jet(64), every fifth colour from the
    sixth on, and not in the colours of the CMP database itself.
    """

    defaults = {"path": "", "direction": "BtoA"}
    source = "Isola et al., CVPR 2017: pix2pix's facades; Tylecek & Sara, GCPR 2013"
    licence = "CMP Facade Database: for research, with citation"
    names = ("labels", "photo")
    labels = {
        "background": (0, 0, 223),
        "facade": (0, 48, 255),
        "window": (0, 128, 255),
        "door": (0, 207, 255),
        "cornice": (32, 255, 223),
        "sill": (112, 255, 143),
        "balcony": (191, 255, 64),
        "blind": (255, 239, 0),
        "deco": (255, 159, 0),
        "molding": (255, 80, 0),
        "pillar": (255, 0, 0),
        "shop": (175, 0, 0),
    }
    counts = {"train": 400, "val": 100, "test": 106}
    urls = (
        "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/facades.tar.gz",
        "https://people.eecs.berkeley.edu/~tinghuiz/projects/pix2pix/datasets/facades.tar.gz",
    )
    archive_bytes = 100_000_000
