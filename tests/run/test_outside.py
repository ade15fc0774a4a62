"""Users' plug-ins of every kind: beside a suite, in whole folders, and never in the way of others."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny import SUITE, write_suite

from bench.cli.main import main
from bench.contracts.kinds import DATASET, METHOD, METRIC, NETWORK, REPORT, look_beside
from bench.errors import PluginError, SuiteError
from bench.plan.expand import expand
from bench.plan.suite import load
from bench.plugins import outside

ROOT = Path(__file__).parents[2]

METHOD_FILE = """
import torch.nn.functional as F
from bench.contracts.distiller import Distiller
from {helpers} import WEIGHT
class Mine(Distiller):
    '''L1 between the images.'''
    defaults = {{"weight": 2.0}}
    source = "nobody"
    def terms(self, student, teacher):
        import {helpers}
        assert {helpers}.WEIGHT == WEIGHT
        weight = self.params["weight"] * WEIGHT
        return {{"l1": weight * F.l1_loss(student.output, teacher.output)}}
"""
METRIC_FILE = """
from bench.contracts.metric import ImageMetric
class Brightness(ImageMetric):
    '''Mean of the outputs.'''
    label, better, source = "brightness", "higher", "nobody"
    headline = "brightness"
    def __init__(self, params):
        super().__init__(params)
        self.found = []
    def add(self, output, target):
        self.found += output.mean((1, 2, 3)).tolist()
    def each(self):
        return {"brightness": self.found}
"""
DATASET_FILE = """
from bench.data.photo_edges import PhotoEdges
class Edges(PhotoEdges):
    '''The project's edges under another name.'''
    def fingerprint(self):
        return "mine " + super().fingerprint()
"""
NETWORK_FILE = """
from torch import nn
from bench.contracts.network import Generator
class Plain(Generator):
    '''Four convolutions.'''
    source = "nobody"
    defaults = {"norm": "batch"}
    taps = {"down": 0, "mid1": 1, "mid2": 1, "up": 2}
    def __init__(self, width, size, params):
        super().__init__(width, size, params)
        conv = lambda a, b: nn.Conv2d(a, b, 3, padding=1)
        self.model = nn.Sequential(conv(3, width), conv(width, width), conv(width, width),
                                   conv(width, 3), nn.Tanh())
"""
REPORT_FILE = """
from bench.contracts.report import Report, Table
class Count(Report):
    '''How many cells there are.'''
    defaults = {"title": "Cells"}
    def make(self, rows):
        yield Table("my_count", self.params["title"], "Of the matrix.", ["n"],
                    [[[str(len(rows.entries))]]])
"""
FILES = {
    "my_method": METHOD_FILE.format(helpers="my_helpers"),
    "my_helpers": "WEIGHT = 3.0\n",
    "my_metric": METRIC_FILE,
    "my_data": DATASET_FILE,
    "my_net": NETWORK_FILE,
    "my_report": REPORT_FILE,
}


def write_plugins(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def distillbench(
    *arguments: object, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command as its script does: without the present folder on the path."""
    code = "import sys; from bench.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, timeout=600,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


BY_NAME = {
    "plugins": ["./my_plugins"],
    "datasets": ["my_data"],
    "architectures": ["my_net"],
    "methods": ["none", "my_method"],
    "metrics": ["psnr", "my_metric"],
    "reports": {"my_report": {"title": "How many"}},
}
BY_CLASS = {
    "datasets": {"my_data": {"dataset": "my_data:Edges"}},
    "architectures": {"my_net": {"architecture": "my_net:Plain"}},
    "methods": {"none": {}, "my_method": {"method": "my_method:Mine"}},
    "metrics": ["psnr", "my_metric:Brightness"],
    "reports": {"my_report:Count": {"title": "How many"}},
}


