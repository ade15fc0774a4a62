"""What is asked of a metric: its worked examples, that batches change nothing, that means agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from bench.check.question import Question, Unasked, require
from bench.contracts.kinds import FEATURES, METRIC, NETWORK
from bench.contracts.metric import ImageMetric, NetworkMetric, SetMetric
from bench.fetch.missing import missing_weights
from bench.fetch.weights import KNOWN
from bench.plugins.registry import Part

QUICK = {"warmup": 1, "runs": 3, "batch": 2, "sizes": [[64, 32], [33, 47]]}  # of measurements


def questions(part: Part[Any]) -> Iterator[Question]:
    """Yield what is asked of a metric of images, of sets or of networks."""
    cls = part.load()
    yield Question("what it needs is known, and so is which way is better", partial(_known, part))
    if issubclass(cls, NetworkMetric):
        yield Question("it measures a network in finite numbers", partial(_measures, part))
    else:
        yield Question("its worked examples come out", partial(_examples, part))
    if issubclass(cls, ImageMetric):
        said = "a score does not depend on the size of batches"
        yield Question(said, partial(_batches, part))
        said = "what it returns of each image has the score as its mean"
        yield Question(said, partial(_means, part))


def _known(part: Part[Any]) -> None:
    ours = [METRIC.declaration(n, part.name).says for n in METRIC.names() if METRIC.is_ours(n)]
    known = {need for metric in ours for need in metric.needs}
    odd = sorted(set(part.declared.needs) - known)
    require(not odd, f"it needs {', '.join(odd)}; known are {', '.join(sorted(known))}.")
    better = part.declared.better
    is_known = better in ("higher", "lower", "")
    require(is_known, f'better is {better!r}: "higher", "lower" or, where neither is, "".')


def _made(part: Part[Any]) -> Any:
    """Return the metric, where it can run here and needs nothing but two images."""
    others = set(part.declared.needs) - {"target"}
    if others:
        raise Unasked(f"it needs {', '.join(sorted(others))}.")
    if why := missing_weights(part):
        raise Unasked(why)
    return part.load()(part.params)


def _examples(part: Part[Any]) -> None:
    cls = part.load()
    if any(not KNOWN[network].urls for network in cls.weights):
        raise Unasked("its values are those of a local file.")
    is_of_sets = issubclass(cls, SetMetric)
    if not is_of_sets:
        _made(part)
    checks = getattr(cls, "checks", None)
    require(bool(checks), "it has no worked example; give it one in `checks`.")
    assert checks is not None
    for story, (outputs, real, expected) in checks.items():
        made = cls(part.kind.declaration(part.name, part.name).fields["defaults"])
        if is_of_sets:
            FEATURES.declaration(made.extractor(made.params), part.name)
            found = made.distance(outputs, real)
        else:
            made.add(outputs, real)
            found = made.value()
        require(bool(expected), f"{story}: it expects no value.")
        shown = part.declared.headline or next(iter(found))
        require(shown in found, f"its headline is {shown}, its values {', '.join(found)}.")
        for value, wanted in expected.items():
            require(value in found, f"{story}: no value {value}, only {', '.join(found)}.")
            near = math.isclose(found[value], wanted, rel_tol=1e-6, abs_tol=1e-6)
            require(near, f"{story}: {value} is {found[value]}, expected {wanted}.")


def _batches(part: Part[Any]) -> None:
    output, target = _six()
    whole, parts = _made(part), _made(part)
    whole.add(output, target)
    for a, b in zip(output.split([1, 3, 2]), target.split([1, 3, 2]), strict=True):
        parts.add(a, b)
    for name, value in whole.value().items():
        other = parts.value()[name]
        near = math.isclose(value, other, rel_tol=1e-12, abs_tol=1e-12)
        require(near, f"{name}: {value} of one batch of 6, {other} of batches of 1, 3 and 2.")


def _means(part: Part[Any]) -> None:
    made = _made(part)
    made.add(*_six())
    each, found = made.each(), made.value()
    if not each:
        raise Unasked("its score is no mean over images.")
    for name, values in each.items():
        require(name in found, f"{name} is of each image, but no value: {', '.join(found)}.")
        require(len(values) == 6, f"{name}: {len(values)} values of 6 images.")
        mean = math.fsum(values) / 6
        near = math.isclose(mean, found[name], rel_tol=1e-9, abs_tol=1e-9)
        require(near, f"{name} is {found[name]}, the mean over images {mean}.")


def _six() -> torch.Tensor:
    """Return six outputs and their ground truths, [2, 6, 3, 32, 32]."""
    torch.manual_seed(0)
    return torch.rand(2, 6, 3, 32, 32).mul(255).round().div(255)


def _measures(part: Part[Any]) -> None:
    made = _made(part)
    made.params = {**made.params, **{n: x for n, x in QUICK.items() if n in made.params}}
    network = NETWORK.load("resnet9", part.name)(2, 32, {"norm": "instance"})
    found = made.measure(network, torch.device("cpu"))
    require(bool(found), "it returns no value.")
    for name, value in found.items():
        require(math.isfinite(value), f"{name} is {value}.")
