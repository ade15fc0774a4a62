"""Rows made by hand, for figures: what a store of a few methods, sizes and seeds would give."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pandas as pd

from bench.contracts.report import Rows

PROTOCOL = {
    "split": "test", "images": 40, "size": 32, "resize": "bicubic", "output": "rounded",
    "mode": "eval", "checkpoint": "last", "real": "abc",
}  # fmt: skip
ABOUT = {  # metric -> label, unit, better, judges
    "psnr": ("PSNR", "dB", "higher", "images"),
    "content_loss": ("content loss", "", "lower", "images"),
    "style_loss": ("style loss", "", "lower", "images"),
    "ssim": ("SSIM", "", "higher", "images"),
    "nima": ("NIMA", "", "higher", "images"),
    "swd": ("SWD", "", "lower", "images"),
    "macs": ("MACs", "", "lower", "network"),
    "latency": ("latency", "ms", "lower", "network"),
    "band_error": ("band error", "", "lower", "images"),
    "spectrum": ("spectral error", "dB", "lower", "images"),
    "throughput": ("throughput", "images/s", "higher", "network"),
    "tones": ("power off the tones", "", "lower", "images"),
    "tone_errors": ("error of tones", "", "lower", "images"),
    "gates": ("gates", "", "", "images"),
}


def entries(
    methods: tuple[str, ...] = ("none", "wkd"),
    widths: tuple[int, ...] = (8,),
    judges: tuple[int, ...] = (4,),
    seeds: int = 2,
    datasets: tuple[str, ...] = ("edges",),
) -> pd.DataFrame:
    """Return a teacher of width 32 per data set and every student, all done; "none" is control."""
    axes = itertools.product(datasets, methods, widths, judges, range(seeds))
    students = [("student", *place) for place in axes]
    teachers = [("teacher", name, "teacher", 32, 4, 0) for name in datasets]
    columns = ["role", "dataset", "method", "width", "discriminator_width", "seed"]
    frame = pd.DataFrame([*teachers, *students], columns=columns)
    frame["is_control"] = frame["method"] == "none"
    frame["key"] = [f"k{number}" for number in frame.index]
    return frame.assign(architecture="unet", status="done", reason="", samples="", facts=None)


def scores(frame: pd.DataFrame, metric: str, values: Any, **changes: Any) -> pd.DataFrame:
    """Return one score per entry (`values` a list), or per entry and name (a dict of lists)."""
    label, unit, better, judges = ABOUT[metric]
    protocol = dict(PROTOCOL) if judges == "images" else {"size": 32}
    protocol |= {"real images": 40} if metric in ("swd", "spectrum") else {}
    common = {
        "metric": metric, "label": label, "unit": unit, "better": better, "judges": judges,
        "digits": 2, "direction": "AtoB", "protocol": json.dumps(protocol), "reason": "", "undefined": "", "step": 0,
    }  # fmt: skip
    named = values if isinstance(values, dict) else {metric: values}
    parts = [
        frame.assign(**(common | {"name": name, "value": v, "headline": name == metric} | changes))
        for name, v in named.items()
    ]
    return pd.concat(parts, ignore_index=True)


def losses(frame: pd.DataFrame, steps: list[int], terms: dict[str, Any]) -> pd.DataFrame:
    """Return the loss log of every entry: term -> values by step."""
    parts = [
        frame.assign(step=step, term=term, value=values[place])
        for term, values in terms.items()
        for place, step in enumerate(steps)
    ]
    return pd.concat(parts, ignore_index=True)


def rows(frame: pd.DataFrame, *found: pd.DataFrame, **more: pd.DataFrame) -> Rows:
    values = pd.concat(found, ignore_index=True) if found else pd.DataFrame()
    return Rows("hand", "?", frame, values, **more)
