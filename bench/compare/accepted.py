"""What nights are held against: a suite's accepted results, as JSON that people review.

Per score of images: its values by seed, protocol and tolerance; per network: what was counted and
timed, and where; what had not ended well; speeds of pytest-benchmark.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, Field, FiniteFloat, NonNegativeFloat, ValidationError

from bench.contracts.report import Rows
from bench.errors import ReportError, StoreError
from bench.plan.identity import identity
from bench.store.layout import read_json

Json = dict[str, Any]

ROUNDS = 5  # of a benchmark, from which on its time can be judged
AXES = ["dataset", "direction", "architecture", "width", "discriminator_width", "method"]


class _Suite(BaseModel):
    datasets: dict[str, Json]
    architectures: dict[str, Json]
    methods: dict[str, Json]
    metrics: dict[str, Json]


class _Score(BaseModel):
    metric: str
    unit: str
    better: Literal["higher", "lower"]
    protocol: str
    values: Annotated[
        dict[Annotated[str, Field(pattern="^[0-9]+$")], FiniteFloat], Field(min_length=2)
    ]
    tolerance: NonNegativeFloat


class _Speed(BaseModel):
    unit: str
    better: Literal["higher", "lower"]
    protocol: Json = {}  # of a network
    value: float  # infinite: out of memory
    quartiles: tuple[float, float] | tuple[()]


class _Benchmarks(BaseModel):
    machine: str = ""
    tests: dict[str, _Speed] = {}


class _Baseline(BaseModel):
    """What a gate reads of a baseline."""

    suite: _Suite
    not_done: Annotated[dict[str, str], Field(alias="not done")]
    protocols: dict[str, Json]
    scores: Annotated[dict[str, _Score], Field(min_length=1)]
    networks: dict[str, _Speed]
    benchmarks: _Benchmarks


def read(path: Path, again: str) -> Json:
    """Return what was accepted; `again` is the command that accepts anew, for the message.

    Raises:
        ReportError: the file is not there, or is no baseline.
    """
    try:
        accepted = read_json(path)
        known = _Baseline.model_validate(accepted)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "all of it"
        said = f"no baseline: {where}: {fault['msg']}" if path.exists() else "not there"
        raise ReportError(f"{path}: {said}; `{again}` writes it.") from error
    except StoreError as error:
        said = "no baseline: all of it: no JSON object that can be read"
        raise ReportError(f"{path}: {said}; `{again}` writes it.") from error
    for what, score in known.scores.items():
        if score.protocol not in known.protocols:
            raise ReportError(f"{path}: no baseline: {what} has a protocol that is not there.")
    return accepted


def accept(rows: Rows, suite: Json, machine: Json, speeds: Json, tolerance: float) -> Json:
    """Return a baseline: everything that later nights are held against, as JSON.

    Args:
        rows: of the suite.
        suite: the suite as data.
        machine: commits, devices and versions that made it, for whoever reviews it.
        speeds: what `benchmarks` made of a pytest-benchmark file, or {}.
        tolerance: fraction of each accepted mean that is too little to matter; in the file it
            stands per score, in the metric's own unit, to be edited there.

    Raises:
        ReportError: there is no score, one that is not finite, or one of a single seed, whose
            spread nobody knows.
    """
    scores = image_scores(rows)
    lonely = [what for what, score in scores.items() if len(score["values"]) < 2]
    odd = [
        f"{what} is {value} at seed {seed}" + why(score)
        for what, score in scores.items()
        for seed, value in score["values"].items()
        if not math.isfinite(value)
    ]
    if odd:
        raise ReportError(f"{rows.suite}: {odd[0]}; a gate needs finite scores.")
    if not scores or lonely:
        said = f"{lonely[0]}: one seed" if lonely else "no score of images"
        raise ReportError(f"{rows.suite}: {said}; a gate needs the spread of two seeds or more.")
    protocols: Json = {}
    for score in scores.values():
        mean = np.mean(list(score["values"].values()))
        del score["undefined"]
        score["tolerance"] = float(f"{abs(mean) * tolerance:.3g}")
        name = identity(score["protocol"])
        protocols[name], score["protocol"] = score["protocol"], name
    return {
        "suite": suite,
        "made by": machine,
        "not done": not_done(rows),
        "protocols": protocols,
        "scores": scores,
        "networks": network_scores(rows),
        "benchmarks": speeds,
    }


def judged(width: object) -> str:
    """Return a discriminator's width, to stand behind the generator's; "" where there is none."""
    return f" (D {width})" if str(width) != "0" else ""


def not_done(rows: Rows) -> dict[str, str]:
    """Return how each place ended that has no result: "failed: no memory"."""
    found = {}
    for entry in rows.entries[rows.entries["status"] != "done"].to_dict("records"):
        place = f"{entry['dataset']}, {entry['architecture']}, width {entry['width']}"
        place = f"{place}{judged(entry['discriminator_width'])}, {entry['method']}, "
        place += f"seed {entry['seed']}"
        found[place] = f"{entry['status']}: {entry['reason']}".removesuffix(": ")
    return found


def why(score: Json) -> str:
    """Return ": " and when a score of `image_scores` is no number, if its metric says so."""
    return f": {score['undefined']}" if score.get("undefined") else ""


def image_scores(rows: Rows) -> dict[str, Json]:
    """Return "where, method: metric" -> metric, side, protocol and values by seed.

    `undefined` says when such a value is no number.
    """
    shown = _shown(rows, "images")
    found = {}
    for place, column in shown.groupby([*AXES, "metric"], sort=True) if len(shown) else ():
        dataset, direction, architecture, width, judge, method, metric = map(str, place)
        where = f"{dataset} {direction}, {architecture}, width {width}{judged(judge)}"
        found[f"{where}, {method}: {metric}"] = {
            **{n: column[n].iloc[0] for n in ("metric", "unit", "better", "undefined")},
            "protocol": json.loads(column["protocol"].iloc[0]),
            "values": dict(zip(map(str, column["seed"]), column["value"].map(float), strict=True)),
        }
    return found


def network_scores(rows: Rows) -> dict[str, Json]:
    """Return "where: metric" -> value, quartiles if any, protocol; once per network."""
    found: dict[str, Json] = {}
    shown = _shown(rows, "network").drop_duplicates(["dataset", "architecture", "width", "metric"])
    for row in shown.to_dict("records"):
        what = f"{row['dataset']}, {row['architecture']}, width {row['width']}: {row['metric']}"
        same = rows.scores[rows.scores["key"] == row["key"]]
        values = same.drop_duplicates("name").set_index("name")["value"]
        quartiles = [f"{row['name']}_{q}" for q in ("q1", "q3")]
        found[what] = {
            "unit": row["unit"],
            "better": row["better"],
            "protocol": json.loads(row["protocol"]),
            "value": float(row["value"]),
            "quartiles": [float(values[name]) for name in quartiles if name in values],
        }
    return found


def _shown(rows: Rows, judges: str) -> pd.DataFrame:
    """Return the students' headline scores of images or networks that have a better side."""
    scores = rows.scores
    if scores.empty:
        return scores
    measured = scores["reason"] == ""  # to a value that may not be finite
    shown = scores[scores["headline"] & (scores["role"] == "student") & measured]
    return shown[(shown["judges"] == judges) & (shown["better"] != "")]


