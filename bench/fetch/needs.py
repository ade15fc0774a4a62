"""What a suite needs from elsewhere is brought, checked and described before anything is trained.

Weights are found by asking the plug-ins: a metric, a task and a method say by their parameters
which pretrained networks they need, an architecture says which it starts from.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.contracts.dataset import DOMAINS, SPLITS, Dataset
from bench.contracts.image import decode
from bench.contracts.kinds import DATASET, METHOD, METRIC, NETWORK, TASK
from bench.errors import FetchError, unknown
from bench.fetch import weights
from bench.fetch.archive import extract
from bench.fetch.download import download, locked
from bench.fetch.home import home, record, recorded, remembered
from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.shelf import SUFFIXES, suites
from bench.plan.suite import Suite, load
from bench.plan.suite_rows import dataset_part
from bench.plugins.registry import Part


@dataclass(frozen=True)
class Need:
    """A pretrained network and who asks for it."""

    weights: str
    by: str


def fetch(name: str) -> Iterator[str]:
    """Bring what a suite file, a data set or pretrained weights are called by; yield lines.

    Raises:
        DistillbenchError: there is nothing of that name, or it cannot be brought.
    """
    known = [*DATASET.names(), *weights.KNOWN]
    if name in weights.KNOWN:
        yield fetch_weights(name)
    elif name in known or ":" in name:
        params = DATASET.part(name, {}, "fetch").params
        yield from fetch_dataset(name, params)
    elif name in suites() or Path(name).suffix in SUFFIXES:
        yield from fetch_suite(load(Path(name)))
    else:
        every = [*known, *suites()]
        raise FetchError(unknown("suite file, data set or weights", name, every, "fetch"))


def fetch_suite(suite: Suite) -> Iterator[str]:
    """Bring every data set and every pretrained network of a suite; yield one line each.

    Raises:
        DistillbenchError: the first that cannot be brought; what was brought stays.
    """
    for label, row in suite.datasets.items():
        part = dataset_part(suite, label, row)
        yield from fetch_dataset(part.name, part.params)
    for name in sorted({need.weights for need in needs_of_plan(expand(suite))}):
        yield fetch_weights(name)


def fetch_weights(name: str) -> str:
    """Bring a pretrained network; return a line that says what is there.

    Raises:
        DistillbenchError: it cannot be brought, or is not what it should be.
    """
    path = weights.fetch(name)
    _, sha256 = weights.look(name)
    return f"{name}: {path}, sha256 {sha256}, licence {weights.KNOWN[name].licence}"


def fetch_dataset(name: str, params: Mapping[str, Any]) -> Iterator[str]:
    """Bring a data set unless it is there, and look through it; yield lines that describe it.

    Every image is decoded once, so a damaged one is found here and not in training.

    Raises:
        DistillbenchError: it cannot be brought, is misarranged, or an image cannot be decoded.
    """
    dataset = DATASET.load(name, name)(params)
    if dataset.urls and not params.get("path"):
        _install(dataset, home() / "data" / name.replace(":", "-"))
    fingerprint = dataset.fingerprint()
    task = TASK.declaration(dataset.task, name).says
    domains = ("A",) if task.paired else dataset.domains
    counts = {
        (split, domain): dataset.count(split, domain) for split in SPLITS for domain in domains
    }
    said = ", ".join(
        f"{split}{domain if len(domains) > 1 else ''} {count}"
        for (split, domain), count in counts.items()
        if count
    )
    yield f"{name}: {said}; fingerprint {fingerprint}; licence: {dataset.licence}"
    for difference in dataset.differences():
        yield f"{name}: differs from what was published: {difference}"
    shared = in_train_and_test(dataset)
    if shared:
        first = " and ".join(shared[0])
        yield f"{name}: {len(shared)} test images are in train too, as {first}"


def _install(dataset: Dataset, folder: Path) -> None:
    """Download and unpack a data set that is not there.

    Raises:
        FetchError: no address gives the right archive, or it is damaged or hostile; nothing of it
            is left behind.
    """
    with locked(folder):
        if folder.exists():
            return
        suffix = ".zip" if dataset.urls[0].endswith(".zip") else ".tar.gz"
        archive = folder.with_name(folder.name + suffix)
        first = recorded(archive)
        try:
            found = download(
                dataset.urls, archive, dataset.sha256 or first, dataset.archive_bytes or None
            )
        except FetchError as error:
            if not first or dataset.sha256:
                raise
            raise FetchError(
                f"{error} The sha256 is that of the first download; if the archive was meant to "
                f"change, remove {archive.name}.sha256 beside it."
            ) from error
        try:
            extract(archive, folder)
        except FetchError:
            if not (dataset.sha256 or first):  # nothing vouches for these bytes
                archive.unlink()
            raise
        if not dataset.sha256:
            record(archive, found)
        archive.unlink()


def in_train_and_test(dataset: Dataset) -> list[tuple[str, str]]:
    """Return (test, train) for each image of test whose pixels are those of one in train.

    Raises:
        DataError: an image cannot be decoded; the message names the file.
    """
    train, val, test = (
        list(dict.fromkeys(file for domain in DOMAINS for file in dataset.files(split, domain)))
        for split in SPLITS
    )
    every = [*train, *val, *test]

    def compute() -> str:
        Console(stderr=True).print(f"decoding {len(every)} images once")
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            pixels = dict(zip(every, pool.map(_pixels, every), strict=True))
        known = {pixels[file]: file for file in train}
        return json.dumps([(str(f), str(known[pixels[f]])) for f in test if pixels[f] in known])

    found = json.loads(remembered("in train and test", every, compute)) if every else []
    return [(one, other) for one, other in found]


def _pixels(file: Path) -> bytes:
    """Return a hash of an image's size and pixels, whatever its file format."""
    pixels = decode(file)
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).digest()


