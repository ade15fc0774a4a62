"""Global against each image's own bases, without training: what linear encoders could keep."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bench.contracts.report import Report, Rows, Table

FACT = "linear_encoders"
COLUMNS = {
    "own": "Each image's own basis (bound)",
    "shared": "Global basis",
    "local": "Own bases, positive sums",
    "random": "Own bases, random signs",
}
CAPTION = (
    "Share of the covariance of held-out images that an encoder's output keeps, by the best linear "
    "decoder of it. Encoders are linear in the source's features and each the best for its targets "
    "on other images, so nothing is trained and no seed matters. Global: one basis for all, whose "
    "best encoder is that basis. Own: each image's components are the targets; of these no encoder "
    "can follow all, since they differ from image to image, and so do their signs and their order. "
    "Signs are such that a vector's entries have a positive sum, or random. The bound encodes each "
    "held-out image in its own components, which no encoder knows. A deep student may adapt to the "
    "image and keep more than a linear one. Held out are the last third of the first training "
    "images, whose photographs need not be others than those fitted on: of style_photos all are of "
    "the same eleven, and 15 of 32 crops share pixels with a fitted one."
)


class Bases(Report):
    """PCA-KD's argument for global bases, in closed form: one row per level of a source."""

    order = 51

    def make(self, rows: Rows) -> Iterator[Table]:
        """Yield the table where a method has reported what linear encoders keep."""
        if "facts" not in rows.entries:
            return
        found: dict[str, tuple[str, Mapping[str, Any]]] = {}  # of one source and width, once
        for entry in rows.entries[rows.entries["role"] == "student"].to_dict("records"):
            place = f"{entry['dataset']}, {entry['architecture']}, width {entry['width']}"
            for facts in _facts(entry["facts"]):
                found.setdefault(place + json.dumps(facts), (place, facts))
        blocks = [_block(place, facts) for place, facts in found.values()]
        if not blocks:
            return
        header = ["Data", "Level", "Channels", *COLUMNS.values()]
        counts = {(facts["fitted"], facts["held_out"]) for _, facts in found.values()}
        notes = [f"Crops: {a} to fit, {b} held out." for a, b in sorted(counts)]
        title = "Global against local bases, in closed form"
        yield Table("pca_kd_bases", title, CAPTION, header, blocks, notes)


def _facts(facts: Any) -> Iterator[Mapping[str, Any]]:
    """Yield what the methods of a cell say of linear encoders."""
    for methods in (facts if isinstance(facts, dict) else {}).values():
        for known in methods.values() if isinstance(methods, dict) else ():
            if isinstance(known, dict) and FACT in known:
                yield known[FACT]


def _block(place: str, facts: Mapping[str, Any]) -> list[list[str]]:
    """Return one row per level."""
    return [
        [
            "" if number else place,
            level,
            f"{shares['channels']} of {shares['of']}",
            *(f"{shares[name]:.3f}" for name in COLUMNS),
        ]
        for number, (level, shares) in enumerate(facts["levels"].items())
    ]
