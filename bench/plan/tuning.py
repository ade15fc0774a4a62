"""Each method's weight is chosen by as many trials as every other's, on the validation split alone.

A trial is a cell like any other, of seeds of its own; the test split plays no part in it. Once the
trials of a method at one place of the matrix have ended, the best of them says with what the method
trains there at the suite's seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.contracts.kinds import METHOD
from bench.contracts.metric import Metric
from bench.contracts.verdict import NOT_TRAINED
from bench.errors import PluginError, SuiteError
from bench.plan.cell import Cell
from bench.plan.scores import image_scores, modes_of
from bench.plan.suite import Tune
from bench.plugins.registry import Part

if TYPE_CHECKING:
    from bench.contracts.distiller import Distiller

Json = dict[str, Any]
Parts = tuple["Part[Distiller]", ...]
Results = Callable[[str], tuple[str, Mapping[str, Json], str]]
"""Key of a cell -> its status, its scores by id, and why it counts as not trained, or ""."""


class Setting(NamedTuple):
    """What one trial gives a method."""

    said: str  # as in "weight=4"
    parts: Parts
    scale: float | None  # what the method's weights were multiplied by; None: a row's own grid


def settings_of(parts: Parts, grid: object, tune: Tune, where: str) -> list[Setting]:
    """Return what a method's trials try: its row's own grid, or its weights times each scale.

    Nothing where the method has no weight.

    Raises:
        PluginError: a method's `strength` names no number among its parameters.
        SuiteError: the grid is none, or has another number of settings than there are trials.
    """
    for part in parts:
        for name in part.declared.strength:
            if not isinstance(part.params.get(name), float):
                raise PluginError(
                    f"method {part.name}: its strength {name!r} is no float of its own."
                )
    if grid is None:
        if not any(part.declared.strength for part in parts):
            return []
        return [_setting(parts, _scaled(parts, s), where, s) for s in tune.scales]
    if len(parts) > 1:
        raise SuiteError(f"{where}: a sum is tuned by tune.scale; it takes no grid of its own.")
    if not isinstance(grid, dict) or not all(isinstance(v, list) and v for v in grid.values()):
        raise SuiteError(f"{where}: expected lists by parameter, as in {{weight: [0.1, 1]}}.")
    found = [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]
    if len(found) != tune.trials:
        raise SuiteError(
            f"{where}: {len(found)} settings, but every method has {tune.trials} trials."
        )
    return [_setting(parts, one, where) for one in found]


def _scaled(parts: Parts, scale: float) -> Json:
    """Return the weights of all summands times a scale, as short as a person writes them."""
    found = {}
    for part in parts:
        prefix = f"{part.short}." if len(parts) > 1 else ""
        for name in part.declared.strength:
            found[f"{prefix}{name}"] = float(f"{scale * part.params[name]:.12g}")
    return found


def _setting(
    parts: Parts, given: Mapping[str, Any], where: str, scale: float | None = None
) -> Setting:
    """Return a method with values of its parameters; in a sum, `summand.parameter`."""
    changed = []
    for part in parts:
        prefix = f"{part.short}." if len(parts) > 1 else ""
        own = {n.removeprefix(prefix): v for n, v in given.items() if n.startswith(prefix)}
        changed.append(METHOD.part(part.name, {**part.params, **own}, where))
    said = ", ".join(f"{n}={v:g}" if isinstance(v, float) else f"{n}={v}" for n, v in given.items())
    return Setting(said, tuple(changed), scale)


class Trial(NamedTuple):
    """A setting at one place of the matrix."""

    setting: Setting
    cells: tuple[Cell, ...]  # one per seed of the trials


@dataclass(frozen=True)
class Choice:
    """What the trials of a method at one place of the matrix have shown."""

    trials: tuple[Trial, ...]
    best: Setting | None
    reason: str  # why there is no best
    is_open: bool  # whether there may be one yet
    told: Json  # all of it, for tables


def choose(
    trials: Sequence[Trial], metric: Part[Metric], tune: Tune, results: Results | None
) -> Choice:
    """Return the best of some trials by their mean over seeds, once all of them have ended.

    A trial of which a seed diverged, did not train or has no finite score is not chosen. Of equals
    the first.
    """
    outcomes = [[_outcome(cell, metric, results) for cell in trial.cells] for trial in trials]
    flat = [outcome for row in outcomes for outcome in row]
    ended = sum(outcome.is_known for outcome in flat)
    means = [_mean([o.value for o in row]) for row in outcomes]
    told = {
        "metric": metric.declared.label or metric.name,
        "unit": metric.declared.unit,
        "digits": metric.declared.digits,
        "seeds": list(tune.seeds),
        "trials": [
            {
                "said": trial.setting.said,
                "scale": trial.setting.scale,
                "value": mean,
                "outcomes": [o.said for o in row],
            }
            for trial, mean, row in zip(trials, means, outcomes, strict=True)
        ],
        "chosen": None,
    }
    best, reason = None, ""
    finite = [place for place, mean in enumerate(means) if mean is not None]
    if ended < len(flat):
        reason = f"its weight awaits {len(flat)} trials, of which {ended} have ended"
    elif not finite:
        reason = "none of its trials ended with a score that counts"
    else:
        sign = 1 if metric.declared.better == "higher" else -1
        place = max(finite, key=lambda n: sign * (means[n] or 0.0))
        best, told["chosen"] = trials[place].setting, place
    return Choice(tuple(trials), best, reason, ended < len(flat), told)


class _Outcome(NamedTuple):
    """How one cell of a trial ended."""

    is_known: bool
    value: float | None
    said: str  # the status, where there is no value


def _outcome(cell: Cell, metric: Part[Metric], results: Results | None) -> _Outcome:
    """Return a trial's score on the validation split, the mean over directions."""
    status, scores, untrained = results(cell.key) if results else ("missing", {}, "")
    if status == "diverged":
        return _Outcome(True, None, status)
    if status == "done" and untrained:
        return _Outcome(True, None, f"{NOT_TRAINED}: {untrained}")
    wanted = [s for s in image_scores(cell, (metric,)) if s.mode == modes_of(cell)[0]]
    if status != "done" or not all(score.id in scores for score in wanted):
        return _Outcome(False, None, status if status != "done" else "not scored")
    headline = metric.declared.headline
    found = []
    for score in wanted:
        values = scores[score.id]["values"]
        value = values.get(headline) if headline else next(iter(values.values()), None)
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            return _Outcome(True, None, "no number")
        found.append(float(value))
    return _Outcome(True, math.fsum(found) / len(found), "done")


def _mean(values: Sequence[float | None]) -> float | None:
    finite = [value for value in values if value is not None]
    return math.fsum(finite) / len(finite) if len(finite) == len(values) else None


def check_splits(cell: Cell, metric: Part[Metric], label: str, where: str) -> None:
    """Refuse data of which trials cannot be judged.

    Raises:
        SuiteError: there are no validation images, or the metric cannot score them.
    """
    images = cell.dataset.images
    if images and any(
        source and not images.get(f"val{source}", 0)
        for source, _ in cell.task.declared.directions.values()
    ):
        raise SuiteError(f"{where}: {label} has no validation split to choose on.")
    scores = list(image_scores(cell, (metric,)))
    why = next((s.reason for s in scores if s.reason), "" if scores else "it does not apply")
    if why:
        raise SuiteError(f"{where}: {metric.name} cannot judge {label}: {why}.")
