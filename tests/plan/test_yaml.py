"""YAML as people mean it: names stay names, numbers are those of YAML 1.2, nothing grows wild."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import SUITE, write_suite

from bench.errors import SuiteError
from bench.plan.suite import load
from bench.plan.yaml import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10), ("0o10", 8), ("0x10", 16), ("1:30", "1:30"), ("2e-4", 2e-4), ("1_000", 1000),
        ("-3", -3), (".5", 0.5), ("1.", 1.0), ("no", False), ("true", True), ("1.2.3", "1.2.3"),
        ("", None), ("+7", 7), ("2024-01-02x", "2024-01-02x"),
    ],
)  # fmt: skip
def test_scalars_mean_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = parse(f"x: {text}", "here")["x"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n  no: {}", "here:2: no is true or false to many readers of YAML; quote it: 'no'"),
        ("methods: [none, On]", "here:1: On is true or false"),
        ("x: .inf", "here:1: .inf is no finite number"),
        ("x: [.nan]", "here:1: .nan is no finite number"),
        ("x: 1e999", "here:1: 1e999 is no finite number"),
        ("a: 1\nb: 2\na: 3", "key 'a' stands twice"),
        ("[1, 2]: 3", "is no name"),
        ("a: &a [*a]", "more than"),
        ("[" * 5000, "nested too deeply"),
        ("a: \x07", "special characters"),
    ],
)
def test_what_cannot_be_meant_is_one_line(text: str, said: str) -> None:
    with pytest.raises(SuiteError) as caught:
        parse(text, "here")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_quoted_names_are_names() -> None:
    assert parse("{'no': 1, \"on\": 2, a: ['yes']}", "here") == {"no": 1, "on": 2, "a": ["yes"]}


def test_merged_keys_go_behind_a_mappings_own(tmp_path: Path) -> None:
    text = "b: &b {steps: 4, batch: 2}\nt:\n  <<: *b\n  steps: 2"
    assert parse(text, "here")["t"] == {"steps": 2, "batch": 2}


def test_aliases_that_multiply_are_refused_before_they_are_followed() -> None:
    """They stand for 9 ** 12 values."""
    lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(SuiteError, match="more than 1,000,000 values, once its aliases"):
        parse("\n".join(lines), "here")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("widths=[[8]]", "widths.0: a width is one number, or a list of two or more"),
        ("seeds=[0,[1]]", "seeds.1: should be a valid integer"),
        ("size=1000000000", "size: should be less than or equal to 65536"),
        ("budget.steps=10000000000000", "budget.steps: should be less than or equal to"),
        ("budget.lr=1e999", "is no finite number"),
        ("task={a: &x [*x]}", "more than"),
    ],
)
def test_overrides_are_checked_like_files(tmp_path: Path, override: str, said: str) -> None:
    assert SUITE["name"] == "tiny"
    with pytest.raises(SuiteError) as caught:
        load(write_suite(tmp_path), [override])
    assert said in str(caught.value)
