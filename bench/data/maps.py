"""Maps to aerial photographs, from Google Maps."""

from __future__ import annotations

from bench.data._folders import Pairs


class Maps(Pairs):
    """A: map; B: aerial photograph, as GAN Compression and its successors go (`direction: BtoA`).

    600 x 600 pixels, New York and around. The archive has train and val only: val serves as test,
    and there is no validation split.
    """

    defaults = {"path": "", "direction": "BtoA"}
    source = (
        "Isola et al., CVPR 2017: pix2pix's maps; direction as mit-han-lab/gan-compression, map2sat"
    )
    licence = "Google Maps' terms; for research"
    names = ("map", "photo")
    folders = {"train": "train", "test": "val"}
    counts = {"train": 1096, "test": 1098}
    urls = (
        "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/maps.tar.gz",
        "https://people.eecs.berkeley.edu/~tinghuiz/projects/pix2pix/datasets/maps.tar.gz",
    )
    archive_bytes = 800_000_000
