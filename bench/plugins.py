"""A plug-in is found by its file name; what it declares is read without running it.

Each kind of plug-in has a folder and a contract class. A file in the folder holds one class that
derives from the contract; `some_module:SomeClass` names a user's own, which needs no fork. What a
class declares as literals (`defaults`, `version`, `hints`, ...) is read from its source text, so
that planning ten thousand cells imports no torch; a declaration that is not a literal is read by
importing the file instead.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import PluginError, SuiteError, unknown

ROOT = Path(__file__).resolve().parent.parent

# kind -> (package that holds the files, module of the contract, the contract's class)
KINDS = {
    "method": ("baselines", "bench.distiller", "Distiller"),
    "task": ("bench.tasks", "bench.task", "Task"),
    "network": ("bench.nets", "bench.network", "Network"),
    "dataset": ("bench.data", "bench.dataset", "Dataset"),
    "metric": ("bench.metrics", "bench.metric", "Metric"),
    "features": ("bench.features", "bench.feature", "Extractor"),
    "segmenter": ("bench.segmenters", "bench.segmenter", "Segmenter"),
    "report": ("reports", "bench.report", "Report"),
}


@dataclass(frozen=True)
class Declaration:
    """What one plug-in says of itself, as plain data."""

    kind: str
    name: str  # file name, or `module:Class`
    class_name: str
    path: Path
    fields: Mapping[str, Any]  # the contract's class attributes, overlaid by the plug-in's own
    is_versioned: bool  # whether the plug-in itself states a version
    summary: str  # first line of the docstring

    def __getitem__(self, field: str) -> Any:
        """Return one declared field."""
        return self.fields[field]

    @property
    def version(self) -> int | str:
        """The number that a change of results must raise.

        A file outside this project that declares no version is versioned by its content: while a
        method is being invented, each edit of it is another method.
        """
        if ":" in self.name and not self.is_versioned:
            return hashlib.sha256(self.path.read_bytes()).hexdigest()[:12]
        version: int = self.fields["version"]
        return version

    def params(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return the plug-in's defaults overlaid by `given`, checked for name, type and choice.

        Raises:
            SuiteError: a name the plug-in does not have, or a value of another type than the
                default, or outside the declared choices.
        """
        defaults, choices = self.fields["defaults"], self.fields["choices"]
        for name, value in given.items():
            if name not in defaults:
                raise SuiteError(unknown(f"parameter of {self.name}", name, defaults, where))
            if name in choices and value not in choices[name]:
                raise SuiteError(
                    unknown(f"{name} of {self.name}", str(value), map(str, choices[name]), where)
                )
        return {
            name: _conform(given[name], default, f"{where}: {name} of {self.name}")
            if name in given
            else default
            for name, default in defaults.items()
        }


def _conform(value: Any, default: Any, where: str) -> Any:
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


