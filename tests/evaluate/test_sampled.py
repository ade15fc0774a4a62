"""What scores are of each image: kept beside them, lost, damaged and made again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import tiny_plan, train_together

from bench.contracts.kinds import METRIC
from bench.contracts.metric import Features, SetMetric
from bench.evaluate.feed import Feed, Images, evaluate
from bench.evaluate.folders import score_folders
from bench.evaluate.generate import outputs_at
from bench.evaluate.sampled import Sampled, mean
from bench.maths.bootstrap import Draws, draw
from bench.plan.cell import Cell, open_dataset
from bench.plan.matrix import Plan
from bench.report.rows import score_rows
from bench.run.walk import is_scored
from bench.store.arrays import read_arrays
from bench.store.layout import Store

CPU = torch.device("cpu")


@pytest.fixture
def scored(tmp_path: Path) -> tuple[Cell, Plan, Store]:
    changes: dict[str, Any] = {"methods": ["none"], "metrics": ["psnr", "swd", "band_error"]}
    plan, store = tiny_plan(tmp_path, **changes), Store(tmp_path / "runs")
    (cell,) = [e.cell for e in plan.students if e.cell]
    train_together([cell], plan, store)
    assert evaluate(cell, store, plan.metrics, CPU) == {}
    return cell, plan, store


def test_scores_have_errors_and_each_image_has_its_own_value(
    scored: tuple[Cell, Plan, Store],
) -> None:
    cell, plan, store = scored
    by_metric = {s["metric"]: (name, s) for name, s in store.scores(cell.key).items()}
    kept = read_arrays(store.images(cell.key))
    name, score = by_metric["psnr"]
    each = kept[f"each/{name}/psnr"]
    assert len(each) == score["protocol"]["images"] == len(kept["names/AtoB"])
    assert each.mean() == pytest.approx(score["values"]["psnr"], rel=1e-12)
    assert score["errors"]["psnr"] == pytest.approx(each.std(ddof=1) / len(each) ** 0.5)
    assert kept["names/AtoB"][3] == "test A 3"
    name, score = by_metric["swd"]
    assert kept[f"resampled/{name}/swd"].std(ddof=1) == pytest.approx(score["errors"]["swd"])
    assert set(score["errors"]) == set(score["values"])
    assert "errors" not in by_metric["band_error"][1]
    errors = {row["name"]: row["image_error"] for row in score_rows(plan, store)}
    assert errors["psnr"] == by_metric["psnr"][1]["errors"]["psnr"]
    assert errors["LL3"] is None


def test_the_file_is_made_again_with_the_same_values(scored: tuple[Cell, Plan, Store]) -> None:
    cell, plan, store = scored
    before, path = store.scores(cell.key), store.images(cell.key)
    kept = read_arrays(path)
    for spoil in (path.unlink, lambda: path.write_bytes(b"PK")):
        spoil()
        assert is_scored(cell, plan, store) == path.exists()
        evaluate(cell, store, plan.metrics, CPU)
        again = read_arrays(path)
        assert again.keys() == kept.keys()
        assert all(np.array_equal(again[name], kept[name]) for name in kept)
        timeless = [
            {k: {**s, "scored_at": 0} for k, s in x.items()}
            for x in (before, store.scores(cell.key))
        ]
        assert timeless[0] == timeless[1]
        assert is_scored(cell, plan, store)


def test_scores_of_a_store_from_before_stand_without_errors(
    scored: tuple[Cell, Plan, Store],
) -> None:
    """Nothing is scored again for their sake; deleted, they come back with errors."""
    cell, plan, store = scored
    old = {n: {k: x for k, x in s.items() if k != "errors"} for n, s in
           store.scores(cell.key).items()}  # fmt: skip
    store.write(cell.key, "scores.json", old)
    store.images(cell.key).unlink()
    assert is_scored(cell, plan, store)
    evaluate(cell, store, plan.metrics, CPU)
    assert store.scores(cell.key) == old
    assert {row["image_error"] for row in score_rows(plan, store)} == {None}
    (store.folder(cell.key) / "scores.json").unlink()
    evaluate(cell, store, plan.metrics, CPU)
    assert any("errors" in s for s in store.scores(cell.key).values())


def test_outputs_made_again_are_those_that_were_scored(scored: tuple[Cell, Plan, Store]) -> None:
    cell, _, store = scored
    kept = read_arrays(store.images(cell.key))
    (each,) = (x for name, x in kept.items() if name.startswith("each/"))
    made = outputs_at(cell, store, CPU, "AtoB", "eval", [0, 40])
    assert list(made) == [0, 40]
    for place, roles in made.items():
        assert list(roles) == ["input", "target", "output"]
        truth = open_dataset(cell.dataset).read("test", "B", place, cell.size)
        assert np.array_equal(roles["target"], truth)
        error = np.square(roles["output"] / 255.0 - roles["target"] / 255.0).mean()
        assert each[place] == pytest.approx(-10 * np.log10(error), rel=1e-6)


class Centre(SetMetric):
    """A distance that remembers which resamples it was given."""

    features = "laplacian"
    given: Draws

    def distance(self, outputs: Features, real: Features) -> dict[str, float]:
        return {"centre": 0.0}

    def resampled(self, outputs: Features, real: Features, draws: Draws) -> dict[str, Any]:
        type(self).given = draws
        return {"centre": draws.outputs[:, 0].astype(float), "odd": np.full(200, np.nan)}


def test_a_set_metric_is_given_resamples_of_its_images_and_odd_errors_are_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part = METRIC.part("swd", {}, "test")
    monkeypatch.setattr(type(part), "load", lambda self: Centre)
    from bench.contracts.metric import Scene

    feed = Feed({"a": part}, {"a": Scene(CPU)})
    feed.add(Images(torch.rand(5, 3, 16, 16)))

    def real(name: str, extractor: Any) -> Features:
        found: Features = extractor(torch.rand(7, 3, 16, 16), 0)
        return found

    assert feed.values(real) == {"a": {"centre": 0.0}}
    assert feed.sampled["a"] == Sampled({}, {})  # nobody asked
    feed.values(real, draw)
    assert [x.shape for x in Centre.given] == [(200, 5), (200, 7)]
    assert list(feed.sampled["a"].errors()) == ["centre"]


def test_of_peers_the_means_are_kept() -> None:
    one, other = (Sampled({"psnr": np.array(x)}, {}) for x in ([1.0, 2.0], [3.0, 6.0]))
    assert mean([one, other]).each["psnr"].tolist() == [2.0, 4.0]
    assert mean([]) == Sampled({}, {})


def test_folders_have_errors_too(tmp_path: Path) -> None:
    from test_scorer import folder, parts

    made, truth = folder(tmp_path / "made", 6), folder(tmp_path / "truth", 6, seed=1)
    psnr, swd = score_folders(made, truth, truth, parts("psnr", "swd"), CPU)
    assert 0 < psnr["errors"]["psnr"] < 0.1 * psnr["values"]["psnr"]
    assert set(swd["errors"]) == set(swd["values"])
