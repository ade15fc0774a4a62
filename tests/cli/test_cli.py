"""The command line: help that teaches, errors in one line, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny import tiny_plan, write_suite

from bench.cli.main import main
from bench.contracts.kinds import METHOD
from bench.store import layout
from bench.store.layout import Store, read_json

ROOT = Path(__file__).parents[2]


def call(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, list(arguments))
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize(
    "command", [(), *((name,) for name in main.commands), ("new", "distiller")]
)
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    code, output, _ = call(*command, "--help")
    assert code == 0
    assert "Usage:" in output
    if command and command != ("new",):
        assert len(output.splitlines()) > 4


def test_help_waits_for_no_library() -> None:
    code = (
        "import sys\nfrom bench.cli.main import main\n"
        "main(['run', '--help'], standalone_mode=False)\n"
        "slow = {'numpy', 'pydantic', 'PIL', 'torch', 'pandas', 'rich', 'requests', 'mlflow'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_plan_waits_for_no_library_of_results(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom bench.cli.main import main\n"
        f"main(['plan', {str(write_suite(tmp_path))!r}], standalone_mode=False)\n"
        "slow = {'torch', 'pandas', 'scipy', 'matplotlib', 'mlflow', 'requests'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_plan_reads_each_file_of_the_store_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, store = tiny_plan(tmp_path), Store(tmp_path / "runs")
    for key, cell in plan.cells.items():
        store.write(key, "spec.json", cell.spec({}))
        store.write(key, "end.json", {"status": "done"})
    opened: Counter[Path] = Counter()

    def counting(path: Path) -> dict[str, Any]:
        opened[path] += 1
        return read_json(path)

    monkeypatch.setattr(layout, "read_json", counting)
    code, output, _ = call("plan", str(plan.suite.path), "--store", str(store.root))
    assert (code, output.count("  done")) == (0, len(plan.cells))
    names = ("spec.json", "end.json", "scores.json")
    assert opened == Counter(store.folder(key) / name for key in plan.cells for name in names)


@pytest.mark.parametrize("verb", ["plan", "run", "status", "report", "sync", "verify"])
def test_an_unknown_method_is_one_line_and_exit_code_2(tmp_path: Path, verb: str) -> None:
    suite = write_suite(tmp_path, methods=["wdk"])
    code, output, error = call(verb, str(suite), "--store", str(tmp_path / "runs"))
    assert code == 2
    assert output == ""
    assert error == (
        f"distillbench: {suite}: methods.wdk: unknown method 'wdk'. Did you mean 'wkd'? "
        f"Known: {', '.join(METHOD.names())}.\n"
    )
    assert not (tmp_path / "runs").exists()


def test_a_missing_suite_is_said() -> None:
    code, _, error = call("plan", "nowhere.yaml")
    assert (code, error) == (
        2,
        "distillbench: nowhere.yaml: cannot be read: No such file or directory.\n",
    )


def test_count_prints_the_papers_numbers() -> None:
    code, output, _ = call("count", "resnet9", "--width", "16", "--size", "256", "--json")
    assert code == 0
    assert json.loads(output) == {
        "network": "resnet9",
        "width": 16,
        "size": 256,
        "params": 715651,
        "macs": 3328180224,
        "macs_c2": 3350396928,
        "macs_c3": 3781165056,
        "macs_c5": 3328180224,
    }
    code, output, _ = call("count", "unet", "--width", "64")
    assert "54.41396 M" in output
    assert "18.1404 G" in output


def test_count_takes_parameters_of_the_network() -> None:
    given = ("--set", "multiples=[1, 2, 2]", "--set", "blocks=1", "--set", "attention=[4]")
    code, output, _ = call("count", "ldm_unet", "--width", "8", "--size", "32", *given, "--json")
    assert code == 0
    found = json.loads(output)
    assert (found["params"], found["macs"], found["macs_c5"]) == (71_323, 16_340_992, 15_816_704)
    for wrong, said in (
        ("multiples", "expected name=value"),
        ("multiplse=[1]", "Did you mean 'multiples'"),
        ("multiples=[1, 2, 2, 2, 2, 2]", "give 1 to 5 whole numbers"),
    ):
        code, _, error = call("count", "ldm_unet", "--width", "8", "--set", wrong)
        assert code == 2
        assert said in error


def test_count_of_an_unknown_network_names_the_closest() -> None:
    code, _, error = call("count", "unett", "--width", "8")
    assert code == 2
    assert "unknown network 'unett'. Did you mean 'unet'?" in error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("count", "resnet9", "--width", "8", "--size", "4"), "resnet9 cannot take images of 4 px"),
        (("count", "patchgan", "--width", "8", "--size", "8"), "patchgan cannot take images"),
        (("plan", "{binary}"), "no text in UTF-8"),
        (("plan", "{nul}"), "special characters are not allowed"),
        (("plan", "{date}"), "month must be in 1..12"),
        (("plan", "{suite}", "--store", "{suite}"), "cannot be read: Not a directory"),
        (("plan", "{twice}", "--set", "methods.wkd.levels=1"), "methods names one entry twice"),
        (("verify", "{suite}", "--bundle", "{suite}.json"), "no report's bundle.json"),
        (("report", "{suite}", "--store", "nowhere"), "nowhere: no store here"),
        (("sync", "{suite}", "--mlflow", "none"), "leaves nothing to bring up to date"),
    ],
)
def test_bad_input_is_a_line_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    contents = {"binary": b"\xff\xfe\x00", "nul": b"name: a\x00b", "date": b"name: 2020-13-45"}
    files = {"suite": write_suite(tmp_path)}
    for name, text in contents.items():
        files[name] = tmp_path / f"{name}.yaml"
        files[name].write_bytes(text)
    (tmp_path / "sub").mkdir()
    files["twice"] = write_suite(tmp_path / "sub", methods=["none", "wkd", "wkd"])
    code, output, error = call(*(a.format(**files) for a in arguments))
    assert (code, output) == (2, "")
    assert said in error
    assert "Traceback" not in error


def test_the_next_command_is_said_with_its_options(tmp_path: Path) -> None:
    from bench.cli.run import again

    where = {"suite": Path("a b.yaml"), "sets": ("size=64",), "only": (), "seeds": "0,1"}
    assert again(where | {"store": Path("x")}) == "'a b.yaml' --set size=64 --seeds 0,1 --store x"


def test_seeds_and_only_choose_a_part(tmp_path: Path) -> None:
    suite = write_suite(tmp_path)
    store = ("--store", str(tmp_path / "runs"))
    code, output, _ = call("plan", str(suite), *store, "--seeds", "3,4", "--only", "method=none")
    assert code == 0
    assert output.count("missing") == 2
    assert "seed 3" in output
    assert "seed 4" in output


def test_python_m_bench_is_the_same_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench", "--version"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert "distillbench" in done.stdout or "bench" in done.stdout
    assert "version" in done.stdout


def test_no_gpu_where_there_is_none(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    suite = write_suite(tmp_path)
    arguments = ("run", str(suite), "--store", str(tmp_path / "runs"), "--mlflow", "none")
    code, _, error = call(*arguments, "--device", "cuda", "--jobs", "1")
    assert code == 2
    assert "sees no CUDA device" in error


def test_what_nobody_foresaw_is_one_line_and_a_log_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2: for the gate, 1 means that something is worse."""

    def surprised(*_: object, **__: object) -> None:
        raise ZeroDivisionError("of all things\nand more")

    monkeypatch.setattr("bench.plan.expand.expand", surprised)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    suite = write_suite(tmp_path)
    code, output, error = call("plan", str(suite), "--store", str(tmp_path / "runs"))
    assert (code, output) == (2, "")
    assert error.startswith("distillbench: unexpected: ZeroDivisionError: of all things (traceback")
    assert len(error.splitlines()) == 1
    (log,) = tmp_path.glob("distillbench-*.log")
    assert "in surprised" in log.read_text()


def test_a_full_disk_behind_stdout_is_one_line() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bench", "metrics"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("distillbench: unexpected: OSError: [Errno 28]")
    assert "Traceback" not in done.stderr


def test_a_report_of_nothing_and_one_of_a_metric_that_is_not_there_say_so(tmp_path: Path) -> None:
    suite, store = write_suite(tmp_path), tmp_path / "runs"
    plan = tiny_plan(tmp_path)
    where = ("report", str(suite), "--store", str(store), "--mlflow", "none")
    (store / "cells").mkdir(parents=True)
    code, _, said = call(*where, "--out", str(tmp_path / "report"))
    assert code == 2
    assert f"nothing has been run in {store}" in said
    Store(store).fail(plan.students[0].cell.key, "no memory")  # type: ignore[union-attr]
    code, _, said = call(*where, "--out", str(tmp_path / "report"), "--columns", "psnr,ssym")
    assert code == 2
    assert "--columns: unknown metric" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "report").exists()
