"""A plug-in is found by its file name; what it declares is read without running it.

Each kind of plug-in has a folder and a contract class (`bench/contracts/kinds.py` lists them). A
file in the folder holds one class that derives from the contract. A user's own needs no fork: it is
named `some_module:SomeClass`, or lies in a folder of plug-ins and has a plain name
(`bench/plugins/outside.py`). What a class declares as literals (`defaults`, `version`, `hints`,
...) is read from its source text, so that planning ten thousand cells imports no torch; a
declaration that is not a literal is read by importing the file instead.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from bench.errors import PluginError, SuiteError, unknown
from bench.plugins import outside
from bench.plugins.source import ROOT, Name, assigned, classes, lineage, methods

C = TypeVar("C")


@dataclass(frozen=True)
class Kind(Generic[C]):
    """One kind of plug-in: where its files lie, and the class that they derive from."""

    name: str
    package: str  # that holds the files
    module: str  # of the contract
    contract: str  # the contract's class
    asked: tuple[str, ...] = ()  # class methods that planning calls

    def names(self) -> tuple[str, ...]:
        """Return the names of all plug-ins of this kind: the project's, and those of folders.

        Raises:
            PluginError: one in a folder has the name of one of the project's.
        """
        ours, found = _names(self.package), outside.plugins(*self._contract_and_folders)
        for name in found:
            if name in ours:
                raise PluginError(
                    f"{found[name]}: {self.folder / name}.py is a {self.name} of that "
                    "name already; rename yours."
                )
        return tuple(sorted((*ours, *found))) if found else ours

    def is_ours(self, name: str) -> bool:
        """Say whether a plug-in comes with the project, and under this name."""
        return name in _names(self.package)

    def declaration(self, name: str, where: str) -> Declaration[C]:
        """Return what a plug-in declares, if possible without importing it.

        Raises:
            SuiteError: no such plug-in; the message names the closest and lists all.
            PluginError: the file holds none or several classes of the contract.
        """
        return _declaration(self, name, where, outside.places())

    def part(self, name: str, given: Mapping[str, Any], where: str) -> Part[C]:
        """Return a plug-in with its defaults overlaid by `given`.

        Raises:
            SuiteError: no such plug-in, or no such parameter; `where` heads the message.
        """
        declaration = self.declaration(name, where)
        return Part(self, name, declaration.version, declaration.params(given, where))

    def load(self, name: str, where: str) -> type[C]:
        """Import one plug-in and return its class.

        Raises:
            SuiteError: no such plug-in.
            PluginError: the file cannot be imported or does not hold the one class it should.
        """
        path, wanted = self.locate(name, where)
        if wanted and wanted not in classes(path):
            raise PluginError(_not_one(path, self.contract, wanted, []))
        base: type[C] = getattr(importlib.import_module(self.module), self.contract)
        try:
            if self.is_ours(name):
                module = importlib.import_module(f"{self.package}.{name}")
            else:
                module = outside.load(name.partition(":")[0], path.resolve())
        except (Exception, SystemExit) as error:  # whatever a user's own module does
            said = f"{type(error).__name__}: {error}"
            raise PluginError(f"{where}: {path} cannot be imported: {said}.") from error
        found = [
            m
            for m in vars(module).values()
            if inspect.isclass(m)
            and m.__module__ == module.__name__
            and issubclass(m, base)
            and _is_wanted(m.__name__, wanted)
        ]
        if len(found) != 1:
            raise PluginError(_not_one(path, self.contract, wanted, [m.__name__ for m in found]))
        return found[0]

    def locate(self, name: str, where: str) -> tuple[Path, str | None]:
        """Return a plug-in's file and, for a user's own, the name of its class.

        Raises:
            SuiteError: there is none of this name.
        """
        if ":" not in name:
            if name not in self.names():
                return self._unread(name, where), None
            found = outside.plugins(*self._contract_and_folders)
            return found.get(name, self.folder / f"{name}.py"), None
        module, _, wanted = name.partition(":")
        if file := next(outside.places().files(module), None):
            return file, wanted
        try:
            spec = importlib.util.find_spec(module)
        except Exception:  # a package above it may do anything
            spec = None
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            raise SuiteError(
                f"{where}: {self.name} {name!r}: no module {module!r} beside the suite, in this "
                "folder or on PYTHONPATH."
            )
        return Path(spec.origin), wanted

    def _unread(self, name: str, where: str) -> Path:
        """Return the file in a folder of plug-ins whose text does not say that it is of this kind.

        It may be all the same, by a base that only importing it finds.
        """
        for folder in outside.places().folders:
            path = folder / f"{name}.py"
            if name.isidentifier() and path.is_file():
                return path
        raise SuiteError(unknown(self.name, name, self.names(), where))

    @property
    def folder(self) -> Path:
        """Where those of the project lie."""
        return _folder(self.package)

    @property
    def path(self) -> Path:
        """The contract's file."""
        return ROOT / f"{self.module.replace('.', '/')}.py"

    @property
    def _contract_and_folders(self) -> tuple[Name, tuple[Path, ...]]:
        return (self.path, self.contract), outside.places().folders


