"""Edges to photographs of handbags."""

from __future__ import annotations

from bench.data._folders import Pairs


class Edges2Handbags(Pairs):
    """A: HED edges; B: photograph of a handbag.

    The archive has train and val only: val serves as test, and there is no validation split. The
    paper counts about 137,000 pairs; an exact number was not published.
    """

    source = (
        "Isola et al., CVPR 2017: pix2pix's edges2handbags; photographs of Zhu et al., ECCV 2016"
    )
    licence = "Amazon product photographs; the owners' own, for research"
    names = ("edges", "photo")
    folders = {"train": "train", "test": "val"}
    urls = (
        "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/edges2handbags.tar.gz",
        "https://people.eecs.berkeley.edu/~tinghuiz/projects/pix2pix/datasets/edges2handbags.tar.gz",
    )
    archive_bytes = 16_000_000_000
