"""Rows that differ in one thing: which pairs are found, and gains computed by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from figures import entries, rows, scores

from bench.contracts.report import Bold, Rows, Table
from reports.contrasts import Contrasts

GIVEN: dict[str, dict[str, Any]] = {
    "none": {},
    "sd": {"m.levels": [3, 2]},
    "feature": {"m.levels": [3, 2], "m.frequency": [0.0, 0.1]},
    "other": {"m.levels": [3, 2], "m.frequency": [0.2, 0.1], "m.spatial": [0.0, 0.1]},
    "weaker": {"m.levels": [3, 2], "m.frequency": [0.05, 0.1]},
}


def frame(methods: tuple[str, ...], seeds: int, networks: tuple[str, ...] = ("lite",)) -> Any:
    """Return students of width 8 in the suite's order: network, method, seed."""
    parts = [entries(methods, seeds=seeds).assign(architecture=name) for name in networks]
    found = pd.concat(parts, ignore_index=True)
    found = found[found["role"] == "student"].reset_index(drop=True)
    found["key"] = [f"k{number}" for number in found.index]
    found["given"] = found["method"].map(GIVEN)
    return found.assign(family=["none" if m == "none" else "m" for m in found["method"]])


def made(of: Rows) -> Table:
    (table,) = Contrasts().make(of)
    assert isinstance(table, Table)
    return table


def test_a_network_is_held_against_the_first_with_the_same_method_seed_by_seed() -> None:
    students = frame(("none", "sd"), 3, ("lite", "gated"))
    swd = [10.0, 11.0, 12.0, 20.0, 21.0, 22.0, 9.0, 10.0, 11.0, 17.0, 16.0, 21.0]
    table = made(rows(students, scores(students, "swd", swd)))
    ((row,),) = table.blocks
    gains = [(1 + 3) / 2, (1 + 5) / 2, (1 + 1) / 2]  # of SWD, which is better where lower
    assert row[:5] == ["edges", "8", "gated in place of lite", "SWD", "3"]
    assert row[5] == f"{sum(gains) / 3:+.2f}"
    assert row[7:] == ["0.2500", "0.2500", "none +1.00; sd +3.00"]
    said, reach = table.notes
    assert said == "edges, width 8: gated in place of lite: nothing shown by SWD."
    assert reach == (
        "edges, width 8: with 3 common seeds the smallest p is 0.25, and 0.25 after Holm over 1 "
        "pair: nothing can be shown, whatever its size, before there are 6 seeds."
    )


@pytest.mark.parametrize(("sign", "verdict"), [(1.0, "worse"), (-1.0, "better")])
def test_one_parameter_is_held_against_its_default_and_nothing_else_is(
    sign: float, verdict: str
) -> None:
    students = frame(tuple(GIVEN), 8)
    effect = {"feature": 2.0 * sign, "weaker": 0.0}
    values = [
        5.0 + seed / 10 + effect.get(method, 1.0)
        for method, seed in zip(students["method"], students["seed"], strict=True)
    ]
    table = made(rows(students, scores(students, "swd", values)))
    (block,) = table.blocks
    assert [row[2] for row in block] == [
        "feature in place of sd (frequency: 0.0, not 0.1)",
        "weaker in place of sd (frequency: 0.05, not 0.1)",
    ]
    gains = [1.0 - effect["feature"], 1.0]
    assert [row[5] for row in block] == [f"{gain:+.2f}" for gain in gains]
    p = 2 / 2**8
    assert [row[8] for row in block] == [f"{2 * p:.4f}"] * 2
    assert all(isinstance(row[8], Bold) for row in block)
    assert table.notes[0].endswith(f"(frequency: 0.0, not 0.1): {verdict} by SWD.")
    assert table.notes[-1].endswith("is 0.0078, and 0.016 after Holm over 2 pairs.")


def test_a_seed_that_one_of_the_methods_lacks_makes_no_pair() -> None:
    students = frame(("none", "sd"), 2, ("lite", "gated"))
    found = scores(students, "swd", [1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, None])
    ((row,),) = made(rows(students, found)).blocks
    assert row[4:6] == ["1", "+2.00"]
    assert row[9] == "none +1.50; sd +3.00"


def test_nothing_is_made_where_all_rows_differ_in_more() -> None:
    students = frame(("none", "sd", "other"), 2)
    assert list(Contrasts().make(rows(students, scores(students, "swd", [1.0] * 6)))) == []
    assert list(Contrasts().make(rows(students))) == []
    bare = entries()
    assert list(Contrasts().make(rows(bare, scores(bare, "swd", [1.0] * len(bare))))) == []


def test_a_method_that_one_network_lacks_leaves_the_others_their_contrast() -> None:
    students = frame(("none", "sd"), 3, ("lite", "gated"))
    values = scores(
        students, "swd", [10.0, 11.0, 12.0, 20.0, 21.0, 22.0, 9.0, 10.0, 11.0] + [0.0] * 3
    )
    lost = (students["architecture"] == "gated") & (students["method"] == "sd")
    values = values[~values["key"].isin(students["key"][lost])]
    ((row,),) = made(rows(students, values)).blocks
    assert row[4:6] == ["3", "+1.00"]