@dataclass(frozen=True)
class Declaration(Generic[C]):
    """What one plug-in says of itself."""

    name: str  # file name, or `module:Class`
    class_name: str
    files: tuple[Path, ...]  # of the class and, where it is a user's own, of those above it
    fields: Mapping[str, Any]  # the contract's class attributes, overlaid by the plug-in's own
    says: type[C]  # a class with these attributes: all that may be read off it
    is_versioned: bool  # whether the plug-in itself states a version
    summary: str  # first line of the docstring

    @property
    def is_ours(self) -> bool:
        """Whether all of it comes with the project, under this name."""
        return ":" not in self.name and _is_ours(self.files[0])

    @property
    def version(self) -> int | str:
        """The number that a change of results must raise.

        A file outside this project that declares no version is versioned by its content: while a
        method is being invented, each edit of it is another method.
        """
        if not self.is_ours and not self.is_versioned:
            content = b"".join(file.read_bytes() for file in self.files)
            return hashlib.sha256(content).hexdigest()[:12]
        version: int = self.fields["version"]
        return version

    def params(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return the plug-in's defaults overlaid by `given`, checked for name, type and choice.

        Raises:
            SuiteError: a name the plug-in does not have, or a value of another type than the
                default, or outside the declared choices.
        """
        defaults, choices = self.fields["defaults"], self.fields["choices"]
        return conform(given, defaults, choices, self.name, where)


@dataclass(frozen=True)
class Part(Generic[C]):
    """One plug-in as a cell uses it: kind, name, version, every parameter.

    `images` and `path` are no part of a cell's key: the one follows from the fingerprint, and the
    other is a matter of this machine.
    """

    kind: Kind[C] = field(hash=False)
    name: str
    version: int | str
    params: Mapping[str, Any] = field(hash=False)  # a mapping has no hash; it does compare
    fingerprint: str = ""  # of a data set
    images: Mapping[str, int] = field(default_factory=dict, hash=False)  # how many: "trainA" -> 400
    path: str = ""  # where a data set lies on this machine

    @property
    def short(self) -> str:
        """The name without the module of a user's own plug-in."""
        return self.name.rpartition(":")[2]

    @property
    def declared(self) -> type[C]:
        """What the plug-in declares: the class attributes of its contract, without importing it."""
        return self.kind.declaration(self.name, self.path or self.name).says

    @property
    def is_ours(self) -> bool:
        """Whether it comes with the project."""
        return self.kind.declaration(self.name, self.path or self.name).is_ours

    def load(self) -> type[C]:
        """Import the plug-in and return its class.

        Raises:
            PluginError: the file cannot be imported.
        """
        return self.kind.load(self.name, self.path or self.name)

    def source_hash(self) -> str:
        """Return 12 hex digits of the sha256 of the plug-in's file."""
        return _source_hash(self.kind, self.name, outside.places())


def conform(
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    choices: Mapping[str, Sequence[Any]],
    of: str,
    where: str,
) -> dict[str, Any]:
    """Return `defaults` overlaid by `given`, checked for name, type and choice.

    Raises:
        SuiteError: a name that `of` does not have, a value of another type than the default, or
            one outside the choices.
    """
    for name, value in given.items():
        if name not in defaults:
            raise SuiteError(unknown(f"parameter of {of}", name, defaults, where))
        if name in choices and value not in choices[name]:
            raise SuiteError(unknown(f"{name} of {of}", str(value), map(str, choices[name]), where))
    return {
        name: _as_type_of(default, given[name], f"{where}: {name} of {of}")
        if name in given
        else default
        for name, default in defaults.items()
    }


def _as_type_of(default: Any, value: Any, where: str) -> Any:
    """Return `value` in the type of `default`, so that 10 and 10.0 are one cell."""
    if default is None:
        return value
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
        return list(value)
    if type(value) is not type(default):
        kind = type(default).__name__
        raise SuiteError(f"{where}: expected {kind} like {default!r}, found {value!r}.")
    return value


def _folder(package: str) -> Path:
    return ROOT / package.replace(".", "/")


@functools.cache
def _names(package: str) -> tuple[str, ...]:
    files = _folder(package).glob("*.py")
    return tuple(sorted(p.stem for p in files if not p.stem.startswith("_")))


@functools.cache  # asked of every part of ten thousand cells
def _source_hash(kind: Kind[Any], name: str, places: outside.Places) -> str:
    path, _ = kind.locate(name, name)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@functools.cache
def _declaration(kind: Kind[C], name: str, where: str, places: outside.Places) -> Declaration[C]:
    path, wanted = kind.locate(name, where)
    if wanted and wanted not in classes(path):  # a module is run only for a class that it has
        raise PluginError(_not_one(path, kind.contract, wanted, []))
    contract = kind.path, kind.contract
    lineages = {n: lineage(contract, path, n, places.all) for n in classes(path)}
    found = [n for n, line in lineages.items() if line and _is_wanted(n, wanted)]
    if not found:  # it may derive from a class that only importing it finds
        return _imported(kind, name, where)
    if len(found) != 1:
        raise PluginError(_not_one(path, kind.contract, wanted, found))
    steps = lineages[found[0]]
    fields = {f for file, node in steps if file == kind.path for f in assigned(node)}
    values: dict[str, Any] = {}
    for _, node in steps:
        for attribute, value in assigned(node).items():
            if attribute in fields:
                try:
                    values[attribute] = ast.literal_eval(value)
                except ValueError:
                    return _imported(kind, name, where)
    own = [node for file, node in steps if file != kind.path]
    summary = (ast.get_docstring(steps[-1][1]) or "").partition("\n")[0]
    if any(method in methods(node) for node in own for method in kind.asked):
        says = kind.load(name, where)
    else:
        says = _stand_in(kind, found[0], values)
    outside = tuple(dict.fromkeys(file for file, _ in steps if not _is_ours(file)))
    is_versioned = any("version" in assigned(node) for f, node in steps if f in outside)
    return Declaration(name, found[0], outside or (path,), values, says, is_versioned, summary)


def _stand_in(kind: Kind[C], class_name: str, values: Mapping[str, Any]) -> type[C]:
    """Return a class that says what a plug-in declares, and imports nothing that it imports.

    Where planning calls class methods of the contract, it has those too.
    """
    bases: tuple[type, ...] = ()
    if kind.asked:
        bases = (getattr(importlib.import_module(kind.module), kind.contract),)
    return type(class_name, bases, dict(values))


def _is_wanted(class_name: str, wanted: str | None) -> bool:
    return class_name == wanted if wanted else not class_name.startswith("_")


def _not_one(path: Path, contract: str, wanted: str | None, found: list[str]) -> str:
    named = f" named {wanted}" if wanted else ""
    listed = f": {', '.join(found)}" if found else ""
    wanted_class = f"one class{named} that derives from {contract}"
    return f"{path}: expected {wanted_class}, found {len(found)}{listed}."


def _imported(kind: Kind[C], name: str, where: str) -> Declaration[C]:
    """Read the declaration off the imported class."""
    path, _ = kind.locate(name, where)
    cls = kind.load(name, where)
    contract = classes(kind.path)
    names = [c.__name__ for c in cls.__mro__ if c.__module__ == kind.module]
    fields = {f for c in names for f in assigned(contract[c])}
    stated = any("version" in vars(c) for c in cls.__mro__ if _is_users(c))
    summary = (cls.__doc__ or "").partition("\n")[0]
    values = {f: getattr(cls, f) for f in fields}
    outside = [f for f in (_file_of(c) for c in cls.__mro__) if f and not _is_ours(f)]
    files = tuple(dict.fromkeys(outside)) or (path,)
    return Declaration(name, cls.__name__, files, values, cls, stated, summary)


def _file_of(cls: type) -> Path | None:
    """Return the file of a class that is a plug-in's own, not a library's."""
    module = sys.modules.get(cls.__module__)
    file = getattr(module, "__file__", None)
    is_library = file is None or "site-packages" in file or file.startswith(sys.base_prefix)
    return None if is_library else Path(str(file)).resolve()


def _is_users(cls: type) -> bool:
    file = _file_of(cls)
    return file is not None and not _is_ours(file)


def _is_ours(path: Path) -> bool:
    """Say whether a file is of this project's packages."""
    packages = (ROOT / "bench", ROOT / "baselines", ROOT / "reports")
    return any(path.resolve().is_relative_to(package) for package in packages)
