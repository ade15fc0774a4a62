"""Users' own modules: in which folders they lie, and how they shadow nothing.

None of those folders is on Python's path, where a user's `random.py` or `reports.py` would take the
place of the library's or of ours. A plug-in is loaded from its file. What it imports by name is
looked for in these folders last, when nobody else has a module of that name; what only others
import (a library that tries whether another is installed) is not looked for there. The name of a
plug-in that is loaded is known to everybody, as is that of what one imports: a file named like an
optional library that is not installed is taken for it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from bench.errors import PluginError, SuiteError
from bench.plugins.source import Name, classes, lineage, tree

VARIABLE = "DISTILLBENCH_PLUGINS"  # folders, as in PATH
MODULE = re.compile(r"[\w-]+(\.[\w-]+)*")  # a name that leaves no folder


@dataclass(frozen=True)
class Places:
    """Where users' own modules lie, in the order in which a name is looked for."""

    folders: tuple[Path, ...] = ()  # whose files are plug-ins, by their plain names
    beside: tuple[Path, ...] = ()  # whose modules a suite may name as `module:Class`

    @property
    def all(self) -> tuple[Path, ...]:
        """Every folder, in that order."""
        return (*self.folders, *self.beside)

    def files(self, module: str) -> Iterator[Path]:
        """Yield the files that may be meant by a module's name."""
        if not MODULE.fullmatch(module):
            return
        path = module.replace(".", "/")
        for folder in self.all:
            for file in (folder / f"{path}.py", folder / path / "__init__.py"):
                if file.is_file():
                    yield file


_places: Places | None = None


def places() -> Places:
    """Return where users' modules lie: as the present suite says, or without one.

    Raises:
        SuiteError, PluginError: see `places_of`.
    """
    if _places is None:
        look_in(places_of(None))
    assert _places is not None
    return _places


def look_in(found: Places | None) -> None:
    """Let users' modules be found in these folders, and in no others; None: as without a suite.

    Those of other folders are forgotten, so that a helper's name means the file that lies here.
    """
    global _places
    if found != _places:
        for name in [n for n in sys.modules if n.partition(".")[0] in _loaded]:
            del sys.modules[name]
        _loaded.clear()
        _imported.clear()
        _places = found


def places_of(suite: Path | None, plugins: Sequence[str] = ()) -> Places:
    """Return where the modules of a suite lie, or what there is without one.

    Args:
        suite: its file; None for none.
        plugins: folders of plug-ins, relative to it.

    Raises:
        SuiteError: a folder of plug-ins is none.
        PluginError: files of one name lie in two of them.
    """
    here = Path.cwd()
    home = suite.resolve().parent if suite else here
    said = [(f"{suite}: plugins", home / _expanded(folder)) for folder in plugins]
    listed = os.environ.get(VARIABLE, "").split(os.pathsep)
    said += [(f"${VARIABLE}", here / _expanded(folder)) for folder in listed if folder]
    for where, folder in said:
        if not folder.is_dir():
            raise SuiteError(f"{where}: no folder {folder}.")
    folders = tuple(dict.fromkeys(folder.resolve() for _, folder in said))
    known: dict[str, Path] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.py"))):
        other = known.setdefault(path.stem, path)
        if other != path and path.stem != "__init__":
            raise PluginError(f"{other} and {path}: two files of one name; rename one.")
    return Places(folders, tuple(dict.fromkeys((home, here))))


def _expanded(folder: str) -> Path:
    return Path(os.path.expandvars(folder)).expanduser()


@functools.cache
def plugins(contract: Name, folders: tuple[Path, ...]) -> dict[str, Path]:
    """Return name -> file of the plug-ins of one contract in whole folders.

    A file is one if a public class of it derives from the contract, as far as its text says; a name
    that begins with an underscore is a helper's.

    Raises:
        PluginError: a file is no Python.
    """
    return {
        path.stem: path
        for folder in folders
        for path in sorted(folder.glob("[!_]*.py"))
        if any(lineage(contract, path, c, folders) for c in classes(path) if not c.startswith("_"))
    }


def load(module: str, path: Path) -> ModuleType:
    """Import a user's module from its file.

    It keeps its name, by which others may import it too, unless Python knows another module of that
    name; then it is loaded beside that one.
    """
    _imported.add(module.partition(".")[0])
    try:
        spec = importlib.util.find_spec(module)
    except Exception:  # a package above it may do anything
        spec = None
    is_found = spec is not None and spec.origin is not None and Path(spec.origin).resolve() == path
    _admit([path])
    return importlib.import_module(module if is_found else _other_name(module, path))


def _other_name(module: str, path: Path) -> str:
    """Return a name that is no identifier, so that nobody else has it."""
    return f"{module.replace('.', '/')}@{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}"


_imported: set[str] = set()  # by users' modules: what is looked for in their folders
_loaded: set[str] = set()  # from their folders


def _admit(files: Iterable[Path]) -> None:
    """Let what users' modules import, by the statements in their text, be found beside them."""
    for file in files:
        try:
            nodes = list(ast.walk(tree(file)))
        except PluginError:  # Python says so better, when it imports the file
            continue
        for node in nodes:
            if isinstance(node, ast.Import):
                _imported.update(name.name.partition(".")[0] for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                _imported.add(node.module.partition(".")[0])


class _Last(MetaPathFinder):
    """Finds users' modules once every other finder has failed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module lies whose name nobody else knows."""
        name, is_other, _ = fullname.partition("@")
        is_asked = is_other or name in _imported
        if path is not None or _places is None or not is_asked:  # of a package, Python knows where
            return None
        for file in _places.files(name.replace("/", ".")):
            if not is_other or _other_name(name, file.resolve()) == fullname:
                _admit(file.parent.rglob("*.py") if file.name == "__init__.py" else [file])
                _loaded.add(fullname)
                return importlib.util.spec_from_file_location(fullname, file.resolve())
        for folder in _places.all:
            if any((folder / fullname).glob("*.py")):  # a package without `__init__.py`
                _admit((folder / fullname).rglob("*.py"))
                _loaded.add(fullname)
                spec = ModuleSpec(fullname, None, is_package=True)
                spec.submodule_search_locations = [str(folder / fullname)]
                return spec
        return None


sys.meta_path.append(_Last())
