"""`distillbench list`: every plug-in and suite there is, and a user's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny import write_suite

from bench.cli.listing import KINDS
from bench.cli.main import main
from bench.cli.scaffold import STARTS, write
from bench.plan.shelf import suites


def call(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.stderr
    return done.stdout


def listed(*arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(call("list", *arguments, "--json"))
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_plugin_is_listed_with_what_it_is_and_its_parameters(kind: str) -> None:
    found, of = listed(kind), KINDS[kind]
    assert [line[of.name] for line in found] == list(of.names())
    text = call("list", kind)
    for line in found:
        assert line["summary"]
        assert Path(line["file"]).is_file()
        assert f"{line[of.name]}  {line['summary']}\n" in text
        for name in line["defaults"]:
            assert f"    {name}: " in text


def test_the_suites_of_the_project_are_listed_with_their_question() -> None:
    found = listed("suites")
    assert [line["suite"] for line in found] == list(suites())
    (quick,) = [line for line in found if line["suite"] == "quick"]
    assert quick["question"].startswith("Which distiller makes the better small generator?")
    assert "wkd" in quick["methods"]
    assert quick["question"] in call("list", "suites")


def test_metrics_and_methods_are_what_list_says_of_them() -> None:
    for kind in ("metrics", "methods"):
        assert call(kind, "--json") == call("list", kind, "--json")


def test_the_plugins_of_a_suite_are_listed_with_their_file(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    _, metric = write(STARTS["metric"].kind, "in_folder", tmp_path / "p")
    _, method = write(STARTS["distiller"].kind, "beside_it", tmp_path)
    name = f"beside_it:{method}"
    suite = str(write_suite(tmp_path, plugins=["p"], methods={"mine": {"method": name}}))
    assert "in_folder" not in call("list", "metrics")
    output = call("list", "metrics", "--suite", suite)
    assert "in_folder  What a value means" in output
    assert str(tmp_path / "p" / "in_folder.py") in output
    assert metric == "InFolder"
    (own,) = [line for line in listed("methods", "--suite", suite) if line["method"] == name]
    assert own["defaults"] == {"weight": 1.0}
    assert own["file"] == str(tmp_path / "beside_it.py")
