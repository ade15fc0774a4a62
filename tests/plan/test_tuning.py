"""Equal budgets of trials: what they try, what they choose, and that no test image is seen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from tiny import tiny_plan, write_suite

from bench.contracts.image import Pixels
from bench.contracts.kinds import METHOD
from bench.contracts.task import Task
from bench.data.photo_edges import PhotoEdges
from bench.errors import PluginError, SuiteError
from bench.evaluate.generate import open_students, outputs
from bench.plan.expand import expand
from bench.plan.matrix import Plan
from bench.plan.scores import image_scores
from bench.plan.suite import Tune, load
from bench.plan.tuning import settings_of
from bench.run.machine import Machine
from bench.run.walk import run, try_settings
from bench.store.layout import Store
from bench.train.decoded import _Reader

TUNE = {"trials": 3, "by": "psnr", "seeds": [100]}


def tuned(folder: Path, *, tune: Mapping[str, Any] = TUNE, **changes: Any) -> Plan:
    return tiny_plan(folder, tune=dict(tune), **changes)


def trials(plan: Plan) -> dict[str, Any]:
    """Return what is said of each trial -> its cell."""
    assert plan.trials is not None
    return {e.method: e.cell for e in plan.trials.entries if e.role == "trial"}


def fault(folder: Path, **changes: Any) -> str:
    with pytest.raises(SuiteError) as caught:
        tuned(folder, **changes)
    return str(caught.value)


def test_a_weight_is_multiplied_by_each_scale(tmp_path: Path) -> None:
    plan = tuned(tmp_path, methods={"none": {}, "wkd": {}, "hinton": {"weight": 2.0}})
    assert list(trials(plan)) == [
        "wkd (weight=0.04)", "wkd (weight=0.4)", "wkd (weight=4)",
        "hinton (weight=0.2)", "hinton (weight=2)", "hinton (weight=20)",
    ]  # fmt: skip
    cell = trials(plan)["hinton (weight=0.2)"]
    assert (cell.methods[0].params, cell.seed) == ({"weight": 0.2}, 100)
    assert tuned(tmp_path, tune=TUNE | {"scale": [0.5, 1, 3]}).trials is not None


def test_all_weights_of_a_method_and_of_a_sum_share_one_scale(tmp_path: Path) -> None:
    plan = tuned(
        tmp_path, methods={"sd": {}, "wkd+hinton": {}}, tune=TUNE | {"scale": [0.5, 1.0, 2.0]}
    )
    assert "sd (spatial=0.2, frequency=0.2)" in trials(plan)
    assert "wkd+hinton (wkd.weight=0.2, hinton.weight=5)" in trials(plan)


def test_a_row_may_bring_a_grid_of_as_many_settings(tmp_path: Path) -> None:
    grid = {"weight": [0.1, 0.4, 1.6], "levels": [3]}
    plan = tuned(tmp_path, methods={"wkd": {"tune": grid}})
    assert "wkd (weight=1.6, levels=3)" in trials(plan)
    faults = {
        "2 settings, but every method has 3 trials": {"weight": [0.1, 0.4]},
        "expected lists by parameter": {"weight": 0.1},
        "unknown parameter of wkd 'wieght'": {"wieght": [1, 2, 3]},
    }
    for said, wrong in faults.items():
        assert said in fault(tmp_path, methods={"wkd": {"tune": wrong}})
    assert "a sum is tuned" in fault(tmp_path, methods={"wkd+hinton": {"tune": grid}})


def test_a_strength_that_is_no_weight_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "from bench.contracts.distiller import Distiller\n\n\nclass Odd(Distiller):\n"
    code += '    defaults = {"weight": 1.0}\n    strength = ("wait",)\n'
    (tmp_path / "odd_method.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"odd_method:Odd: its strength 'wait' is no float"):
        tuned(tmp_path, methods={"odd": {"method": "odd_method:Odd"}})


@pytest.mark.parametrize("name", METHOD.names())
def test_every_method_can_be_tuned_or_has_no_weight(name: str) -> None:
    part = METHOD.part(name, {}, "here")
    tune = Tune.model_validate(TUNE)
    settings = settings_of((part,), None, tune, "here")
    assert [s.scale for s in settings] == ([0.1, 1.0, 10.0] if part.declared.defaults else [])
    assert all(s.parts[0].params == part.params for s in settings if s.scale == 1.0)


def test_what_cannot_choose_is_refused(tmp_path: Path) -> None:
    assert "100 is one of the suite's own seeds" in fault(tmp_path, seeds=[0, 100])
    assert "tune.on" in fault(tmp_path, tune=TUNE | {"on": "test"})
    assert "scale has 2 values" in fault(tmp_path, tune=TUNE | {"scale": [1.0, 2.0]})
    assert "macs does not rank images" in fault(tmp_path, tune=TUNE | {"by": "macs"})
    assert "miou cannot judge photo_edges: " in fault(tmp_path, tune=TUNE | {"by": "miou"})
    with pytest.raises(SuiteError, match=r"the suite has no `tune`"):
        tiny_plan(tmp_path, methods={"wkd": {"tune": {"weight": [1.0]}}})


def test_data_without_a_validation_split_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = PhotoEdges.count
    monkeypatch.setattr(
        PhotoEdges, "count", lambda self, s, d: 0 if s == "val" else count(self, s, d)
    )
    assert "photo_edges has no validation split to choose on" in fault(tmp_path)


UNTRAINED = "too far from its source"


class Results:
    """What a store would say of trials that ended with these values."""

    def __init__(self, plan: Plan, values: Mapping[str, float | str]) -> None:
        assert plan.trials is not None
        self.found: dict[str, tuple[str, dict[str, Any], str]] = {}
        for entry in plan.trials.entries:
            value = values.get(f"{entry.method} {entry.seed}", values.get(entry.method))
            if value is None or entry.cell is None:
                continue
            if isinstance(value, str) and value != UNTRAINED:
                self.found[entry.cell.key] = (value, {}, "")
                continue
            (metric,) = plan.trials.metrics
            why, best = (value, 100.0) if isinstance(value, str) else ("", value)
            values_of = {metric.declared.headline or metric.name: best, "another": 0.0}
            scores = {s.id: {"values": values_of} for s in image_scores(entry.cell, (metric,))}
            self.found[entry.cell.key] = ("done", scores, why)

    def __call__(self, key: str) -> tuple[str, dict[str, Any], str]:
        return self.found.get(key, ("missing", {}, ""))


def decided(folder: Path, values: Mapping[str, float | str], **changes: Any) -> Plan:
    """Return the plan once its trials of `wkd` have ended so."""
    changes = {"methods": {"none": {}, "wkd": {}}, "tune": TUNE} | changes
    suite = load(write_suite(folder, **changes))
    return expand(suite, results=Results(expand(suite), values))


def weight(plan: Plan) -> Any:
    (entry,) = (e for e in plan.students if e.method == "wkd")
    return (
        entry.cell.methods[0].params["weight"] if entry.cell else (entry.reason, bool(entry.like))
    )


NAMES = ("wkd (weight=0.04)", "wkd (weight=0.4)", "wkd (weight=4)")


@pytest.mark.parametrize(
    ("values", "by", "chosen"),
    [
        ((10.0, 12.0, 11.0), "psnr", 0.4),
        ((10.0, 12.0, 12.0), "psnr", 0.4),  # of equals the first
        ((3.0, 1.0, 0.5), "swd", 4.0),  # lower is better
        ((10.0, "diverged", 9.0), "psnr", 0.04),
        ((float("nan"), 9.0, 8.0), "psnr", 0.4),
        ((10.0, UNTRAINED, 9.0), "psnr", 0.04),  # which has the best score
        ((UNTRAINED,) * 3, "psnr", ("none of its trials ended with a score that counts", False)),
        (("diverged",) * 3, "psnr", ("none of its trials ended with a score that counts", False)),
        ((10.0, None, 11.0), "psnr", ("its weight awaits 3 trials, of which 2 have ended", True)),
        (
            (10.0, "failed", 11.0),
            "psnr",
            ("its weight awaits 3 trials, of which 2 have ended", True),
        ),
    ],
)
def test_the_best_on_the_validation_split_is_chosen(
    tmp_path: Path, values: tuple[Any, ...], by: str, chosen: Any
) -> None:
    named = {n: v for n, v in zip(NAMES, values, strict=True) if v is not None}
    assert weight(decided(tmp_path, named, tune=TUNE | {"by": by})) == chosen


def test_seeds_of_trials_count_as_their_mean(tmp_path: Path) -> None:
    values = {f"{NAMES[0]} 100": 9.0, f"{NAMES[0]} 101": 12.0, NAMES[1]: 10.0, NAMES[2]: 10.4}
    plan = decided(tmp_path, values, tune=TUNE | {"seeds": [100, 101]})
    assert weight(plan) == 0.04
    told = next(e.tuned for e in plan.students if e.method == "wkd")
    assert [t["value"] for t in told["trials"]] == [10.5, 10.0, 10.4]


def test_a_trial_that_did_not_train_says_why(tmp_path: Path) -> None:
    plan = decided(tmp_path, dict(zip(NAMES, (10.0, UNTRAINED, 9.0), strict=True)))
    told = next(e.tuned for e in plan.students if e.method == "wkd")
    assert told["trials"][1]["value"] is None
    assert told["trials"][1]["outcomes"] == [f"not trained: {UNTRAINED}"]


def test_tuning_changes_no_key_but_by_what_it_chooses(tmp_path: Path) -> None:
    """A student at its method's own weight is the same run, tuned or not."""
    plain = {e.method: e.cell for e in tiny_plan(tmp_path).students if e.cell}
    plan = decided(tmp_path, dict(zip(NAMES, (1.0, 2.0, 0.0), strict=True)))
    same = {e.method: e.cell.key for e in plan.students if e.cell}
    assert same == {name: plain[name].key for name in ("none", "wkd")}
    other = decided(tmp_path, dict(zip(NAMES, (1.0, 2.0, 3.0), strict=True)))
    changed = {e.method: e.cell.key for e in other.students if e.cell}
    assert changed["none"] == same["none"]
    assert changed["wkd"] != same["wkd"]


