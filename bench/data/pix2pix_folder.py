"""A local folder of pairs in the layout of Pix2Pix: A and B side by side in one image."""

from __future__ import annotations

from bench.data._folders import Pairs


class Pix2PixFolder(Pairs):
    """`path/{train,val,test}/*`, each image two of the same size side by side.

    With `direction: AtoB` the left half is the input, with `BtoA` the right one (facades and
    Cityscapes: labels are right, photographs left).
    """

    source = "the layout of junyanz/pytorch-CycleGAN-and-pix2pix, dataset_mode aligned"
    licence = "the folder's own"
    version = 2  # 1 ignored EXIF's orientation and dropped transparency
