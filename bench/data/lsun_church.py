"""LSUN: photographs of churches from outside."""

from __future__ import annotations

from bench.data._folders import Nested

EXPORT = (
    "`python3 data.py export church_outdoor_train_lmdb --out_dir church_outdoor_train`, and in the "
    "same way church_outdoor_val_lmdb to church_outdoor_val"
)


class LSUNChurch(Nested):
    """`path/church_outdoor_train/` and `path/church_outdoor_val/`, as LSUN's code exports them.

    The validation images are the test split. The shorter side is 256 px.
    """

    source = "Yu et al. (LSUN), arXiv:1506.03365; fyu/lsun"
    licence = "LSUN's terms: research"
    folders = {"train": "church_outdoor_train", "test": "church_outdoor_val"}
    counts = {"train": 126_227, "test": 300}
    bring = f"Download church_outdoor by https://github.com/fyu/lsun, export it there by {EXPORT}"
    instead = {
        "church_outdoor_train_lmdb": f"This is LSUN's database: export its images by {EXPORT}."
    }
