"""Built-in photographs without leaks, and folders whose faults are said."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import keeps

from bench.check.question import Question
from bench.check.splits import questions
from bench.contracts.dataset import DOMAINS, SPLITS, Dataset
from bench.contracts.kinds import DATASET
from bench.data import photo_crops, photo_edges
from bench.data._photographs import SIDE, windows
from bench.data.photo_textures import PhotoTextures
from bench.errors import DataError

BUILT_IN = ["grass2brick", "photo_edges", "photo_textures"]
ASKED = [
    pytest.param(question, id=f"{name}-{question.said}")
    for name in BUILT_IN
    for question in questions(DATASET.part(name, {}, "test"))
]


def dataset(name: str, **given: Any) -> Dataset:
    params = DATASET.declaration(name, "test").params(given, "test")
    return DATASET.load(name, "test")(params)


@pytest.mark.parametrize("question", ASKED)
def test_a_data_set_keeps_its_contract(question: Question) -> None:
    """What `distillbench check` asks of a user's own."""
    keeps(question)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_split_has_images_and_they_are_not_blank(name: str) -> None:
    data = dataset(name)
    for split, domain in itertools.product(SPLITS, DOMAINS):
        count = data.count(split, domain)
        assert count >= 15
        for index in (0, count - 1):
            assert data.read(split, domain, index, 64).std() > 0 or domain == "A"


@pytest.mark.parametrize("file", [*photo_edges.PHOTOGRAPHS, "grass.png", "hubble_deep_field.jpg"])
def test_no_pixel_is_in_two_splits(file: str) -> None:
    columns = {
        split: {c for _, _, left in windows(file, split, 1) for c in range(left, left + SIDE)}
        for split in SPLITS
    }
    for one, other in itertools.combinations(SPLITS, 2):
        assert columns[one]
        assert not columns[one] & columns[other]


def test_edges_are_found_where_the_photograph_has_them() -> None:
    data = dataset("photo_edges")
    ratios = []
    for index in range(0, data.count("test", "A"), 7):
        edges, photo = (data.read("test", domain, index, 64) for domain in DOMAINS)
        assert set(np.unique(edges)) <= {0, 255}
        slope = np.hypot(*np.gradient(photo.mean(-1)))
        if (edges == 0).any():
            ratios.append(slope[edges[..., 0] == 0].mean() / slope.mean())
    assert np.median(ratios) > 1.5


def test_labels_are_flat_and_textures_are_not() -> None:
    data = dataset("photo_textures")
    colours = set(PhotoTextures.labels.values())
    seen = set()
    for index in range(20):
        labels = data.read("test", "A", index, 50)  # a size that must not blend colours
        seen |= {tuple(int(v) for v in c) for c in np.unique(labels.reshape(-1, 3), axis=0)}
    assert seen == colours


def test_fingerprints_differ() -> None:
    assert len({dataset(n).fingerprint() for n in BUILT_IN}) == len(BUILT_IN)


def pairs(folder: Path, splits: tuple[str, ...] = ("train", "test"), count: int = 3) -> Path:
    for split in splits:
        (folder / split).mkdir(parents=True)
        for index in range(count):
            left = np.full((20, 20, 3), 10 * index, np.uint8)
            Image.fromarray(np.hstack([left, 255 - left])).save(folder / split / f"{index}.png")
    return folder


def test_pairs_are_split_down_the_middle_in_the_direction_asked(tmp_path: Path) -> None:
    path = str(pairs(tmp_path))
    forth = dataset("pix2pix_folder", path=path)
    back = dataset("pix2pix_folder", path=path, direction="BtoA")
    forth.fingerprint()
    assert forth.count("train", "A") == forth.count("train", "B") == 3
    assert forth.count("val", "A") == 0
    for index in range(3):
        np.testing.assert_array_equal(forth.read("test", "A", index, 20), 10 * index)
        np.testing.assert_array_equal(forth.read("test", "B", index, 8), 255 - 10 * index)
        np.testing.assert_array_equal(
            forth.read("test", "A", index, 20), back.read("test", "B", index, 20)
        )


