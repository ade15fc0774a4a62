"""`distillbench new`: a plug-in file to start from."""

from __future__ import annotations

import re
from pathlib import Path

from bench.contracts.kinds import METHOD
from bench.errors import SuiteError
from bench.plugins.source import ROOT


def new_distiller(name: str, folder: Path) -> tuple[Path, str]:
    """Write a commented distiller that works; return its file and class.

    Raises:
        SuiteError: the name is no Python name, or taken.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise SuiteError(f"{name!r}: a distiller's name is a file name like my_idea.")
    path = folder / f"{name}.py"
    if name in METHOD.names() or path.exists():
        raise SuiteError(f"{path}: there is a distiller of that name already.")
    text = (ROOT / "baselines" / "_template.py").read_text(encoding="utf-8")
    class_name = "".join(word.capitalize() for word in name.split("_"))
    text = text.replace("class Template(", f"class {class_name}(").replace(
        "`template:", f"`{name}:"
    )
    path.write_text(text, encoding="utf-8")
    return path, class_name
