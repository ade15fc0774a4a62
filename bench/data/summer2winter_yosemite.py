"""Yosemite in summer to Yosemite in winter and back."""

from __future__ import annotations

from bench.data._folders import Unpaired


class Summer2WinterYosemite(Unpaired):
    """A: summer; B: winter. Unpaired, 256 x 256 pixels; there is no validation split."""

    source = "Zhu et al., ICCV 2017: CycleGAN's summer2winter_yosemite"
    licence = "Flickr photographs; the photographers' own, for research"
    names = ("summer", "winter")
    counts = {"trainA": 1231, "trainB": 962, "testA": 309, "testB": 238}
    urls = (
        "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets/summer2winter_yosemite.zip",
        "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/summer2winter_yosemite.zip",
    )
    sha256 = "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9"
    archive_bytes = 132640856
