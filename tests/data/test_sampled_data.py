"""Published sets that are made more of: layouts as their makers have them, and what is said else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_data import dataset, fault

from bench.contracts.dataset import DOMAINS, SPLITS
from bench.errors import AbsentData, DataError

LAYOUTS: dict[str, tuple[Sequence[str], list[int]]] = {  # images, and how many in train, val, test
    "ffhq": (
        ["images1024x1024/00000/00000.png", "images1024x1024/59000/59999.png",
         "images1024x1024/60000/60000.png", "images1024x1024/LICENSE.txt"],
        [2, 0, 1],
    ),
    "celeba_hq": (["CelebA-HQ-img/0.jpg", "CelebA-HQ-img/10.jpg"], [2, 0, 0]),
    "lsun_church": (["church_outdoor_train/0/a/b/0ab.webp", "church_outdoor_val/1.webp"], [1, 0, 1]),
    "lsun_bedroom": (["bedroom_train/2.webp", "bedroom_train/0/1.webp", "bedroom_val/c/3.webp"], [2, 0, 1]),
    "imagenet": (
        ["train/n01440764/n01440764_18.JPEG", "train/n01443537/n01443537_2.JPEG",
         "val/ILSVRC2012_val_00000001.JPEG"],
        [2, 0, 1],
    ),
}  # fmt: skip


def put(folder: Path, names: Sequence[str]) -> Path:
    """Write images, each of one grey by its place."""
    for place, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            Image.fromarray(np.full((20, 24, 3), 40 * place, np.uint8)).save(path)
    return folder


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_published_layout_is_read_split_by_split(name: str, tmp_path: Path) -> None:
    names, counts = LAYOUTS[name]
    data = dataset(name, path=str(put(tmp_path, names)))
    assert data.task == "diffusion"
    data.fingerprint()
    assert [data.count(split, "A") for split in SPLITS] == counts
    assert [data.count(split, "B") for split in SPLITS] == [0, 0, 0]
    pixels = data.read("train", "A", 1, 16) if counts[0] > 1 else data.read("test", "A", 0, 16)
    assert pixels.shape == (16, 16, 3)
    assert abs(int(pixels.mean()) - 40) < 6  # of the second image; JPEG and WebP are lossy
    assert any("were published" in said for said in data.differences())
    with pytest.raises(DataError, match="24 x 20 pixels are less than 32 x 32"):
        data.read("train", "A", 0, 32)


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_missing_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    said = fault(name, tmp_path)
    folders = dict.fromkeys(dataset(name, path="").folders.values())
    assert all(f"{folder}/" in said for folder in folders)
    assert "found other/" in said
    monkeypatch.setenv("DISTILLBENCH_HOME", str(tmp_path / "home"))
    with pytest.raises(
        AbsentData, match=r"no such folder\. .*, or give `path`\. Expected "
    ) as error:
        dataset(name).fingerprint()
    assert "https://" in str(error.value)
    assert {d for d in DOMAINS if d in dataset(name).domains} == {"A"}


def test_what_people_have_in_place_of_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "church" / "church_outdoor_train_lmdb").mkdir(parents=True)
    assert "This is LSUN's database: export its images by `python3 data.py export" in fault(
        "lsun_church", tmp_path / "church"
    )
    (tmp_path / "net" / "ILSVRC").mkdir(parents=True)
    assert "Give ILSVRC/Data/CLS-LOC as `path`." in fault("imagenet", tmp_path / "net")
    faces = put(tmp_path / "faces", ["images1024x1024/me.png"])
    with pytest.raises(DataError, match=r"me.png: images of FFHQ are called by their number"):
        dataset("ffhq", path=str(faces)).fingerprint()
