"""Which images a step sees: a pure function of the step, so that any step can be the first.

Images are resized to 286/256 of their side, cropped at random and flipped, as Pix2Pix and
CycleGAN do (`resize_and_crop`); where data are paired both images get the same crop and flip.
An epoch is one permutation of the larger domain; the next one follows without a short batch
between, so that every step has the same shape.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from bench.contracts.dataset import DOMAINS, Pixels
from bench.errors import DataError
from bench.maths.seed import derive
from bench.plan.cell import Cell, Part, open_dataset

CACHE_BYTES = 2**30  # decoded training images up to this size are kept in memory
READERS = 2  # data sets of which they are kept


class _Reader:
    """Reads training images; those of one data set at one size are decoded once per process."""

    def __init__(self, part: Part, size: int, keep: bool) -> None:
        self.dataset, self.size = open_dataset(part), size
        self.kept: dict[tuple[str, int], Pixels] | None = {} if keep else None

    def __call__(self, domain: str, index: int) -> Pixels:
        if self.kept is None:
            return self.dataset.read("train", domain, index, self.size)
        if (domain, index) not in self.kept:
            self.kept[domain, index] = self.dataset.read("train", domain, index, self.size)
        return self.kept[domain, index]


_READERS: dict[tuple[str, str, str, int], _Reader] = {}  # of this process, for its next cohort


class Batches(TorchDataset[dict[str, Tensor]]):
    """The training batches of a cell: `batches[step]` is domain -> [N, 3, S, S] in [-1, 1]."""

    def __init__(self, cell: Cell, paired: bool) -> None:
        dataset = open_dataset(cell.dataset)
        self.paired = paired
        self.size, self.batch = cell.size, cell.budget.batch
        self.loaded = round(self.size * 286 / 256)
        self.seed = cell.seed_for("batches")
        self.counts = {d: dataset.count("train", d) for d in DOMAINS}
        for domain, count in self.counts.items():
            if count == 0:
                raise DataError(f"{cell.dataset.name}: the train split has no images in {domain}.")
        self.epoch = max(self.counts.values())  # images
        fits = sum(self.counts.values()) * self.loaded**2 * 3 <= CACHE_BYTES
        place = (cell.dataset.name, cell.dataset.fingerprint, str(cell.dataset.params), self.loaded)
        if place not in _READERS:
            if len(_READERS) >= READERS:
                _READERS.pop(next(iter(_READERS)))
            _READERS[place] = _Reader(cell.dataset, self.loaded, keep=fits)
        self._read = _READERS[place]

    def __len__(self) -> int:
        """Return the number of steps of one epoch, rounded up."""
        return math.ceil(self.epoch / self.batch)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Return the batch of a step, which may lie in any epoch."""
        rows = [self._place(step * self.batch + i) for i in range(self.batch)]
        return {domain: torch.stack([normalise(row[domain]) for row in rows]) for domain in DOMAINS}

    def _place(self, position: int) -> dict[str, Pixels]:
        """Return the images at one position of the endless sequence."""
        epoch, place = divmod(position, self.epoch)
        rng = np.random.default_rng(derive("augment", self.seed, position))
        a = int(_permutation(self.seed, epoch, self.epoch)[place])
        if self.paired:
            crop = self._draw(rng)
            return {d: _cropped(self._read(d, a), *crop, self.size) for d in DOMAINS}
        index = {"A": a % self.counts["A"], "B": int(rng.integers(self.counts["B"]))}
        return {d: _cropped(self._read(d, index[d]), *self._draw(rng), self.size) for d in DOMAINS}

    def _draw(self, rng: np.random.Generator) -> tuple[int, int, bool]:
        """Return the top and left of a crop, and whether it is flipped."""
        slack = self.loaded - self.size + 1
        return int(rng.integers(slack)), int(rng.integers(slack)), bool(rng.integers(2))


def normalise(pixels: Pixels) -> Tensor:
    """[H, W, 3] uint8 -> [3, H, W] float32 in [-1, 1]."""
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy()).float().div_(127.5).sub_(1.0)


def stream(
    batches: Batches, start: int, stop: int, device: torch.device
) -> Iterator[dict[str, Tensor]]:
    """Yield the batches of steps `start` to `stop` - 1 on a device, decoded ahead for a GPU."""
    is_cuda = device.type == "cuda"
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, stop),
        num_workers=4 if is_cuda else 0,
        pin_memory=is_cuda,
    )
    for batch in loader:
        yield {domain: x.to(device, non_blocking=True) for domain, x in batch.items()}


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.random.default_rng(derive("epoch", seed, epoch)).permutation(count)


def _cropped(pixels: Pixels, top: int, left: int, flip: bool, size: int) -> Pixels:
    crop = pixels[top : top + size, left : left + size]
    return crop[:, ::-1] if flip else crop
