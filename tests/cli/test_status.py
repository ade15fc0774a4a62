"""What a program reads: `status --json`, and exit codes that each command's help tells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from test_reports import finish
from tiny import tiny_plan

from bench.cli.main import main
from bench.plan import given, latents
from bench.plan.matrix import Plan
from bench.store.layout import Store, write_json

ROOT = Path(__file__).parents[2]


def status(plan: Plan, store: Store, *arguments: str) -> tuple[int, str]:
    where = [str(plan.suite.path), "--store", str(store.root)]
    done = CliRunner().invoke(main, ["status", *where, *arguments])
    return done.exit_code, done.stdout


def test_json_and_text_hold_the_same_facts(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods=["none", "hinton", "wkd", "pca_kd_style"], widths=[2])
    store = Store(tmp_path / "runs")
    none, hinton, wkd, _ = plan.students
    finish(store, plan, none)
    finish(store, plan, hinton)
    assert hinton.cell is not None
    assert wkd.cell is not None
    write_json(store.folder(hinton.cell.key) / "scores.json", {})
    store.write(wkd.cell.key, "end.json", {"status": "diverged", "step": 3, "reason": ""})
    code, text = status(plan, store)
    again, said = status(plan, store, "--json")
    assert code == again == 1  # a cell diverged
    found = json.loads(said)
    assert found["suite"] == "tiny"
    assert found["counts"] == {"missing": 1, "done": 2, "diverged": 1, "skipped": 1}
    *lines, last = text.splitlines()
    counted = ", ".join(f"{n} {status}" for status, n in found["counts"].items())
    assert last == f"{counted}; of those done 1 lack scores"
    for line, cell in zip(lines, found["cells"], strict=True):
        told = (cell["key"] or "-", cell["status"], cell["cell"], cell["reason"])
        assert all(str(word) in line for word in told)
    by_method = {cell["method"]: cell for cell in found["cells"]}
    verdicts = {m: (c["trained"], c["scored"]) for m, c in by_method.items()}
    nothing = (False, False)
    assert verdicts == {
        "teacher": nothing, "none": (True, True), "hinton": (True, False), "wkd": nothing,
        "pca_kd_style": nothing,
    }  # fmt: skip
    assert by_method["hinton"]["reason"] == "some scores are missing"
    assert by_method["wkd"]["width"] == "2"


def test_every_key_is_documented(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    found = json.loads(status(plan, Store(tmp_path / "runs"), "--json")[1])
    documented = (ROOT / "docs" / "ci.md").read_text()
    section = documented.partition("## `distillbench status --json`")[2].partition("\n## ")[0]
    named = {name for row in re.findall(r"^\| (`.*?) \|", section, re.M) for name in row.split("`")}
    assert {*found, *found["cells"][0]} <= named
    (roles,) = re.findall(r"^\| `role` \| (.*) \|$", section, re.M)
    assert {"student", "teacher", "assistant", "trial", latents.ROLE, given.ROLE} <= {
        *re.findall(r"`(\w+)`", roles)
    }
    where = ["plan", str(plan.suite.path), "--store", str(tmp_path / "runs"), "--json"]
    planned = json.loads(CliRunner().invoke(main, where).stdout)
    of_plan = documented.partition("## Before a long run")[2].partition("\n## ")[0]
    for name in (*planned, *planned["cells"][0], *planned["remarks"][0]):
        assert f"`{name}`" in of_plan


def commands(group: click.Group, *above: str) -> list[tuple[str, ...]]:
    found = []
    for name, command in group.commands.items():
        is_group = isinstance(command, click.Group)
        found += commands(command, *above, name) if is_group else [(*above, name)]
    return found


@pytest.mark.parametrize("command", commands(main), ids=" ".join)
def test_every_help_ends_with_the_exit_codes(command: tuple[str, ...]) -> None:
    said = " ".join(CliRunner().invoke(main, [*command, "--help"]).stdout.split())
    codes = re.fullmatch(r".* Exit codes: (0, [^;]+;( 1, [^;]+;)? 2, [^;]+; 130, .*)", said)
    assert codes, said
    documented = (ROOT / "docs" / "ci.md").read_text()
    if "1, " in codes[1]:
        assert f"| `{command[0]}` |" in documented
