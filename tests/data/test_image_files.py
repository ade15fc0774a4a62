"""What image files mean: one reader for training, scoring and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import tiny_plan

from bench.contracts.image import decode, images, left_out, look
from bench.contracts.kinds import METRIC
from bench.errors import DataError
from bench.evaluate.folders import score_folders
from bench.run.preflight import check

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def noise(width: int, height: int, channels: int = 3) -> np.ndarray[Any, Any]:
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def save_turned(pixels: np.ndarray[Any, Any], path: Path, orientation: int) -> None:
    """Write an image with EXIF's orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def test_orientation_is_applied(tmp_path: Path) -> None:
    pixels = noise(6, 4)
    save_turned(pixels, tmp_path / "x.png", 6)  # to be turned clockwise by a quarter
    np.testing.assert_array_equal(decode(tmp_path / "x.png"), np.rot90(pixels, -1))
    assert look(tmp_path / "x.png") == ((4, 6), {"turned"})


def test_transparency_shows_white(tmp_path: Path) -> None:
    pixels = np.concatenate([noise(2, 1), [[[0], [255]]]], 2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    found = decode(tmp_path / "x.png")
    assert found[0, 0].tolist() == [255, 255, 255]
    assert found[0, 1].tolist() == pixels[0, 1, :3].tolist()


def test_grey_palette_and_cmyk_are_read_as_they_are_shown(tmp_path: Path) -> None:
    shown = {}
    colour = Image.new("RGB", (4, 4), (200, 40, 90))
    for mode, ending in (("RGB", "png"), ("P", "png"), ("CMYK", "tif"), ("L", "png")):
        colour.convert(mode).save(tmp_path / f"{mode}.{ending}")
        shown[mode] = decode(tmp_path / f"{mode}.{ending}")[0, 0].tolist()
    assert shown["RGB"] == shown["CMYK"] == [200, 40, 90]
    assert np.abs(np.subtract(shown["P"], shown["RGB"])).max() < 40  # the web palette
    assert len(set(shown["L"])) == 1


def spoil(kind: str, path: Path) -> None:
    """Write a file that means nothing as one 8-bit image."""
    if kind == "16 bits":
        Image.fromarray(np.full((4, 8), 40000, np.uint16)).save(path.with_suffix(".png"))
    elif kind == "floats":
        Image.fromarray(np.full((4, 8), 0.5, np.float32)).save(path.with_suffix(".tif"))
    else:
        frames = [Image.new("RGB", (8, 4), c) for c in ("red", "blue", "green")]
        frames[0].save(path.with_suffix(".webp"), save_all=True, append_images=frames[1:])


@pytest.mark.parametrize("kind", ["16 bits", "floats", "frames"])
def test_training_and_scoring_refuse_the_same_files(tmp_path: Path, kind: str) -> None:
    folder = pairs(tmp_path / "pairs")
    spoil(kind, folder / "train" / "7")
    said = r"7\.\w+: (colours in mode|3 frames)"
    with pytest.raises(DataError, match=said):
        checked(tmp_path, folder)
    with pytest.raises(DataError, match=said):
        score_folders(folder / "train", None, folder / "train", [METRIC.part("psnr", {}, "")], CPU)


def pairs(folder: Path, count: int = 3, size: tuple[int, int] = (72, 36)) -> Path:
    """Write pairs of noise, none of test in train."""
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        for index in range(count):
            Image.fromarray(noise(*size)).save(folder / split / f"{index}.png")
    return folder


def checked(tmp_path: Path, folder: Path, name: str = "pix2pix_folder") -> list[str]:
    """Return what the pre-flight says of a folder."""
    said: list[str] = []
    kinds = {"architectures": ["resnet9"]} if name == "cyclegan_folder" else {}
    datasets = {"mine": {"dataset": name, "path": str(folder)}}
    plan = tiny_plan(tmp_path, datasets=datasets, methods=["none"], **kinds)
    check(plan.cells.values(), {}, said.append)
    return said


def test_what_is_odd_about_a_folder_is_said_before_training(tmp_path: Path) -> None:
    assert len(checked(tmp_path, pairs(tmp_path / "plain"))) == 1  # that it is decoded
    folder = pairs(tmp_path / "pairs")
    train = folder / "train"
    Image.fromarray(noise(72, 36, 4)).save(train / "3.png")
    Image.fromarray(noise(72, 36)).convert("L").save(train / "4.png")
    save_turned(noise(36, 72), train / "5.png", 8)
    (train / "a.ppm").write_text("")
    (train / "b.ppm").write_text("")
    (train / "deeper").mkdir()
    (train / "gone.png").symlink_to(tmp_path / "nowhere")
    (train / "._0.png").write_text("of another system")
    (train / ".0.png.tmp.png").write_text("half")
    said = "\n".join(checked(tmp_path, folder))
    assert "1 of 9 images are grey, read as RGB" in said
    assert "1 of 9 images have transparency, composited over white" in said
    assert "1 of 9 images are turned as their EXIF says" in said
    assert f"{train}: left out: 2 .ppm, 1 folder, 1 link to nothing" in said
    assert left_out(folder / "test") == ""


def test_test_images_that_are_in_train_are_said(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "pairs")
    (folder / "test" / "9.bmp").write_bytes(b"")
    Image.open(folder / "train" / "1.png").save(folder / "test" / "9.bmp")
    (said,) = (line for line in checked(tmp_path, folder) if "in train too" in line)
    assert "1 test images are in train too, as " in said
    assert "9.bmp and " in said


def test_a_domain_of_one_colour_is_refused(tmp_path: Path) -> None:
    for folder in ("trainA", "trainB", "testA", "testB"):
        (tmp_path / "f" / folder).mkdir(parents=True)
        for index in range(3):
            pixels = noise(40, 40) if folder != "trainB" else np.full((40, 40, 3), 9 * index)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "f" / folder / f"{index}.png")
    said = "every image of domain B of the train split is of one colour"
    with pytest.raises(DataError, match=said):
        checked(tmp_path, tmp_path / "f", "cyclegan_folder")


