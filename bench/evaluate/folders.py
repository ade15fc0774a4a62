"""Scores two folders of images with the code that scores a suite, so that anyone can check it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.contracts.dataset import fingerprint
from bench.contracts.feature import Extractor
from bench.contracts.image import decode, left_out, look, remarks
from bench.contracts.image import images as images_in
from bench.contracts.kinds import FEATURES
from bench.contracts.metric import Features, Metric, Scene
from bench.errors import DataError, SuiteError, WeightsError
from bench.evaluate.feed import Feed, Images, joined
from bench.evaluate.generate import BATCH, to_8_bits
from bench.fetch import weights
from bench.fetch.missing import missing_weights
from bench.maths.bootstrap import draw
from bench.plan.result_files import TRUTH, ending_of, folder_of, named, with_ending
from bench.plan.scores import record
from bench.plugins.registry import Part
from bench.train.batches import normalise

Json = dict[str, Any]


class Folder:
    """Images of one size, by name; of results with an input beside each output, some of them."""

    def __init__(
        self, path: Path, say: Callable[[str], None], ending: str = "", pattern: str = ""
    ) -> None:
        """Look at every image's head.

        Args:
            path: the folder, or one that has the images in `images/`.
            say: told what a person may want to know.
            ending: of the stems of those that are meant; it is no part of their names.
            pattern: of their names in place of it, where the star stands for the name.

        Raises:
            DataError: no folder, no images, an unreadable image, or two sizes.
        """
        if not path.is_dir():
            raise DataError(f"{path}: no such folder.")
        self.path = folder_of(path)
        every = images_in(self.path)
        self.names = named(self.path, pattern) if pattern else with_ending(every, ending)
        self.files = tuple(self.names)
        if not self.files:
            meant = pattern or (f"*{ending}.png" if ending else "png, jpg, bmp, webp or tif")
            raise DataError(f"{self.path}: no images in this folder ({meant}).")
        if len(self.files) < len(every):
            say(f"{self.path}: {len(self.files)} of {len(every)} images, {pattern or f'*{ending}'}")
        self.size, traits = (0, 0), []  # width, height
        self.columns = slice(None)  # of the pixels
        for file in self.files:
            size, found = look(file)
            traits.append(found)
            if self.size not in ((0, 0), size):
                raise DataError(
                    f"{file}: {size[0]} x {size[1]} pixels, {self.files[0].name} beside it has "
                    f"{self.size[0]} x {self.size[1]}. Resize all alike first; the filter "
                    "changes the scores."
                )
            self.size = size
        for remark in remarks(traits):
            say(f"{path}: {remark}")
        if others := left_out(path):
            say(f"{path}: left out: {others}")

    def halve(self, is_left: bool) -> None:
        """Take one of the two images that each file shows side by side."""
        width, height = self.size
        self.size = (width // 2, height)
        self.columns = slice(width // 2) if is_left else slice(width // 2, None)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.files)

    def read(self, places: Iterable[int]) -> Tensor:
        """Return images as [N, 3, H, W] float32 in [0, 1].

        Raises:
            DataError: an image is damaged; the message names the file.
        """
        pixels = (decode(self.files[i])[:, self.columns] for i in places)
        return to_8_bits(torch.stack([normalise(image) for image in pixels]))

    def fingerprint(self) -> str:
        """Return a hash of names and contents, and of which half where one of two is taken."""
        half = [] if self.columns == slice(None) else [f"columns {self.columns}"]
        return fingerprint(*half, *(part for f in self.files for part in (f.name, f)))


def score_folders(
    outputs: Path,
    real: Path | None,
    target: Path | None,
    metrics: Sequence[Part[Metric]],
    device: torch.device,
    *,
    pattern: str = "",
    is_left: bool = False,
    say: Callable[[str], None] = lambda text: None,
    follow: Callable[[Sequence[range], str], Iterable[range]] = lambda steps, text: steps,
) -> list[Json]:
    """Score a folder of images.

    Args:
        outputs: the images to judge; of a folder of results, as bench/plan/result_files.py has it,
            its outputs.
        real: images that distances between sets are held against.
        target: the ground truth of each output, under the same file name whatever its ending; in a
            folder of results, what lies beside the outputs. Files that are twice as wide, here and
            in `real`, show two images side by side.
        metrics: of images.
        device: where extractors run.
        pattern: of the outputs' file names, as in `*_fake_B.png`.
        is_left: which of two images side by side is the real one.
        say: told what a person may want to know.
        follow: wraps long loops, for a progress bar.

    Returns:
        One record per metric, as in a cell's `scores.json`.

    Raises:
        SuiteError: a metric judges no images, or needs a folder that is not given.
        WeightsError: pretrained weights are missing.
        DataError: images are missing, damaged, or not of one size.
    """
    _check(metrics, real, target)
    ending = "" if pattern else ending_of(images_in(folder_of(outputs)))
    made = Folder(outputs, say, ending, pattern)
    held = _real(real, made, is_left, say) if real else None
    truth = _pairs(made, _real(target, made, is_left, say)) if target else None
    is_paired = held is not None and truth is not None and held.path == truth.path
    held = truth if is_paired else held  # in the order of the outputs, as a pair has to be
    if held and held.size != made.size:
        raise DataError(
            f"{held.path} has images of {held.size[0]} x {held.size[1]} pixels, {made.path} of "
            f"{made.size[0]} x {made.size[1]}. Resize them alike first; the filter changes the "
            "scores."
        )
    feed = Feed({p.name: p for p in metrics}, {p.name: Scene(device) for p in metrics})
    for places in follow(_batches(len(made)), str(outputs)):
        images = made.read(places).to(device)
        feed.add(Images(images, truth.read(places).to(device) if truth else None))

    def features(name: str, extractor: Extractor) -> Features:
        assert held is not None  # as _check saw to
        steps = follow(_batches(len(held)), str(real))
        return joined([extractor(held.read(p), p.start) for p in steps])

    values = feed.values(features, functools.partial(draw, paired=is_paired))
    for name, failure in feed.failures.items():
        raise SuiteError(f"{name}: {failure.strip().splitlines()[-1]}")
    protocol: Json = {"images": len(made), "size": list(made.size), "outputs": made.fingerprint()}
    found = []
    for part in metrics:
        declared = part.declared
        mine = dict(protocol)
        if features_of := declared.extractor(part.params):
            extractor = FEATURES.declaration(features_of, part.name)
            mine["features"] = f"{features_of} {extractor.version}"
            if not declared.one_set:
                assert held is not None
                mine |= {"real images": len(held), "real": held.fingerprint()}
        if "target" in declared.needs:
            assert truth is not None
            mine["target"] = truth.fingerprint()
        needed = declared.pretrained(part.params)
        mine |= {"weights": {name: weights.look(name)[1] for name in needed}}
        errors = feed.sampled[part.name].errors()
        found.append(record(part, mine, values[part.name], "", time.time(), errors))
    return found


def _check(metrics: Sequence[Part[Metric]], real: Path | None, target: Path | None) -> None:
    """Refuse metrics that two folders cannot serve, before anything is read."""
    for part in metrics:
        declared = part.declared
        if declared.judges != "images" or set(declared.needs) - {"target"}:
            raise SuiteError(f"{part.name} cannot be scored from folders of images alone.")
        if declared.extractor(part.params) and not declared.one_set and real is None:
            raise SuiteError(f"{part.name} compares two sets: give the real one with --real.")
        if "target" in declared.needs and target is None:
            raise SuiteError(
                f"{part.name} needs the ground truth of each image: give a folder with the same "
                "file names with --target (it may be the same as --real)."
            )
        why = missing_weights(part)
        if why:
            raise WeightsError(why)


def _real(path: Path, made: Folder, is_left: bool, say: Callable[[str], None]) -> Folder:
    """Return the real images of a folder; of pairs of the outputs' size, the meant half."""
    is_beside = any(file.stem.endswith(TRUTH) for file in images_in(folder_of(path)))
    found = Folder(path, say, TRUTH if is_beside else "")
    width, height = made.size
    if found.size == (2 * width, height):
        found.halve(is_left)
        say(f"{found.path}: the {'left' if is_left else 'right'} half of each image is taken")
    return found


