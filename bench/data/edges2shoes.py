"""Edges to photographs of shoes."""

from __future__ import annotations

from bench.data._folders import Pairs


class Edges2Shoes(Pairs):
    """A: HED edges; B: photograph of a shoe.

    The archive has train and val only: val, 200 pairs, serves as test, and there is no validation
    split. GAN Compression's `edges2shoes-r` is another division of the same images.
    """

    source = (
        "Isola et al., CVPR 2017: pix2pix's edges2shoes; "
        "photographs of Yu & Grauman, CVPR 2014 (UT Zappos50K)"
    )
    licence = "UT Zappos50K: for academic, non-commercial use"
    names = ("edges", "photo")
    folders = {"train": "train", "test": "val"}
    counts = {"train": 49825, "test": 200}
    urls = (
        "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/edges2shoes.tar.gz",
        "https://people.eecs.berkeley.edu/~tinghuiz/projects/pix2pix/datasets/edges2shoes.tar.gz",
    )
    archive_bytes = 4_000_000_000
