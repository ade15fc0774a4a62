"""A plug-in is found by its file name, and read without being run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import plugins
from bench.contracts.kinds import DATASET, KINDS, METHOD
from bench.errors import PluginError, SuiteError
from bench.plugins import Kind

EVERY = [
    pytest.param(kind, name, id=f"{kind.name}-{name}") for kind in KINDS for name in kind.names()
]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_what_is_read_is_what_the_class_says(kind: Kind[Any], name: str) -> None:
    told = kind.declaration(name, "test")
    cls = kind.load(name, "test")
    assert told.class_name == cls.__name__
    assert told.summary == cls.__doc__.partition("\n")[0]
    assert told.fields, "the contract declares nothing"
    for field, value in told.fields.items():
        assert getattr(cls, field) == value, field
        assert getattr(told.says, field) == value, field


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_plugin_says_what_it_is_and_where_it_is_from(kind: Kind[Any], name: str) -> None:
    told = kind.declaration(name, "test")
    assert told.summary
    if "source" in told.fields:
        assert told.fields["source"], f"{name} declares no source"
    if kind == DATASET:
        assert told.fields["licence"]


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
    plugins._tree.cache_clear()
    assert METHOD.declaration("own_two:Mine", "b").version != before
    path.write_text(OWN + "    version = 3\n")
    plugins._tree.cache_clear()
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
