"""Paintings of Monet to landscape photographs and back."""

from __future__ import annotations

from bench.data._folders import Unpaired


class Monet2Photo(Unpaired):
    """A: painting; B: photo. Unpaired, 256 x 256 pixels; there is no validation split."""

    source = "Zhu et al., ICCV 2017: CycleGAN's monet2photo"
    licence = "scans of WikiArt and Flickr photographs; the owners' own, for research"
    names = ("painting", "photo")
    counts = {"trainA": 1072, "trainB": 6287, "testA": 121, "testB": 751}
    urls = (
        "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/monet2photo.zip",
        "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/monet2photo.zip",
    )
    sha256 = "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04"
    archive_bytes = 305231073
