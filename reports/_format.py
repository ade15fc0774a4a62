"""How numbers, places and protocols are written, the same in every report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, NamedTuple

import pandas as pd

from bench.contracts.report import Note as Told
from bench.contracts.report import Rows
from bench.errors import ReportError

ARROWS = {"higher": " ↑", "lower": " ↓"}
SIZE = ["width", "discriminator_width"]


def places(rows: Rows) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield (heading, entries, scores) per data set, architecture and direction."""
    for (dataset, architecture), entries in rows.entries.groupby(
        ["dataset", "architecture"], sort=False
    ):
        scores = rows.scores
        if not scores.empty:
            scores = scores[
                (scores["dataset"] == dataset) & (scores["architecture"] == architecture)
            ]
        directions = list(scores["direction"].unique()) if not scores.empty else []
        for direction in directions or [""]:
            arrow = f" {direction}" if len(directions) > 1 else ""
            found = scores[scores["direction"] == direction] if directions else scores
            yield f"{dataset}{arrow}, {architecture}", entries, found


def size(width: object, discriminator_width: object, rows: Rows) -> str:
    """Return a width, with the discriminator's where the suite has several."""
    return f"{width} (D {discriminator_width})" if rows.has_several_discriminators else str(width)


def by_method(
    rows: Rows,
    heading: str,
    entries: pd.DataFrame,
    scores: pd.DataFrame,
    cells: Callable[[pd.DataFrame, int], Iterable[str]],
) -> list[list[str]]:
    """Return a line for each width and method of a place that has scores.

    Args:
        rows: of the suite.
        heading: of the place; it stands in the first line.
        entries: of the place.
        scores: of the place.
        cells: makes a line's last cells of its scores and the number of its seeds.
    """
    block: list[list[str]] = []
    for (width, judge), sized in entries.groupby(SIZE, sort=False):
        for method, group in sized.groupby("method", sort=False):
            mine = scores[scores["key"].isin(group["key"])]
            if len(mine):
                first = [heading if not block else "", size(width, judge, rows)]
                block.append([*first, f"{method}{marks(group)}", *cells(mine, len(group))])
    return block


def spread(values: pd.Series[float], seeds: int, digits: int, *, signed: bool = False) -> str:
    """Return mean ± standard deviation (n - 1), with n where seeds are missing."""
    if values.empty:
        return "—"
    mean = round(values.mean(), digits) + 0.0  # no minus before a zero
    text = f"{mean:{'+' if signed else ''}.{digits}f}"
    if len(values) > 1:
        text += f" ± {values.std():.{digits}f}"
    return text if len(values) == seeds else f"{text} (n={len(values)}/{seeds})"


def signed(value: float, digits: int) -> str:
    """Return a difference with its sign; a dash where there is none."""
    if math.isnan(value):
        return "—"
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def named(score: Any) -> str:
    """Return a metric's label and unit, of a row of scores."""
    return f"{score['label']} [{score['unit']}]" if score["unit"] else str(score["label"])


def titled(score: Any) -> str:
    """Return a metric's label, unit, and an arrow to where it is better."""
    return f"{named(score)}{ARROWS.get(score['better'], '')}"


def p_value(p: float) -> str:
    """Return a p value to four places; a dash where nothing was tested."""
    if math.isnan(p):
        return "—"
    return f"{p:.4f}" if p >= 0.0001 else "< 0.0001"