def benchmarks(path: Path) -> Json:
    """Return what can be judged of a file of pytest-benchmark, and the names of the other tests.

    A test may give ratios of our time to a peer's in the same run, `extra_info["ours_over_peer"]`,
    name -> ratio: these are judged, since the test's own time includes the peer's. Of another test
    it is the median in seconds, with quartiles, if it was run `ROUNDS` times. The machine includes
    `machine_info["gpu"]`, which pytest-benchmark leaves out, where a conftest.py adds it.

    Raises:
        ReportError: it is no such file, or there is none.
    """
    found = read_json(path)
    tests: Json = {}
    unjudged = []
    try:
        machine, cpu = found["machine_info"], found["machine_info"]["cpu"]
        for test in found["benchmarks"]:
            name, stats = test["fullname"], test["stats"]
            ratios = test["extra_info"].get("ours_over_peer", {})
            for part, ratio in ratios.items():
                tests[f"{name}: {part}"] = _speed(ratio, [], "of the peer's time")
            if not ratios and stats["rounds"] >= ROUNDS:
                tests[name] = _speed(stats["median"], [stats["q1"], stats["q3"]], "s")
            elif not ratios:
                unjudged.append(name)
        named = f"{machine['node']}, {cpu.get('brand_raw', '')}, {cpu.get('count', '?')} cores"
        named += f", {machine['gpu']}" if machine.get("gpu") else ""
    except (KeyError, TypeError, AttributeError) as error:
        said = f"no JSON of pytest-benchmark: it lacks {error}" if path.exists() else "not there"
        raise ReportError(f"{path}: {said}.") from error
    return {"machine": named, "tests": tests, "not judged": unjudged}


def _speed(value: float, quartiles: list[float], unit: str) -> Json:
    return {"value": value, "quartiles": quartiles, "unit": unit, "better": "lower"}