def test_each_place_has_trials_and_a_choice_of_its_own(tmp_path: Path) -> None:
    plan = tuned(tmp_path, widths=[2, 3], datasets=["photo_edges", "photo_textures"])
    assert plan.trials is not None
    of_trials = [e for e in plan.trials.entries if e.role == "trial"]
    assert len(of_trials) == 2 * 2 * 2 * 3
    part = expand(plan.suite, {"method": ["wkd"], "width": ["3"], "seed": ["0"]})
    assert part.trials is not None
    assert {e.width for e in part.trials.entries if e.role == "trial"} == {3}


def test_no_test_image_is_read_before_the_choice_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    read, kept = PhotoEdges.read, _Reader.__call__

    def watched(self: PhotoEdges, split: str, domain: str, index: int, size: int) -> Pixels:
        seen.append(split)
        return read(self, split, domain, index, size)

    def watched_too(self: _Reader, split: str, domain: str, index: int, size: int) -> Pixels:
        seen.append(split)  # which other tests may have had decoded
        return kept(self, split, domain, index, size)

    def facts(self: Task, networks: Any, direction: str, items: Any) -> dict[str, Any]:
        if networks["generator"][direction].width == 2:  # a trial's
            next(iter(items))
        return {}

    monkeypatch.setattr(PhotoEdges, "read", watched)
    monkeypatch.setattr(_Reader, "__call__", watched_too)
    monkeypatch.setattr(Task, "facts", facts)
    suite = load(write_suite(tmp_path, tune=TUNE, methods={"none": {}, "wkd": {}}))
    store, machine = Store(tmp_path / "runs"), Machine(jobs=1)
    plan = expand(suite, results=store.result)
    assert plan.open
    outcome = try_settings(plan, store, machine, lambda *_: None)
    assert (outcome.trained, outcome.errors) == (4, [])
    assert set(seen) == {"train", "val"}
    plan = expand(suite, results=store.result)
    assert not plan.open
    assert run(plan, store, machine, lambda *_: None).trained == 2
    assert "test" in seen
    # the choice, from the trials' weights alone and another library's PSNR
    found = {}
    for said, cell in trials(plan).items():
        (student,) = open_students(cell, store, torch.device("cpu"))
        made = list(outputs(cell, student, "AtoB", "val"))
        pairs = [
            (o, t)
            for m in made
            if m.target is not None
            for o, t in zip(m.output, m.target, strict=True)
        ]
        values = [peak_signal_noise_ratio(t.numpy(), o.numpy(), data_range=1.0) for o, t in pairs]
        found[said] = float(np.mean(values))
    told = next(e.tuned for e in plan.students if e.tuned)
    assert [t["value"] for t in told["trials"]] == pytest.approx(list(found.values()), abs=1e-4)
    assert list(found)[told["chosen"]] == max(found, key=lambda said: found[said])
