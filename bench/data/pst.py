"""PCA-KD's own data: MS-COCO to learn a style transfer on, and PST's 786 pairs to try it on."""

from __future__ import annotations

from bench.data.style_folder import StyleFolder


class PST(StyleFolder):
    """`path/train2017/*` of MS-COCO, `path/content/*` and `path/style/*` of PST, pairs by name.

    Links to the folders will do. No public address of the pairs is known to us, so nobody can fetch
    them; how they were named where they were published we have not seen. Other numbers of images
    than the paper's are said before training. Images are resized to a square of 512 pixels, of
    which the task crops 256.
    """

    source = (
        "Lin et al., ECCV 2014 (MS-COCO); Xia et al., ECCV 2020 (PST); Chiu & Gurari, CVPR 2022, "
        "section 4"
    )
    licence = "the photographs' own; see cocodataset.org"
    photographs = "train2017"
    counts = {"train": 118287, "test": 786}
