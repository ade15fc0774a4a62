"""`distillbench check`: a template passes; what is broken is said, and exit code 1."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli.check import MODULES
from bench.cli.main import main
from bench.cli.scaffold import STARTS, write
from bench.plugins import outside


def call(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("kind", STARTS)
def test_a_template_keeps_its_contract(tmp_path: Path, kind: str) -> None:
    path, class_name = write(STARTS[kind].kind, f"my_{kind}", tmp_path)
    code, output, error = call("check", path)
    assert (code, error) == (0, ""), output
    assert output.startswith(f"{STARTS[kind].kind.name} my_{kind}:{class_name}, {path}\n")
    lines = output.splitlines()[1:]
    assert len(lines) >= 4
    assert all(line.startswith("  ok  ") for line in lines), output


BROKEN = {  # kind and what it is -> (what stands in its template, what is written instead, what is said)
    "distiller": (
        'self.params["weight"] * sum(losses, start=losses[0].new_zeros(()))',
        'losses[0].detach() * 0',
        "paired: every term has a finite gradient that is not zero: RuntimeError",
    ),
    "metric": ("{\"my_metric\": 25.5}", "{\"my_metric\": 26.5}", "is 25.5"),
    "metric that expects nothing": ("{\"my_metric\": 25.5}", "{}", "it expects no value"),
    "metric with a side": ('better = "lower"', 'better = "sideways"', "better is 'sideways'"),
    "metric with a wish": ('("target",)', '("target", "luck")', "it needs luck; known are"),
    "metric whose images are others": (
        '{"my_metric": self.errors}',
        '{"my_metric": self.errors}\n\n    def value(self):\n        return {"my_metric": 25.5}',
        "my_metric is 25.5, the mean over images",
    ),
    "dataset": (
        '{"train": train, "val": 8, "test": 8}[split]',
        '{"train": train, "val": 8, "test": 8}[split] + (domain == "A")',
        "images of A, 32 of B; its task pairs them",
    ),
    "dataset with an odd image": (
        "return pixels",
        "return pixels if index % 32 != 15 else np.random.rand(3)",
        "image 15 is (3,) at 64 pixels",
    ),
    "network of one width": (
        "super().__init__(width, size, params)\n",
        "super().__init__(width, size, params)\n        width = 4\n",
        "parameters at width 2",
    ),
    "network": ("nn.Tanh()", "nn.Upsample(scale_factor=2)", "(1, 3, 32, 32) becomes (1, 3, 64, 64)"),
    "report": ("[str(dataset), ", "[", "a header of 5"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_broken_is_said_with_its_reason_and_exit_code_1(tmp_path: Path, kind: str) -> None:
    whole, broken, said = BROKEN[kind]
    kind = kind.partition(" ")[0]
    path, _ = write(STARTS[kind].kind, f"my_{kind}", tmp_path)
    text = path.read_text()
    assert whole in text
    path.write_text(text.replace(whole, broken))
    code, output, error = call("check", path)
    assert code == 1, output
    failed = [line for line in output.splitlines() if line.startswith("  FAILED  ")]
    assert any(said in line for line in failed), output
    assert f"{len(failed)} of what its contract asks" in error


def test_a_class_of_a_module_and_one_of_ours_are_checked_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(STARTS["metric"].kind, "by_module", tmp_path)
    code, output, _ = call("check", "by_module:ByModule", "--set", "scale=1.0")
    assert code == 0, output
    assert call("check", "psnr")[0] == 0


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        ("nowhere.py", "nowhere.py: no plug-in"),
        ("nowhere:Class", "no module 'nowhere'"),
        ("empty.py", "empty.py: no plug-in"),
        ("broken.py", "cannot be imported: ZeroDivisionError"),
    ],
)
def test_what_is_no_plugin_is_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.py").write_text("class Nothing:\n    pass\n")
    (tmp_path / "broken.py").write_text("1 / 0\n")
    code, output, error = call("check", plugin)
    assert (code, output) == (2, "")
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_file_whose_name_means_another_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the other one, which is whole, would be checked in its place."""
    for folder in ("mine", "plug"):
        (tmp_path / folder).mkdir()
        write(STARTS["metric"].kind, "my_twin", tmp_path / folder)
    monkeypatch.setenv(outside.VARIABLE, str(tmp_path / "plug"))
    outside.look_in(None)
    code, output, error = call("check", tmp_path / "mine" / "my_twin.py")
    assert (code, output) == (2, "")
    assert f"{tmp_path / 'plug' / 'my_twin.py'} has this name and comes first" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("module", MODULES.values())
def test_what_asks_a_kind_its_questions_is_there(module: str) -> None:
    assert callable(importlib.import_module(f"bench.check.{module}").questions)
