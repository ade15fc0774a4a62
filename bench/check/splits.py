"""What is asked of a data set: images of the shape, number and constancy that training needs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from bench.check.question import Question, Unasked, require
from bench.contracts.dataset import SPLITS, Dataset
from bench.contracts.kinds import TASK
from bench.plugins.registry import Part

SIDES = (64, 48)
MOST = 9  # images of a split that are read, at even distances


def questions(part: Part[Any]) -> Iterator[Question]:
    """Yield what is asked of every split and domain."""
    yield Question("its fingerprint is one, and the same again", partial(_fingerprint, part))
    yield Question("it has images to train on, as many of B as of A if paired", partial(_n, part))
    for split, domain in product(SPLITS, part.declared.domains):
        said = f"{split}{domain}: {MOST} images are [S, S, 3] uint8, the same when read again"
        yield Question(said, partial(_images, part, split, domain))
    if part.declared.labels:
        yield Question("label maps have the declared colours alone", partial(_labels, part))


def _opened(part: Part[Any]) -> Dataset:
    dataset: Dataset = part.load()(part.params)
    return dataset


def _fingerprint(part: Part[Any]) -> None:
    found = _opened(part).fingerprint()
    require(bool(found) and isinstance(found, str), f"its fingerprint is {found!r}.")
    require(found == _opened(part).fingerprint(), "two readings have different fingerprints.")


def _n(part: Part[Any]) -> None:
    dataset, task = _opened(part), TASK.declaration(part.declared.task, part.name).says
    dataset.fingerprint()
    counts = {(s, d): dataset.count(s, d) for s in SPLITS for d in dataset.domains}
    for domain in dataset.domains:
        require(counts["train", domain] > 0, f"no images of {domain} in train.")
    for split in SPLITS if task.paired and len(dataset.domains) == 2 else ():
        a, b = counts[split, "A"], counts[split, "B"]
        require(a == b, f"{split}: {a} images of A, {b} of B; its task pairs them.")


def _images(part: Part[Any], split: str, domain: str) -> None:
    dataset, again = _opened(part), _opened(part)
    dataset.fingerprint(), again.fingerprint()
    count = dataset.count(split, domain)
    if not count:
        raise Unasked("it has none.")
    places = sorted({(count - 1) * step // (MOST - 1) for step in range(MOST)})
    for index, side in product(places, SIDES):
        image = dataset.read(split, domain, index, side)
        require(image.shape == (side, side, 3), f"image {index} is {image.shape} at {side} pixels.")
        require(image.dtype == np.uint8, f"image {index} is of {image.dtype}.")
        same = np.array_equal(image, again.read(split, domain, index, side))
        require(same, f"image {index} is another one when it is read again.")


def _labels(part: Part[Any]) -> None:
    dataset = _opened(part)
    dataset.fingerprint()
    known = {*map(tuple, dataset.labels.values()), *map(tuple, dataset.void)}
    for split in SPLITS:
        for index in range(min(dataset.count(split, dataset.label_domain), 5)):
            labels = dataset.label_map(split, index, SIDES[1])
            found = {tuple(map(int, c)) for c in np.unique(labels.reshape(-1, 3), axis=0)}
            odd = sorted(found - known)
            require(not odd, f"{split} {index} has colours that are no class: {odd[:3]}.")