@pytest.mark.parametrize("way", ["by class", "by environment"])
def test_a_suite_of_plugins_of_every_kind_runs_in_spawned_workers(tmp_path: Path, way: str) -> None:
    """From another folder; helpers beside a plug-in are imported, at once and later."""
    (tmp_path / "suite").mkdir()
    (tmp_path / "elsewhere").mkdir()
    changes = BY_CLASS if way == "by class" else BY_NAME
    folder = "." if way == "by class" else "my_plugins"
    write_plugins(tmp_path / ("shared" if way == "by environment" else "suite") / folder)
    environment = {}
    if way == "by environment":
        changes = {name: x for name, x in changes.items() if name != "plugins"}
        environment = {outside.VARIABLE: str(tmp_path / "shared" / folder)}
    suite = write_suite(tmp_path / "suite", **changes)
    cwd = tmp_path / "elsewhere"
    run = distillbench("run", suite, "--jobs", 2, "--mlflow", "none", cwd=cwd, **environment)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "tiny: 3 trained, 0 cached; 3 done\n"
    report = distillbench("report", suite, "--mlflow", "none", cwd=cwd, **environment)
    assert report.returncode == 0, report.stderr
    tables = cwd / "report" / "tiny" / "tables"
    assert (tables / "my_count.csv").read_text() == "n\n3\n"
    assert "### How many" in (tables / "my_count.md").read_text()
    assert "brightness" in (tables / "results.csv").read_text().partition("\n")[0]


TAKEN = ["reports", "bench", "baselines", "random", "torch", "helpers", "tempfile", "yaml"]