def test_portrait_pairs_are_read_and_said(tmp_path: Path) -> None:
    folder = pairs(tmp_path / "pairs", size=(64, 64))
    assert "taken as two of 32 x 64 pixels side by side" in "\n".join(checked(tmp_path, folder))


@pytest.mark.parametrize(("one", "other"), [("train_A", "train_B"), ("A", "B")])
def test_pairs_in_two_folders_are_told_how_to_be_arranged(
    tmp_path: Path, one: str, other: str
) -> None:
    for name in (one, other):
        (tmp_path / "f" / name).mkdir(parents=True)
    with pytest.raises(DataError, match=f"put each image of {one}/ and its partner of {other}/"):
        checked(tmp_path, tmp_path / "f")


def test_outputs_and_truths_go_by_full_name_first(tmp_path: Path) -> None:
    """`0.png` beside `0.bmp` are two images; by stem alone nobody knows which is meant."""
    for folder in ("made", "truth"):
        (tmp_path / folder).mkdir()
    for index, ending in enumerate(("png", "bmp", "tif")):
        for folder in ("made", "truth"):
            rng = np.random.default_rng(index)
            pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"0.{ending}")
    psnr = [METRIC.part("psnr", {}, "")]
    made, truth = tmp_path / "made", tmp_path / "truth"
    (found,) = score_folders(made, None, truth, psnr, CPU)
    assert found["values"]["psnr"] == 100.0
    (truth / "0.tif").rename(truth / "0.jpeg")
    images.cache_clear()
    with pytest.raises(DataError, match=r"0\.\w+: 0\.\w+ beside it has the same name"):
        score_folders(made, None, truth, psnr, CPU)