def _pairs(made: Folder, truth: Folder) -> Folder:
    """Return the ground truths in the order of the outputs."""
    if truth.size != made.size:
        raise DataError(
            f"{truth.path} has images of {truth.size[0]} x {truth.size[1]} pixels, {made.path} of "
            f"{made.size[0]} x {made.size[1]}."
        )
    is_alike = {f.name for f in made.files} <= {f.name for f in truth.files}
    of_truth, of_made = _by_name(truth, is_alike), _by_name(made, is_alike)
    for name, file in of_made.items():
        if name not in of_truth:
            raise DataError(f"{file}: no ground truth of this name in {truth.path}.")
    extra = [file for name, file in of_truth.items() if name not in of_made]
    if extra:
        raise DataError(
            f"{extra[0]}: no output of this name in {made.path} ({len(extra)} such ground truths)."
        )
    truth.files = tuple(of_truth[name] for name in of_made)
    return truth


def _by_name(folder: Folder, is_whole: bool) -> dict[str, Path]:
    """Return files by their whole names, or by what these say without endings, in order.

    Raises:
        DataError: two have the same one.
    """
    found: dict[str, Path] = {}
    for file, name in folder.names.items():
        key = file.name if is_whole else name
        if key in found:
            raise DataError(f"{found[key]}: {file.name} beside it has the same name.")
        found[key] = file
    return found


def _batches(count: int) -> list[range]:
    return [range(first, min(first + BATCH, count)) for first in range(0, count, BATCH)]
