"""What a file says of its classes, read without running it."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from bench.errors import PluginError

ROOT = Path(__file__).resolve().parents[2]

Name = tuple[Path, str]  # a class: its file and its name
Step = tuple[Path, ast.ClassDef]  # the same, as Python's own tree has it


@functools.cache
def tree(path: Path) -> ast.Module:
    """Return a file as Python reads it; of one that is not there, nothing.

    Raises:
        PluginError: the file is no Python.
    """
    if not path.is_file():
        return ast.Module(body=[], type_ignores=[])
    try:
        return ast.parse(path.read_text(encoding="utf-8"), str(path))
    except SyntaxError as error:
        raise PluginError(f"{path}:{error.lineno}: {error.msg}.") from error
    except ValueError as error:  # no UTF-8, or a null byte
        raise PluginError(f"{path}: no Python: {error}.") from error


def classes(path: Path) -> dict[str, ast.ClassDef]:
    """Return the top-level classes of a file."""
    return {node.name: node for node in tree(path).body if isinstance(node, ast.ClassDef)}


def lineage(
    contract: Name,
    path: Path,
    name: str,
    folders: tuple[Path, ...],
    seen: frozenset[tuple[Path, str]] = frozenset(),
) -> tuple[Step, ...]:
    """Return the classes from the contract down to one; empty where that cannot be read.

    It can where each class has one base, called by its plain name, that stands in the same file or
    is imported once: from this project, or from where users' modules lie. Python knows the rest.

    Args:
        contract: where the lineage begins.
        path: the file of the class.
        name: the class.
        folders: where users' modules lie, in the order in which an import looks for a name.
        seen: what has been asked on the way here.
    """
    if (path, name) in seen:
        return ()
    seen |= {(path, name)}
    here = [n for n in tree(path).body if isinstance(n, ast.ClassDef) and n.name == name]
    origins = [f for f in _imports(path, folders) if f[1] == name]
    if len(here) + len(origins) != 1:
        return ()
    if origins:
        return lineage(contract, origins[0][0], name, folders, seen)
    (node,) = here
    if (path, name) == contract:
        return ((path, node),)
    bases = [base.id for base in node.bases if isinstance(base, ast.Name)]
    is_added_to = any(isinstance(item, ast.AugAssign) for item in node.body)
    if is_added_to or len(node.bases) != 1 or len(bases) != 1:
        # a contract's own classes may have bases that declare nothing
        read = bases if path == contract[0] else []
        found = [lineage(contract, path, base, folders, seen) for base in read]
        above = next((line for line in found if line), ())
    else:
        above = lineage(contract, path, bases[0], folders, seen)
    return (*above, (path, node)) if above else ()


def _imports(path: Path, folders: tuple[Path, ...]) -> list[tuple[Path, str]]:
    """Return (file, name) of what a file imports by its own name from this project or a user's.

    A file in none of the folders is on Python's path, and so is what lies beside it.
    """
    is_users = any(path.is_relative_to(folder) for folder in folders)
    roots = [ROOT, *(folders if is_users else [path.parent])]
    found = []
    for node in tree(path).body:
        if isinstance(node, ast.ImportFrom) and node.level <= 1:
            module = (node.module or "").replace(".", "/")
            files = [
                root / file
                for root in ([path.parent] if node.level else roots)
                for file in (f"{module}.py", f"{module}/__init__.py")
            ]
            origin = next((file for file in files if file.is_file()), None)
            names = [n.name for n in node.names if n.asname in (None, n.name)]
            found += [(origin, name) for name in names] if origin and origin != path else []
            # under another name, or of a file that is nowhere: whoever is called so is not read
            others = [n.asname or n.name for n in node.names if n.name not in names or not origin]
            found += [(path.with_name(f"{n}: not read"), n) for n in others]
    return [(file, name) for file, name in found]


def assigned(node: ast.ClassDef) -> dict[str, ast.expr]:
    """Return the public class attributes that a class body gives a value."""
    found = {}
    for item in node.body:
        targets = item.targets if isinstance(item, ast.Assign) else [getattr(item, "target", None)]
        value = getattr(item, "value", None)
        for target in targets:
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
            for name, given in pairs:
                if isinstance(name, ast.Name) and isinstance(given, ast.expr):
                    found[name.id] = given
    return {name: value for name, value in found.items() if not name.startswith("_")}


def methods(node: ast.ClassDef) -> set[str]:
    """Return the names of the methods a class writes itself."""
    return {item.name for item in node.body if isinstance(item, ast.FunctionDef)}
