"""LSUN: photographs of bedrooms."""

from __future__ import annotations

from bench.data._folders import Nested

EXPORT = (
    "`python3 data.py export bedroom_train_lmdb --out_dir bedroom_train`, and in the same "
    "way bedroom_val_lmdb to bedroom_val"
)


class LSUNBedroom(Nested):
    """`path/bedroom_train/` and `path/bedroom_val/`, as LSUN's code exports them.

    The validation images are the test split. The shorter side is 256 px.
    """

    source = "Yu et al. (LSUN), arXiv:1506.03365; fyu/lsun"
    licence = "LSUN's terms: research"
    folders = {"train": "bedroom_train", "test": "bedroom_val"}
    counts = {"train": 3_033_042, "test": 300}
    bring = f"Download bedroom by https://github.com/fyu/lsun, export it there by {EXPORT}"
    instead = {"bedroom_train_lmdb": f"This is LSUN's database: export its images by {EXPORT}."}
