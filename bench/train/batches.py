"""Which images a step sees: a pure function of the step, so that any step can be the first.

What one example is, and what is drawn with it, is the task's business. An epoch is one permutation
of the larger domain; the next one follows without a short batch between, so that every step has
the same shape.
"""

from __future__ import annotations

import functools
import math
import signal
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from bench.contracts.image import Pixels
from bench.contracts.task import Drawn, Task
from bench.errors import DataError
from bench.maths.seed import derive
from bench.plan.cell import Cell
from bench.train.decoded import content_of, open_decoded


class Encode(Protocol):
    """What training images become: codes of an autoencoder."""

    content: str  # identity of the codes

    def __call__(self, pixels: Pixels) -> Tensor:
        """[S, S, 3] uint8 -> [C, s, s] float32."""


"""What a network is fed in the place of a training image, [S, S, 3] uint8."""


class Batches(TorchDataset[dict[str, Tensor]]):
    """The training batches of one stage of a cell.

    `batches[step]` is domain -> [N, 3, S, S] in [-1, 1], and what was drawn, by name; steps count
    from the start of the stage. With `encode` images are what it makes of them: codes, [C, s, s].
    """

    def __init__(
        self, cell: Cell, task: Task, stage: int = 0, encode: Encode | None = None
    ) -> None:
        dataset = open_decoded(cell.dataset)
        self.task, self.dataset = task, dataset
        self.size, self.side, self.batch = cell.size, cell.side, cell.budgets[stage].batch
        self.tensor = encode or normalise
        self.codes = encode.content if encode else ""  # identity of what they are made of
        self.loaded = task.loaded(cell.size)
        self.seed = cell.seed_for("batches", *([stage] if stage else []))
        self.counts = {d: dataset.count("train", d) for d in dataset.domains}
        for domain, count in self.counts.items():
            if count == 0:
                raise DataError(f"{cell.dataset.name}: the train split has no images in {domain}.")
        self.epoch = max(self.counts.values())  # images
        self.content = self._content(cell)

    def __len__(self) -> int:
        """Return the number of steps of one epoch, rounded up."""
        return math.ceil(self.epoch / self.batch)

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        """Return the batch of a step, which may lie in any epoch."""
        positions = range(step * self.batch, (step + 1) * self.batch)
        images = [self._images(p) for p in positions]
        return _stacked(images, [self._drawn(p) for p in positions], self.tensor)

    def inputs(self, direction: str, device: torch.device) -> Iterator[tuple[Tensor, ...]]:
        """Yield what a direction's generator is fed of the whole split, in order, uncropped."""
        source, target = self.task.directions[direction]
        domain = source or target
        for first in range(0, self.counts[domain], self.batch):
            places = range(first, min(first + self.batch, self.counts[domain]))
            batch = _Whole(self, places, device)
            drawn = _stacked([{}], [self._drawn(i) for i in places], self.tensor)
            batch.update({name: x.to(device) for name, x in drawn.items()})
            yield self.task.inputs(direction, batch)

    def _content(self, cell: Cell) -> list[Any]:
        """Return what decides `inputs`, as a JSON value; the seed only where something is drawn."""
        task, drawn = cell.task, [cell.task.params[name] for name in self.task.drawn_by]
        seed = self.seed if self._drawn(0) else ""
        fed = [task.name, task.version, task.source_hash(), drawn, seed]
        return [content_of(cell.dataset), cell.size, self.codes, *fed, self.batch]

    def _images(self, position: int) -> dict[str, Pixels]:
        """Return the images at one position of the endless sequence."""
        epoch, place = divmod(position, self.epoch)
        rng = np.random.default_rng(derive("augment", self.seed, position))
        index = int(_permutation(self.seed, epoch, self.epoch)[place])
        return self.task.example(self._read, self.counts, index, self.size, rng)

    def _read(self, domain: str, index: int) -> Pixels:
        return self.dataset.read("train", domain, index, self.loaded)

    def _drawn(self, position: int) -> dict[str, Drawn]:
        """Return what is drawn with the example at a position."""
        return self.task.draw(self.side, np.random.default_rng(derive("draw", self.seed, position)))


class _Whole(dict[str, Tensor]):
    """A batch of whole images; a domain is read once it is asked for."""

    def __init__(self, batches: Batches, places: range, device: torch.device) -> None:
        super().__init__()
        self.batches, self.places, self.device = batches, places, device

    def __missing__(self, domain: str) -> Tensor:
        of, count = self.batches, self.batches.counts[domain]
        pixels = [of.dataset.read("train", domain, i % count, of.size) for i in self.places]
        self[domain] = torch.stack([of.tensor(p) for p in pixels]).to(self.device)
        return self[domain]


def _stacked(
    images: list[dict[str, Pixels]],
    drawn: list[dict[str, Drawn]],
    tensor: Callable[[Pixels], Tensor],
) -> dict[str, Tensor]:
    """Return examples as one batch."""
    found = {d: torch.stack([tensor(row[d]) for row in images]) for d in images[0]}
    return found | {n: torch.from_numpy(np.stack([row[n] for row in drawn])) for n in drawn[0]}


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
        worker_init_fn=outlive_stopping,
    )
    for batch in loader:
        yield {domain: x.to(device, non_blocking=True) for domain, x in batch.items()}


def outlive_stopping(_worker: int) -> None:
    """Leave SIGTERM to the process that trains: it asks for the batches of its last step still.

    Schedulers, and `timeout`, send it to all processes of a run at once.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.random.default_rng(derive("epoch", seed, epoch)).permutation(count)
