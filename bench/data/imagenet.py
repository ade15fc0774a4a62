"""ImageNet (ILSVRC 2012): photographs of 1,000 classes, without their classes."""

from __future__ import annotations

from bench.data._folders import Nested


class ImageNet(Nested):
    """`path/train/n01440764/*.JPEG` and so on, `path/val/*.JPEG` or in such folders too.

    The validation images are the test split. A diffusion model learns them without their classes,
    which its task does not have; no number of class-conditional models stands beside it.
    """

    source = "Russakovsky et al. (ILSVRC), IJCV 2015"
    licence = "ImageNet's terms: non-commercial research"
    folders = {"train": "train", "test": "val"}
    counts = {"train": 1_281_167, "test": 50_000}
    bring = "Register at https://image-net.org and unpack ILSVRC2012's train and val there"
    instead = {
        "ILSVRC": "Give ILSVRC/Data/CLS-LOC as `path`.",
        "ILSVRC2012_img_train.tar": "Unpack the archives, and those of the classes within.",
    }
