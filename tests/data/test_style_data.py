"""Photographs and pairs of style transfer: no leaks, partners by name, faults in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.contracts.dataset import Dataset
from bench.contracts.image import images
from bench.contracts.kinds import DATASET
from bench.data import style_photos
from bench.data._photographs import photograph
from bench.errors import DataError


def folder(path: Path) -> Dataset:
    return DATASET.load("style_folder", "test")({"path": str(path)})


def paint(file: Path, level: int, mode: str = "RGB") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((24, 40), level, np.uint8)
    pixels[:, 20:] = 255 - level
    Image.fromarray(pixels).convert(mode).save(file)


def whole(path: Path) -> Path:
    for number in range(3):
        paint(path / "train" / f"{number}.png", 10 * number)
        paint(path / "content" / f"{number}.png", 50 + number)
        paint(path / "style" / f"{number}.jpg", 100 + number)
    return path


def test_pairs_are_those_of_one_name_whatever_the_ending(tmp_path: Path) -> None:
    data = folder(whole(tmp_path))
    assert [data.count("train", "A"), data.count("test", "A"), data.count("test", "B")] == [3, 3, 3]
    assert data.count("val", "A") == 0
    for index in range(3):
        content, style = (data.read("test", domain, index, 32) for domain in "AB")
        assert content.shape == style.shape == (32, 32, 3)
        assert abs(int(content[16, 4, 0]) - 50 - index) <= 1
        assert abs(int(style[16, 4, 0]) - 100 - index) <= 3  # JPEG
    before = data.fingerprint()
    assert before == folder(tmp_path).fingerprint()


def test_grey_and_transparent_images_are_read_as_rgb(tmp_path: Path) -> None:
    data = folder(whole(tmp_path))
    paint(tmp_path / "train" / "0.png", 60, "L")
    paint(tmp_path / "train" / "1.png", 60, "RGBA")
    assert (
        data.read("train", "A", 0, 16).shape == data.read("train", "A", 1, 16).shape == (16, 16, 3)
    )


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("train", r"no images in train/. Expected train/, content/ and style/ .*; found content/"),
        ("style/1.jpg", r"content/1.png: no image of this name in style/\."),
        ("content/2.png", r"style/2.jpg: no image of this name in content/\."),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, spoilt: str, said: str) -> None:
    place = whole(tmp_path) / spoilt
    for file in place.iterdir() if place.is_dir() else [place]:
        file.unlink()
    if place.is_dir():
        place.rmdir()
    with pytest.raises(DataError, match=said):
        folder(tmp_path / "").fingerprint()


def test_two_styles_of_one_name_are_refused(tmp_path: Path) -> None:
    paint(whole(tmp_path) / "style" / "1.png", 5)
    with pytest.raises(DataError, match=r"style/1.jpg: 1.png beside it has the same name"):
        folder(tmp_path).fingerprint()


def test_coco_pairs_its_other_photographs_two_by_two(tmp_path: Path) -> None:
    for number in range(3):
        paint(tmp_path / "train2017" / f"{number}.jpg", 10 * number)
    for number in range(5):
        paint(tmp_path / "val2017" / f"{number}.png", 40 * number)
    data = DATASET.load("coco", "test")({"path": str(tmp_path)})
    counts = [data.count(split, domain) for split in ("train", "test", "val") for domain in "AB"]
    assert counts == [3, 3, 2, 2, 0, 0]  # the fifth has no partner
    seen = [[int(data.read("test", d, i, 24)[12, 2, 0]) for d in "AB"] for i in range(2)]
    assert seen == [[0, 40], [80, 120]]
    assert data.fingerprint()
    assert data.differences() == [
        "train: 3 images, 118287 were published",
        "test: 2 images, 2500 were published",
    ]
    for number in range(1, 5):
        (tmp_path / "val2017" / f"{number}.png").unlink()
    images.cache_clear()
    with pytest.raises(
        DataError, match=r"no images in val2017/\. Expected train2017/ and val2017/"
    ):
        DATASET.load("coco", "test")({"path": str(tmp_path)}).check()


def test_pst_is_cocos_photographs_and_pairs_by_name(tmp_path: Path) -> None:
    whole(tmp_path)
    data = DATASET.load("pst", "test")({"path": str(tmp_path)})
    with pytest.raises(DataError, match=r"no images in train2017/\. Expected train2017/, content/"):
        data.check()
    (tmp_path / "train").rename(tmp_path / "train2017")
    images.cache_clear()
    data.check()
    assert data.differences() == [
        "train: 3 images, 118287 were published",
        "test: 3 images, 786 were published",
    ]
    assert [data.files("test", d)[1].name for d in "AB"] == ["1.png", "1.jpg"]
    (tmp_path / "style" / "1.jpg").unlink()
    images.cache_clear()
    with pytest.raises(DataError, match=r"content/1.png: no image of this name in style/"):
        data.check()


def test_no_pixel_is_trained_on_and_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Photographs are painted by column: a window of the test never shows one of training's."""
    border = style_photos.BORDER

    def painted(file: str) -> np.ndarray:
        height, width, _ = photograph(file).shape
        columns = (np.arange(width) >= int(border * width)).astype(np.uint8) * 255
        return np.broadcast_to(columns[None, :, None], (height, width, 3)).copy()

    monkeypatch.setattr(style_photos, "photograph", painted)
    style_photos._window.cache_clear()
    data = style_photos.StylePhotos({})
    for index in range(data.count("train", "A")):
        assert data.read("train", "A", index, 128).max() == 0
    for index in range(data.count("test", "A")):
        assert data.read("test", "A", index, 128).min() == 255
        assert data.read("test", "B", index, 128).min() == 255
    style_photos._window.cache_clear()


def test_content_and_style_are_of_two_photographs_and_training_sees_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(style_photos, "photograph", lambda f: asked.append(f) or photograph(f))
    style_photos._window.cache_clear()
    data = style_photos.StylePhotos({})
    for index in range(16):
        asked.clear()
        data.read("test", "A", index, 128)
        data.read("test", "B", index, 128)
        content, style = asked
        assert content != style
    asked.clear()
    for index in range(11):
        data.read("train", "A", index, 128)
    assert set(asked) == {*style_photos.COLOUR, *style_photos.GREY}
    style_photos._window.cache_clear()