def judged(scores: pd.DataFrame, group: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield (metric, headline scores of these entries) of what judges images and has a side."""
    if scores.empty:
        return
    mine = scores[scores["headline"] & scores["key"].isin(group["key"])]
    mine = mine[(mine["judges"] == "images") & (mine["better"] != "") & mine["value"].notna()]
    for metric, column in mine.groupby("metric", sort=False):
        yield str(metric), column


def by_seed(column: pd.DataFrame, group: pd.DataFrame) -> pd.DataFrame:
    """Return one metric's values, a row per seed and a column per method of the entries."""
    wanted = group[["method", "seed", "key"]]
    found = column[["key", "value"]].drop_duplicates("key").astype({"value": float})
    table = wanted.merge(found, on="key", how="left")
    return table.pivot(index="seed", columns="method", values="value")[group["method"].unique()]


def marks(entries: pd.DataFrame) -> str:
    """Return what a method's name carries.

    " †" of a port, " ‡" where it was not trained here, " [1 diverged]" of unfinished seeds.
    """
    port = " †" if "port" in entries and entries["port"].any() else ""
    port += " ‡" if "origin" in entries and entries["origin"].any() else ""
    other = entries.loc[entries["status"] != "done", "status"].value_counts(sort=False)
    lost = f" [{', '.join(f'{n} {status}' for status, n in other.items())}]" if len(other) else ""
    return port + lost


def ports(entries: pd.DataFrame) -> list[str]:
    """Say which methods are ports to a problem that their papers did not treat."""
    if "port" not in entries:
        return []
    return [f"† {port}." for port in entries["port"].unique() if port]


def origins(entries: pd.DataFrame) -> list[str]:
    """Say which rows were not trained here, and what was given in the place of training."""
    if "origin" not in entries:
        return []
    given = entries[entries["origin"] != ""]
    said = []
    for (method, role), rows in given.groupby(["method", "role"], sort=False):
        found = "; ".join(rows["origin"].unique())
        text = f"‡ {method}: not trained here: {found}"
        if role == "given":
            text += "; scored as all others are, and in no test, rank or gain"
        said.append(f"{text}.")
    return said


def beside(rows: Rows, entries: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of real images that stand beside the samples of one place, if any do."""
    found = rows.references
    if found.empty or scores.empty:
        return pd.DataFrame(columns=scores.columns)
    for axis in ("dataset", "architecture"):
        found = found[found[axis] == entries[axis].iloc[0]]
    return found[
        found["direction"].isin(scores["direction"]) & found["metric"].isin(scores["metric"])
    ]


def as_entries(scores: pd.DataFrame, like: pd.DataFrame) -> pd.DataFrame:
    """Return the one entry that real images would have, with the columns of others."""
    first = scores.drop_duplicates("key")
    return first.reindex(columns=like.columns).assign(status="done", port="")


def drawn(scores: pd.DataFrame, heading: str) -> list[Note]:
    """Say what real images beside samples are."""
    said: dict[str, None] = {}
    for text in scores["protocol"].unique():
        protocol = json.loads(text)
        said[f"{protocol['images']} drawn {protocol['drawn']}"] = None
    rank = "held against the real set as the samples are; without seeds, and ranked with nothing"
    return [Note("real images", heading, f"{text}, {rank}") for text in said]


class Note(NamedTuple):
    """What holds for something at one place."""

    what: str
    place: str
    said: str


def merged(notes: Iterable[Note | str]) -> list[str]:
    """Return notes, each once, and the places of which the same is said together."""
    found: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        what, place, said = note if isinstance(note, Note) else ("", "", note)
        places = found.setdefault((what, said), [])
        if place not in places:
            places.append(place)
    return [
        Told(f"{what} ({'; '.join(places)})", said) if what else said
        for (what, said), places in found.items()
    ]


def protocols(scores: pd.DataFrame, heading: str) -> list[Note]:
    """Return the protocol of every column of one place, columns with the same one together.

    Raises:
        ReportError: a column would hold scores of two protocols.
    """
    found: dict[str, list[str]] = {}
    labels = _labels(scores)
    for metric, column in scores.groupby("metric", sort=False):
        text = protocol_of(column)
        if text:
            found.setdefault(text, []).append(labels[metric])
    return [Note(", ".join(names), heading, text) for text, names in found.items()]


def tuned(entries: pd.DataFrame, heading: str) -> list[Note]:
    """Return with which weights the methods of one place trained, where trials chose them."""
    if "tuned" not in entries:
        return []
    found: dict[tuple[str, str], list[str]] = {}  # method, choice -> widths
    mine = entries[entries["tuned"].map(bool)]
    for entry in mine.drop_duplicates(["method", *SIZE]).to_dict("records"):
        told = entry["tuned"]
        is_open = told["chosen"] is None
        choice = "nothing chosen" if is_open else told["trials"][told["chosen"]]["said"]
        found.setdefault((entry["method"], choice), []).append(str(entry["width"]))
    if mine.empty:
        return []
    told = mine["tuned"].iloc[0]
    budget = f"{len(told['trials'])} trials each, on the validation split by {told['metric']}"
    several = mine["width"].nunique() > 1
    chosen = [
        f"{method} {choice}" + (f" at width {', '.join(dict.fromkeys(widths))}" if several else "")
        for (method, choice), widths in found.items()
    ]
    return [Note("Tuned", heading, f"{'; '.join(chosen)} ({budget})")]


def holes(scores: pd.DataFrame, heading: str) -> list[Note]:
    """Return why scores of one place are missing, those with the same reason together."""
    found: dict[str, list[str]] = {}
    labels = _labels(scores)
    missing = scores[scores["value"].isna()].drop_duplicates(["metric", "reason"])
    for score in missing.to_dict("records"):
        undefined = f"not a number: {score['undefined']}".removesuffix(": ")
        found.setdefault(str(score["reason"] or undefined), []).append(labels[score["metric"]])
    return [Note(", ".join(names), heading, reason) for reason, names in found.items()]


def _labels(scores: pd.DataFrame) -> dict[Hashable, str]:
    """Return metric -> label, with the metric's own name where two have the same label."""
    first = scores.drop_duplicates("metric")
    several = first["label"].duplicated(keep=False)
    names = first["label"].mask(several, first["label"] + " (" + first["metric"] + ")")
    return dict(zip(first["metric"], names, strict=True))


def protocol_of(scores: pd.DataFrame) -> str:
    """Return the one protocol of a column as text.

    Whether seeds share their batches is asked of students alone: whoever stands beside them, their
    teacher or what someone else made, was trained once.

    Raises:
        ReportError: the column would hold scores of two protocols.
    """
    known = scores[scores["value"].notna()]
    students = set(known.loc[known["role"] == "student", "protocol"])
    taken = [_without_batches(text) for text in students]
    every = known["protocol"].unique()
    found = [text for text in every if text in students or _without_batches(text) not in taken]
    if len(found) > 1:
        first, second = (json.loads(text) for text in found[:2])
        keys = sorted(k for k in {**first, **second} if first.get(k) != second.get(k))
        said = ", ".join(f"{k}: {first.get(k)!r} and {second.get(k)!r}" for k in keys)
        raise ReportError(
            f"{scores['label'].iloc[0]} was scored under two protocols ({said}), which cannot "
            "share a column; `run --measure` measures all networks on one machine."
        )
    return describe(json.loads(found[0])) if len(found) else ""


def _without_batches(protocol: str) -> dict[str, Any]:
    """Return a protocol without what it says of students' batches."""
    return {name: x for name, x in json.loads(protocol).items() if name != "batches"}


SAID = {"split", "direction", "images", "size", "resize", "output", "checkpoint", "mode", "real"}
SAID |= {"labels", "weights"}  # parts of a protocol with a place of their own in its text


def describe(protocol: dict[str, Any]) -> str:
    """Return a protocol as a person would say it."""
    if "images" in protocol:
        text = (
            "{split} split, {images} images of {size} px, resized {resize}, outputs {output}, "
            "{checkpoint} checkpoint, {mode} mode, real set {real}"
        ).format(**protocol)
        text += f", labels of {protocol['labels']} px" if "labels" in protocol else ""
        first = [name for name in ("features", "real images", "segmenter") if name in protocol]
        others = [name for name in protocol if name not in SAID and name not in first]
        for name in (*first, *others):  # how outputs are made, and what a metric adds
            text += f", {name} {protocol[name]}"
        for name, sha256 in protocol.get("weights", {}).items():
            text += f", weights {name} (sha256 {sha256[:12]})"
        return text
    said = {"channels_last": "channels last", "compile": "compiled"}
    named = [
        said.get(n, f"{n} {v}") for n, v in protocol.items() if v is not None and v is not False
    ]
    return ", ".join(named)
