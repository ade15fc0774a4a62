"""CI runs what a laptop runs: workflows call tox environments that exist, commands that exist."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
from fnmatch import fnmatch
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
def test_workflows_pin_their_actions_and_may_only_read(workflow: Path) -> None:
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}
    for job in jobs(workflow):
        assert job["timeout-minutes"]
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v1"))


CREDENTIALS = re.compile(r"(MLFLOW_(TRACKING|S3)|AWS|AZURE_STORAGE|DATABRICKS)_[A-Z_]+")


def nightly() -> dict[str, Any]:
    """Return the step that runs tox."""
    (job,) = jobs(ROOT / ".github" / "workflows" / "nightly.yml")
    (step,) = [s for s in job["steps"] if "tox -e nightly" in s.get("run", "")]
    return dict(step)


def test_only_the_step_that_runs_tox_on_our_own_machine_sees_secrets() -> None:
    """A pull request, which anybody may open, runs code of its own; a nightly is what was merged."""
    for workflow in WORKFLOWS:
        named = set(re.findall(r"secrets\.(\w+)", workflow.read_text()))
        given = {
            name: value
            for job in jobs(workflow)
            for step in job["steps"]
            if re.search(r"\btox -e nightly\b", step.get("run", ""))
            for name, value in step.get("env", {}).items()
        }
        assert named <= {name for name, value in given.items() if "secrets." in value}
        for name, value in given.items():
            assert CREDENTIALS.fullmatch(name)
            assert re.fullmatch(rf"\$\{{\{{ (secrets|vars)\.{name} \}}\}}", value)
    assert "secrets." not in (ROOT / ".github" / "workflows" / "ci.yml").read_text()


@pytest.mark.parametrize(("kind", "row"), [("vars", "variables"), ("secrets", "secrets")])
def test_the_page_lists_what_the_nightly_takes_from_the_repository(kind: str, row: str) -> None:
    given = [name for name, value in nightly()["env"].items() if f" {kind}." in value]
    (line,) = re.findall(rf"^\| {row} \| (.*) \|$", (ROOT / "docs" / "ci.md").read_text(), re.M)
    assert re.findall(r"`(\w+)`", line) == given
    passed = tox()["credentials"]["pass_env"].split()
    assert not [name for name in given if not any(fnmatch(name, glob) for glob in passed)]


def test_what_the_repository_does_not_set_is_not_there_for_tox() -> None:
    """An empty path of a certificate, say, would have nobody check any."""
    script = nightly()["run"].replace(".venv/bin/python -m tox -e nightly", "env")
    names = dict.fromkeys(nightly()["env"], "")
    given = {"PATH": os.environ["PATH"], **names, "AWS_ACCESS_KEY_ID": "id", "KEPT": ""}
    done = subprocess.run(
        ["bash", "-e", "-c", script], env=given, capture_output=True, text=True, check=True
    )
    told = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert told["KEPT"] == ""
    assert {name: told[name] for name in names if name in told} == {"AWS_ACCESS_KEY_ID": "id"}


@pytest.mark.parametrize("env", ["quick", "nightly"])
def test_tox_passes_on_what_an_authenticated_server_asks_for(env: str) -> None:
    passed = tox()[f"testenv:{env}"]["pass_env"]
    assert "{[credentials]pass_env}" in passed
    names = set(tox()["credentials"]["pass_env"].split())
    ways = {"URI", "USERNAME", "PASSWORD", "TOKEN", "INSECURE_TLS"}
    assert {f"MLFLOW_TRACKING_{way}" for way in ways} <= names
    assert "AWS_*" in names
    documented = (ROOT / "docs" / "ci.md").read_text()
    assert not [name for name in names if name.strip("*") not in documented]


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