def look_beside(suite: Path | str) -> None:
    """Let a suite name modules that lie beside it or in the present folder."""
    for folder in (str(Path(suite).resolve().parent), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.insert(0, folder)


@functools.cache
def names(kind: str) -> tuple[str, ...]:
    """Return the names of all plug-ins of one kind that come with the project."""
    folder = ROOT / KINDS[kind][0].replace(".", "/")
    return tuple(sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_")))


@functools.cache
def declared(kind: str, name: str, where: str) -> Declaration:
    """Return what a plug-in declares, if possible without importing it.

    Raises:
        SuiteError: no such plug-in; the message names the closest and lists all.
        PluginError: the file holds none or several classes of the contract.
    """
    path, wanted = _locate(kind, name, where)
    _, contract_module, contract = KINDS[kind]
    contracts = _classes(ROOT / (contract_module.replace(".", "/") + ".py"))
    own = _classes(path)
    lineages = {n: _lineage(n, {**contracts, **own}, contract) for n in own}
    found = [n for n, line in lineages.items() if line and _is_wanted(n, wanted)]
    if not found:  # it may derive from a class of some third file
        return _imported(kind, name, where)
    if len(found) != 1:
        raise PluginError(_not_one(path, contract, wanted, found))
    lineage = lineages[found[0]]
    fields = {f for c in lineage if c in contracts for f in _assigned(contracts[c])}
    values: dict[str, Any] = {}
    for cls in lineage:
        for field, node in _assigned({**contracts, **own}[cls]).items():
            if field in fields:
                try:
                    values[field] = ast.literal_eval(node)
                except ValueError:
                    return _imported(kind, name, where)
    stated = {f for c in lineage if c in own for f in _assigned(own[c])}
    summary = (ast.get_docstring(own[found[0]]) or "").partition("\n")[0]
    return Declaration(kind, name, found[0], path, values, "version" in stated, summary)


@functools.cache
def source_hash(kind: str, name: str) -> str:
    """Return 12 hex digits of the sha256 of a plug-in's file."""
    path, _ = _locate(kind, name, name)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def load(kind: str, name: str, where: str) -> type[Any]:
    """Import one plug-in and return its class.

    Raises:
        SuiteError: no such plug-in.
        PluginError: the file cannot be imported or does not hold the one class it should.
    """
    path, wanted = _locate(kind, name, where)
    package, contract_module, contract = KINDS[kind]
    base = getattr(importlib.import_module(contract_module), contract)
    module_name = name.partition(":")[0] if wanted else f"{package}.{name}"
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a user's own module does
        said = f"{type(error).__name__}: {error}"
        raise PluginError(f"{where}: {path} cannot be imported: {said}.") from error
    found = [
        m
        for m in vars(module).values()
        if inspect.isclass(m)
        and m.__module__ == module_name
        and issubclass(m, base)
        and _is_wanted(m.__name__, wanted)
    ]
    if len(found) != 1:
        raise PluginError(_not_one(path, contract, wanted, [m.__name__ for m in found]))
    return found[0]


def _is_wanted(class_name: str, wanted: str | None) -> bool:
    return class_name == wanted if wanted else not class_name.startswith("_")


def _not_one(path: Path, contract: str, wanted: str | None, found: list[str]) -> str:
    named = f" named {wanted}" if wanted else ""
    listed = f": {', '.join(found)}" if found else ""
    wanted_class = f"one class{named} that derives from {contract}"
    return f"{path}: expected {wanted_class}, found {len(found)}{listed}."


def _locate(kind: str, name: str, where: str) -> tuple[Path, str | None]:
    """Return a plug-in's file and, for a user's own, the name of its class."""
    if ":" not in name:
        if name not in names(kind):
            raise SuiteError(unknown(kind, name, names(kind), where))
        return ROOT / KINDS[kind][0].replace(".", "/") / f"{name}.py", None
    module, _, wanted = name.partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise SuiteError(
            f"{where}: {kind} {name!r}: no module {module!r} beside the suite, in this folder or "
            "on PYTHONPATH."
        )
    return Path(spec.origin), wanted


@functools.cache
def _classes(path: Path) -> dict[str, ast.ClassDef]:
    """Return the top-level classes of a file."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        raise PluginError(f"{path}:{error.lineno}: {error.msg}.") from error
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _lineage(name: str, classes: Mapping[str, ast.ClassDef], contract: str) -> tuple[str, ...]:
    """Return the classes from the contract down to `name`; empty where it does not derive."""
    if name == contract:
        return (name,)
    if name in classes:
        for base in classes[name].bases:
            parent = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
            above = _lineage(parent, classes, contract) if parent != name else ()
            if above:
                return (*above, name)
    return ()


def _assigned(node: ast.ClassDef) -> dict[str, ast.expr]:
    """Return the public class attributes that a class body gives a value."""
    found = {}
    for item in node.body:
        targets = item.targets if isinstance(item, ast.Assign) else [getattr(item, "target", None)]
        value = getattr(item, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(value, ast.expr):
                found[target.id] = value
    return {name: value for name, value in found.items() if not name.startswith("_")}


def _imported(kind: str, name: str, where: str) -> Declaration:
    """Read the declaration off the imported class."""
    path, _ = _locate(kind, name, where)
    cls = load(kind, name, where)
    contract = _classes(ROOT / (KINDS[kind][1].replace(".", "/") + ".py"))
    lineage = [c.__name__ for c in cls.__mro__ if c.__name__ in contract]
    fields = {f for c in lineage for f in _assigned(contract[c])}
    stated = any("version" in vars(c) for c in cls.__mro__ if c.__module__ != KINDS[kind][1])
    summary = (cls.__doc__ or "").partition("\n")[0]
    values = {f: getattr(cls, f) for f in fields}
    return Declaration(kind, name, cls.__name__, path, values, stated, summary)
