"""Whether the packages of the extra `export` are here."""

from __future__ import annotations

import importlib.util

from bench.errors import AbsentExtra


def need(*packages: str) -> None:
    """Refuse to go on without some packages.

    Raises:
        AbsentExtra: one of them is not installed; the message says how to install it.
    """
    for name in packages:
        if importlib.util.find_spec(name) is None:
            raise AbsentExtra(
                f"{name} is not installed; install it with: pip install 'distillbench[export]'."
            )
