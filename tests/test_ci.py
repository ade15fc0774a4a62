"""CI runs what a laptop runs: workflows call tox environments that exist, commands that exist."""

from __future__ import annotations

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.cli.main import main

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def tox() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini")
    return parser


def jobs(workflow: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load(workflow.read_text())["jobs"].values())


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_call_tox_environments_that_exist(workflow: Path) -> None:
    known = {name.removeprefix("testenv:") for name in tox().sections()}
    known |= {name.strip() for name in tox()["tox"]["env_list"].split(",")}
    called: set[str] = set()
    for job in jobs(workflow):
        axes = job.get("strategy", {}).get("matrix", {}).get("include", [])
        for step in job["steps"]:
            for name in re.findall(r"tox -e (\S.*)", step.get("run", "")):
                called |= {axis["env"] for axis in axes} if "matrix.env" in name else {name}
            assert not re.search(r"\b(pytest|mypy|ruff|distillbench)\b", step.get("run", ""))
    assert called
    assert called <= known


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_hold_no_secret_and_pin_their_actions(workflow: Path) -> None:
    assert "secrets." not in workflow.read_text()
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
    for job in jobs(workflow):
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v1"))


def test_the_nightly_fetches_what_it_needs_before_it_runs() -> None:
    lines = [
        line.split()[1:3] for line in tox()["testenv:nightly"]["commands"].splitlines() if line
    ]
    suite = "suites/nightly.yaml"
    order = [lines.index([verb, suite]) for verb in ("fetch", "run", "report", "gate")]
    assert order == sorted(order)


def test_tox_calls_commands_and_options_that_exist() -> None:
    for section in tox().values():
        for line in section.get("commands", "").splitlines():
            words = line.split()
            if words[:1] == ["distillbench"]:
                given = {word for word in words if word.startswith("--")}
                command = main.commands[words[1]]
                assert given <= {option for p in command.params for option in p.opts}


def test_only_the_job_that_publishes_the_site_may_write_anything() -> None:
    """It runs nothing of ours: what it publishes was built by a job that may only read."""
    writing = {}
    for workflow in WORKFLOWS:
        for name, job in yaml.safe_load(workflow.read_text())["jobs"].items():
            given = job.get("permissions", {})
            if "write" in given.values():
                writing[workflow.stem, name] = given
                assert [step.get("uses") for step in job["steps"]] == ["actions/deploy-pages@v4"]
    assert writing == {("docs", "publish"): {"pages": "write", "id-token": "write"}}