def test_unpaired_folders_may_have_different_counts(tmp_path: Path) -> None:
    for folder, count in (("trainA", 2), ("trainB", 3), ("testA", 1), ("testB", 1)):
        (tmp_path / folder).mkdir()
        for index in range(count):
            Image.new("L", (9, 7), index).save(
                tmp_path / folder / f"{index}.jpg"
            )  # grey, not square
    data = dataset("cyclegan_folder", path=str(tmp_path))
    data.fingerprint()
    assert [data.count("train", d) for d in DOMAINS] == [2, 3]
    assert data.read("train", "B", 2, 16).shape == (16, 16, 3)


def test_a_fingerprint_is_of_names_and_contents_not_of_the_place(tmp_path: Path) -> None:
    one, two = pairs(tmp_path / "one"), pairs(tmp_path / "two")
    prints = [dataset("pix2pix_folder", path=str(p)).fingerprint() for p in (one, two)]
    assert prints[0] == prints[1]
    Image.new("RGB", (40, 20)).save(tmp_path / "three.png")
    three = pairs(tmp_path / "three")
    (tmp_path / "three.png").rename(three / "test" / "9.png")
    assert dataset("pix2pix_folder", path=str(three)).fingerprint() != prints[0]


def fault(name: str, path: Path) -> str:
    with pytest.raises(DataError) as caught:
        dataset(name, path=str(path)).fingerprint()
    return str(caught.value)


def test_layout_faults_say_what_was_found_and_what_to_use(tmp_path: Path) -> None:
    assert "no such folder. Expected train/, test/" in fault("pix2pix_folder", tmp_path / "no")
    with pytest.raises(DataError, match="needs `path`"):
        dataset("pix2pix_folder").fingerprint()
    cyclegan = tmp_path / "c"
    for folder in ("trainA", "trainB", "testA", "testB"):
        (cyclegan / folder).mkdir(parents=True)
    text = fault("pix2pix_folder", cyclegan)
    assert "no images in train/" in text
    assert "found testA/, testB/, trainA/, trainB/" in text
    assert "use dataset cyclegan_folder" in text
    assert "no images in trainA/, trainB/, testA/, testB/" in fault("cyclegan_folder", cyclegan)
    assert "use dataset pix2pix_folder" in fault("cyclegan_folder", pairs(tmp_path / "p"))


def test_an_image_that_is_no_pair_is_named(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "p")
    for size in ((21, 20), (18, 20)):
        Image.new("RGB", size).save(folder / "train" / "0.png")
        said = f"0.png: {size[0]} x 20 pixels are not two images"
        assert said in fault("pix2pix_folder", folder)


def test_a_damaged_image_is_named(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "p")
    data = dataset("pix2pix_folder", path=str(folder))
    path = folder / "train" / "1.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"1.png: cannot be decoded"):
        data.read("train", "A", 1, 16)


def test_photo_crops_are_one_domain_without_leaks() -> None:
    data = dataset("photo_crops")
    assert [data.count(split, "A") for split in SPLITS] == [1000, 266, 266]
    assert data.count("train", "B") == 0
    for split in SPLITS:
        image = data.read(split, "A", data.count(split, "A") - 1, 16)
        assert (image.shape, image.dtype) == ((16, 16, 3), np.uint8)
        assert image.std() > 0
    for file in photo_crops.PHOTOGRAPHS:
        columns = {
            split: {
                column
                for _, _, left in windows(file, split, photo_crops.STRIDE, photo_crops.SIDE)
                for column in range(left, left + photo_crops.SIDE)
            }
            for split in SPLITS
        }
        assert all(columns.values())
        for one, other in itertools.combinations(SPLITS, 2):
            assert not columns[one] & columns[other]


def test_a_folder_of_images_is_their_middles_and_no_small_ones(tmp_path: Path) -> None:
    pixels = np.zeros((20, 31, 3), np.uint8)
    pixels[:, 5:25] = np.arange(400, dtype=np.uint16).reshape(20, 20, 1) % 251
    Image.fromarray(pixels).save(tmp_path / "a.png")
    data = dataset("image_folder", path=str(tmp_path))
    data.fingerprint()
    assert [data.count(s, d) for s in SPLITS for d in DOMAINS] == [1, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(data.read("train", "A", 0, 20), pixels[:, 5:25])
    assert data.read("train", "A", 0, 8).shape == (8, 8, 3)
    with pytest.raises(DataError, match=r"a.png: 31 x 20 pixels are less than 32 x 32; set `size`"):
        data.read("train", "A", 0, 32)
    (tmp_path / "none").mkdir()
    assert "no images. Expected images, not in folders; found nothing." in fault(
        "image_folder", tmp_path / "none"
    )
