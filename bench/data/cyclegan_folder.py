"""A local folder of two unpaired domains in the layout of CycleGAN."""

from __future__ import annotations

from bench.data._folders import Unpaired


class CycleGANFolder(Unpaired):
    """`path/{train,val,test}{A,B}/*`: images of two domains that nothing pairs."""

    source = "the layout of junyanz/pytorch-CycleGAN-and-pix2pix, dataset_mode unaligned"
    licence = "the folder's own"
    version = 2  # 1 ignored EXIF's orientation and dropped transparency