def test_a_users_files_never_shadow_ours_or_the_librarys(tmp_path: Path) -> None:
    """All at once: beside the suite, in the present folder and in one of plug-ins; two are some."""
    folder = tmp_path
    for name in TAKEN:
        (folder / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
    (folder / "reports.py").write_text(REPORT_FILE)
    (folder / "random.py").write_text(METHOD_FILE.format(helpers="my_helpers"))
    (folder / "my_helpers.py").write_text("import random\nassert random.shuffle\nWEIGHT = 1.0\n")
    suite = write_suite(
        tmp_path,
        methods={"none": {}, "mine": {"method": "random:Mine"}},
        reports=["reports:Count"],
        plugins=["."],
    )
    run = distillbench("run", suite, "--jobs", 2, "--mlflow", "none", cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    report = distillbench("report", suite, "--mlflow", "none", cwd=tmp_path)
    assert report.returncode == 0, report.stderr
    assert (tmp_path / "report" / "tiny" / "tables" / "my_count.csv").exists()


def test_python_m_bench_shadows_nothing_either(tmp_path: Path) -> None:
    for name in set(TAKEN) - {"bench"}:  # which would be what `-m bench` runs
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('shadowed')\n")
    done = subprocess.run(
        [sys.executable, "-m", "bench", "plan", str(write_suite(tmp_path))],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["my_method", "random"])
def test_a_users_class_is_pickled_by_name(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.py").write_text(METHOD_FILE.format(helpers="my_pickled_helpers"))
    (tmp_path / "my_pickled_helpers.py").write_text("WEIGHT = 1.0\n")
    look_beside(tmp_path / "s.yaml", [])
    cls = METHOD.load(f"{name}:Mine", "test")
    assert pickle.loads(pickle.dumps(cls)) is cls
    sys.modules.pop(cls.__module__)
    assert pickle.loads(pickle.dumps(METHOD.load(f"{name}:Mine", "test"))).__name__ == "Mine"


def test_what_a_library_tries_to_import_is_not_looked_for_beside_a_suite(tmp_path: Path) -> None:
    """A suite's folder runs what plug-ins name and import, and nothing else that lies there."""
    for name in ("an_optional_library", "my_own_helper"):
        (tmp_path / f"{name}.py").write_text("WEIGHT = 1.0\n")
    (tmp_path / "imports_it.py").write_text(METHOD_FILE.format(helpers="my_own_helper"))
    look_beside(tmp_path / "s.yaml", [])
    METHOD.load("imports_it:Mine", "test")
    assert importlib.util.find_spec("an_optional_library") is None
    assert importlib.util.find_spec("my_own_helper") is not None
    assert importlib.util.find_spec("imports_it") is not None  # a plug-in's own name is known


@pytest.mark.parametrize("init", [True, False])
def test_a_plugin_in_a_package_imports_its_parts_and_what_lies_beside(
    tmp_path: Path, init: bool
) -> None:
    package, beside = f"my_package_{init}".lower(), f"beside_package_{init}".lower()
    (tmp_path / package).mkdir()
    if init:
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / package / "parts.py").write_text(f"from {beside} import WEIGHT\n")
    (tmp_path / f"{beside}.py").write_text("WEIGHT = 1.0\n")
    text = METHOD_FILE.format(helpers=f"{package}.parts")
    (tmp_path / package / "method.py").write_text(text)
    look_beside(tmp_path / "s.yaml", [])
    assert METHOD.load(f"{package}.method:Mine", "test").defaults == {"weight": 2.0}


def test_two_suites_in_one_process_each_have_their_own_module(tmp_path: Path) -> None:
    for folder, weight in (("one", 1.5), ("two", 2.5)):
        (tmp_path / folder).mkdir()
        text = METHOD_FILE.format(helpers="my_other_helpers").replace("2.0", str(weight))
        (tmp_path / folder / "same_name.py").write_text(text)
        (tmp_path / folder / "my_other_helpers.py").write_text("WEIGHT = 1.0\n")
        look_beside(tmp_path / folder / "s.yaml", [])
        assert METHOD.load("same_name:Mine", "test").defaults == {"weight": weight}
        assert METHOD.part("same_name:Mine", {}, "test").params == {"weight": weight}


@pytest.mark.parametrize("base", ["base.py", "base/__init__.py"])
def test_the_base_that_is_read_is_the_one_that_runs(tmp_path: Path, base: str) -> None:
    """One lies beside the suite and another of that name in a folder of plug-ins."""
    base = f"two_{base}"
    for file, weight in ((tmp_path / "two_base.py", 1.0), (tmp_path / "plug" / base, 4.0)):
        file.parent.mkdir(parents=True, exist_ok=True)
        text = METHOD_FILE.format(helpers="two_helpers").replace("2.0", str(weight))
        file.write_text(text.replace("class Mine", "class Base"))
    (tmp_path / "two_helpers.py").write_text("WEIGHT = 1.0\n")
    (tmp_path / "of_two.py").write_text(
        "from two_base import Base\nclass Idea(Base):\n    '''Mine.'''\n"
    )
    look_beside(tmp_path / "s.yaml", [str(tmp_path / "plug")])
    told = METHOD.declaration("of_two:Idea", "test")
    assert told.fields["defaults"] == METHOD.load("of_two:Idea", "test").defaults == {"weight": 4.0}
    assert set(told.files) == {tmp_path / "of_two.py", tmp_path / "plug" / base}


@pytest.mark.parametrize("is_package", [False, True])
def test_two_suites_in_one_process_each_have_their_own_helper(
    tmp_path: Path, is_package: bool
) -> None:
    """Of one name, at once and in a function, there and back; what one imports, only it finds."""
    helper = "my_parts.own_helper" if is_package else "my_own_helper_of_two"
    for folder, weight in (("one", 1.5), ("two", 2.5)):
        file = tmp_path / folder / f"{helper.replace('.', '/')}.py"
        file.parent.mkdir(parents=True)
        file.write_text(f"WEIGHT = {weight}\n")
        text = METHOD_FILE.format(helpers=helper) + "    weight = WEIGHT\n"
        text += f"    def late(self):\n        import {helper}\n        return {helper}.WEIGHT\n"
        (tmp_path / folder / f"in_{folder}.py").write_text(text)
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / f"{helper.partition('.')[0]}.py").write_text("")
    for folder, weight in (("one", 1.5), ("two", 2.5), ("one", 1.5)):
        look_beside(tmp_path / folder / "s.yaml", [])
        cls = METHOD.load(f"in_{folder}:Mine", "test")
        assert (cls.weight, cls.late(cls)) == (weight, weight)  # type: ignore[attr-defined]
    look_beside(tmp_path / "three" / "s.yaml", [])
    assert importlib.util.find_spec(helper.partition(".")[0]) is None


def test_names_in_folders_are_found_by_contract(tmp_path: Path) -> None:
    look_beside(tmp_path / "s.yaml", [str(write_plugins(tmp_path / "p"))])
    for kind, name in ((METHOD, "my_method"), (METRIC, "my_metric"), (DATASET, "my_data"),
                       (NETWORK, "my_net"), (REPORT, "my_report")):  # fmt: skip
        assert name in kind.names()
        assert not kind.is_ours(name)
    assert "my_helpers" not in METHOD.names()
    assert "my_metric" not in METHOD.names()


def test_a_plugin_of_a_folder_is_versioned_by_content_unless_it_says(tmp_path: Path) -> None:
    folder = write_plugins(tmp_path / "p")
    look_beside(tmp_path / "s.yaml", [str(folder)])
    assert isinstance(METRIC.part("my_metric", {}, "test").version, str)
    other = tmp_path / "q"
    other.mkdir()
    (other / "stated.py").write_text(METRIC_FILE + "    version = 7\n")
    look_beside(tmp_path / "s.yaml", [str(other)])
    assert METRIC.part("stated", {}, "test").version == 7


@pytest.mark.parametrize("base", ["import bench.contracts.metric as m\nBase = m.ImageMetric\n"])
def test_a_plugin_whose_base_only_python_knows_is_found_by_its_name(
    tmp_path: Path, base: str
) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / "hidden.py").write_text(
        base + "class Mine(Base):\n    '''M.'''\n    label = 'mine'\n"
    )
    look_beside(tmp_path / "s.yaml", [str(tmp_path / "p")])
    assert METRIC.declaration("hidden", "test").says.label == "mine"