def needs_of_plan(plan: Plan) -> list[Need]:
    """Return which pretrained networks a plan needs, and for what."""
    parts: list[Part[Any]] = [*plan.metrics, *plan.watched]
    parts += plan.trials.metrics if plan.trials else ()
    for cell in (*plan.cells.values(), *plan.open):
        networks = [nets.architecture for nets in (cell.nets, *cell.mentors)]
        parts += [cell.task, *cell.methods, *networks]
    asked = {(part.kind.name, part.name, json.dumps(part.params)): part for part in parts}
    return [need for name in sorted(asked) for need in _needs(asked[name])]


def needs_of_all() -> list[Need]:
    """Return which pretrained networks the plug-ins of this project may need, and for what.

    Each is asked with its defaults, with each declared choice, and, if it is a task, with the
    recipe of each architecture.
    """
    found: list[Need] = []
    for kind, variants in ((METRIC, _by_metric), (TASK, _by_recipe), (METHOD, _by_choice)):
        for name in kind.names():
            always = _needs(kind.part(name, {}, name))
            found += always
            for said, given in variants(name):
                for need in _needs(kind.part(name, given, name)):
                    if need not in always:
                        found.append(Need(need.weights, f"{need.by}, {said}"))
    networks = [NETWORK.part(name, {}, name) for name in NETWORK.names()]
    return [*found, *(need for part in networks for need in _needs(part))]


Variants = Iterator[tuple[str, Mapping[str, Any]]]  # how it is said, parameters


def _by_metric(name: str) -> Variants:
    yield from METRIC.declaration(name, name).says.variants()


def _by_choice(name: str) -> Variants:
    for param, values in METHOD.declaration(name, name).says.choices.items():
        for value in values:
            yield f"{param}: {value}", {param: value}


def _by_recipe(name: str) -> Variants:
    for param, values in TASK.declaration(name, name).says.choices.items():
        for value in values:
            yield f"{param}: {value}", {param: value}
    for network in NETWORK.names():
        recipes = NETWORK.declaration(network, network).says.task_defaults
        if name in recipes:
            yield f"recipe of {network}", recipes[name]


def _needs(part: Part[Any]) -> list[Need]:
    """Return what one plug-in needs with its parameters."""
    if part.kind == METRIC:
        names = part.declared.pretrained(part.params)
    elif part.kind == NETWORK:
        names = list(part.declared.weights)
    else:
        names = part.load()(part.params).weights
    return [Need(weight, f"{part.kind.name} {part.name}") for weight in names]
