"""A plug-in is found by its file name, and read without being run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.check.question import declaration_questions
from bench.contracts.kinds import KINDS, METHOD, METRIC
from bench.errors import PluginError, SuiteError
from bench.plugins import source
from bench.plugins.registry import Kind, Part

EVERY = [
    pytest.param(kind, name, id=f"{kind.name}-{name}") for kind in KINDS for name in kind.names()
]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_what_a_plugin_says_of_itself_is_told_and_read(kind: Kind[Any], name: str) -> None:
    """What `distillbench check` asks of a user's own."""
    told = kind.declaration(name, "test")
    cls = kind.load(name, "test")
    assert told.class_name == cls.__name__
    assert told.summary == cls.__doc__.partition("\n")[0]
    assert told.fields, "the contract declares nothing"
    for field in told.fields:
        assert getattr(told.says, field) == getattr(cls, field), field
    for question in declaration_questions(Part(kind, name, told.version, {})):
        question.ask()


def test_reading_declarations_imports_no_torch() -> None:
    code = (
        "import sys; from bench.contracts.kinds import KINDS\n"
        "[k.declaration(n, 't') for k in KINDS for n in k.names()]\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


OWN = """
from bench.contracts.distiller import Distiller
class Mine(Distiller):
    '''Mine.'''
    defaults = {"weight": 2.0}
"""


def test_a_users_own_class_is_named_by_module_and_class(own: Path) -> None:
    (own / "own_one.py").write_text(OWN)
    assert METHOD.declaration("own_one:Mine", "test").fields["defaults"] == {"weight": 2.0}
    assert METHOD.load("own_one:Mine", "test").__name__ == "Mine"


def test_a_users_file_without_a_version_is_versioned_by_its_content(own: Path) -> None:
    path = own / "own_two.py"
    path.write_text(OWN)
    before = METHOD.declaration("own_two:Mine", "a").version
    path.write_text(OWN + "# edited\n")
    source.tree.cache_clear()
    assert METHOD.declaration("own_two:Mine", "b").version != before
    path.write_text(OWN + "    version = 3\n")
    source.tree.cache_clear()
    assert METHOD.declaration("own_two:Mine", "c").version == 3


def test_a_declaration_that_is_no_literal_is_read_from_the_class(own: Path) -> None:
    (own / "own_three.py").write_text(
        "from baselines.wkd import WKD\n"
        "class Better(WKD):\n"
        "    '''Better.'''\n"
        "    defaults = {**WKD.defaults, 'gamma': 1.0}\n"
    )
    told = METHOD.declaration("own_three:Better", "test")
    assert told.fields["defaults"]["gamma"] == 1.0
    assert told.fields["defaults"]["levels"] == 3
    assert told.fields["choices"]["distance"] == ("l1", "mse")


def test_a_missing_class_or_module_is_an_error(own: Path) -> None:
    (own / "own_four.py").write_text(OWN)
    with pytest.raises(
        PluginError, match=r"own_four.py: expected one class named Other .* found 0"
    ):
        METHOD.declaration("own_four:Other", "test")
    with pytest.raises(SuiteError, match="no module 'own_five'"):
        METHOD.declaration("own_five:Mine", "test")


def test_a_file_that_does_not_parse_is_an_error_with_its_line(own: Path) -> None:
    (own / "own_six.py").write_text("class Broken(:\n")
    with pytest.raises(PluginError, match=r"own_six.py:1: "):
        METHOD.declaration("own_six:Broken", "test")


def test_a_file_whose_import_fails_is_an_error_that_says_so(own: Path) -> None:
    (own / "own_seven.py").write_text("import no_such_library\n" + OWN)
    assert METHOD.declaration("own_seven:Mine", "test").summary == "Mine."
    with pytest.raises(PluginError, match="cannot be imported: ModuleNotFoundError"):
        METHOD.load("own_seven:Mine", "test")


SHARED = """
from bench.contracts.distiller import Distiller
class Base(Distiller):
    defaults = {"weight": 5.0}
class Mixin:
    defaults = {"weight": 6.0}
class Taught(Distiller):
    hints = ("up",)
"""
MINE = "class Mine({}):\n    'M.'\n"
CONTRACT = "from bench.contracts.distiller import Distiller\n"
SHAPES = {
    "another name": "from shared_by import Base as Distiller\n" + MINE.format("Distiller"),
    "a module": f"import shared_by\n{CONTRACT}" + MINE.format("shared_by.Base"),
    "a mixin first": "from shared_by import Mixin\nfrom baselines.wkd import WKD\n"
    + MINE.format("Mixin, WKD"),
    "two of one contract": "from shared_by import Base, Taught\n" + MINE.format("Base, Taught"),
    "a name taken twice": "from baselines.wkd import WKD as Base\nfrom shared_by import Base\n"
    + MINE.format("Base"),
    "added to": "from shared_by import Base\n"
    + MINE.format("Base")
    + "    hints = ('mid1',)\n    hints += ('mid2',)\n",
    "several at once": "from shared_by import Base\n"
    + MINE.format("Base")
    + "    hints, source = ('mid1',), 'nobody'\n",
    "a plain base beside it": "from shared_by import Base\n" + MINE.format("Base"),
    "a class of its own name": CONTRACT
    + MINE.format("Distiller")
    + "class Base(Mine):\n    pass\n"
    + MINE.format("Base")
    + "    defaults = {'weight': 7.0}\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_stands_above_a_class_what_is_read_is_what_python_has(
    own: Path, shape: str
) -> None:
    (own / "shared_by.py").write_text(SHARED)
    module = f"shape_{list(SHAPES).index(shape)}"
    (own / f"{module}.py").write_text(SHAPES[shape])
    sys.modules.pop("shared_by", None)
    source.tree.cache_clear()
    told = METHOD.declaration(f"{module}:Mine", "test")
    cls = METHOD.load(f"{module}:Mine", "test")
    for field, value in told.fields.items():
        assert getattr(cls, field) == value, field
    assert told.fields["defaults"]


def test_an_edit_of_a_users_base_is_another_version(own: Path) -> None:
    base = own / "base_of_mine.py"
    base.write_text(SHARED)
    (own / "upon_it.py").write_text("from base_of_mine import Base\n" + MINE.format("Base"))
    before = METHOD.declaration("upon_it:Mine", "a").version
    base.write_text(SHARED + "# edited\n")
    source.tree.cache_clear()
    assert METHOD.declaration("upon_it:Mine", "b").version != before


def test_a_users_child_of_a_versioned_class_is_versioned_by_its_content(own: Path) -> None:
    path = own / "child_of_ssim.py"
    path.write_text("from bench.metrics.ssim import SSIM\n" + MINE.format("SSIM"))
    assert isinstance(METRIC.declaration("child_of_ssim:Mine", "a").version, str)


def test_a_file_that_is_no_text_and_a_package_that_fails_are_one_line(own: Path) -> None:
    (own / "no_text.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PluginError, match=r"no_text.py: no Python"):
        METHOD.declaration("no_text:Mine", "test")
    (own / "raises_above").mkdir()
    (own / "raises_above" / "__init__.py").write_text("raise RuntimeError('no')")
    with pytest.raises(SuiteError, match=r"no module 'raises_above.inner'"):
        METHOD.declaration("raises_above.inner:Mine", "test")