def test_a_name_that_is_taken_says_both_files(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    (one / "psnr.py").write_text(METRIC_FILE)
    suite = write_suite(tmp_path, plugins=["one"])
    with pytest.raises(PluginError) as caught:
        load(suite)
    assert str(one / "psnr.py") in str(caught.value)
    assert str(ROOT / "bench" / "metrics" / "psnr.py") in str(caught.value)
    (one / "psnr.py").rename(one / "mine.py")
    (two / "mine.py").write_text(METRIC_FILE)
    with pytest.raises(PluginError) as caught:
        load(write_suite(tmp_path, plugins=["one", "two"]))
    assert str(one / "mine.py") in str(caught.value)
    assert str(two / "mine.py") in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"plugins": ["nowhere"]}, "tiny.yaml: plugins: no folder"),
        ({"plugins": "my_plugins"}, "tiny.yaml: plugins: should be a valid list"),
        ({"reports": ["rangs"]}, "reports.rangs: unknown report 'rangs'. Did you mean 'ranks'?"),
        ({"reports": ["no_such:Report"]}, "no module 'no_such' beside the suite"),
        ({"reports": {"ranks": {"x": 1}}}, "reports.ranks: unknown parameter of ranks 'x'"),
        ({"methods": {"m": {"method": "../tiny:Mine"}}}, "no module '../tiny'"),
        ({"methods": {"m": {"method": "/etc/passwd:Mine"}}}, "no module '/etc/passwd'"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_before_any_training(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    suite = write_suite(tmp_path, **changes)
    done = CliRunner().invoke(main, ["run", str(suite), "--store", str(tmp_path / "runs")])
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_a_missing_folder_of_the_environment_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(outside.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(SuiteError, match=r"\$DISTILLBENCH_PLUGINS: no folder"):
        load(write_suite(tmp_path))


def test_suites_without_plugins_are_told_as_before(tmp_path: Path) -> None:
    assert not {"plugins", "reports"} & set(load(write_suite(tmp_path)).told)
    plan = expand(load(write_suite(tmp_path, reports=["ranks"])))
    assert plan.suite.told["reports"] == {"ranks": {}}
    assert json.dumps(plan.suite.told)
    assert SUITE["metrics"] == ["psnr"]
