"""What methods find out of a teacher and all training inputs before the first step: found once.

It is kept in the store by content, so that cells that differ in the student alone, those of other
processes and resumed runs too, need no pass of their own. Processes that want the same at one time
wait for the first. A file that is damaged is computed again.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from torch import Tensor

from bench.contracts.dataset import fingerprint
from bench.contracts.distiller import Found, Inputs, Recall
from bench.contracts.network import Generator
from bench.errors import Damaged
from bench.plan.cell import Cell
from bench.plan.identity import identity
from bench.store.atomic import make_folder
from bench.store.layout import Store
from bench.train import checkpoint
from bench.train.decoded import code_of

CODE = (
    "contracts",
    "features",
    "losses",
    "maths",
    "nets",
    "tasks",
    "train",
)  # that has a part in it


class Again:
    """Inputs that can be gone through more than once."""

    def __init__(self, inputs: Callable[[], Iterable[Inputs]]) -> None:
        self.inputs = inputs

    def __iter__(self) -> Iterator[Inputs]:
        return iter(self.inputs())


class Prepared:
    """What a cell's methods may share with other cells.

    Its content is all that decides its bits: the inputs, teacher and method, and the code,
    processor, versions and flags that compute it.
    """

    def __init__(
        self,
        cell: Cell,
        store: Store,
        device: torch.device,
        inputs: object,
        flags: Mapping[str, Any],
    ) -> None:
        """Open what there is.

        Args:
            cell: whose methods ask.
            store: where it lies.
            device: where what is found is to be.
            inputs: JSON value that decides the inputs of each direction, `Batches.content`.
            flags: as `bench.train.device.configure` returns them.
        """
        self.store, self.device = store, device
        self.setting = [code_of(*CODE), inputs, dict(cell.numerics), dict(flags)]
        self.methods = {
            part.short: [part.name, part.version, part.source_hash()] for part in cell.methods
        }

    def of(self, method: str, direction: str, teacher: Generator) -> Recall:
        """Return how a method recalls what it finds in one direction of a teacher."""
        kind = type(teacher)
        source = [kind.__module__, kind.__name__, fingerprint(Path(inspect.getfile(kind)))]
        network = [*source, teacher.version, dict(teacher.params), teacher.width]
        content = [*self.setting, self.methods[method], direction, network]

        def recall(what: str, compute: Callable[[], Found]) -> Found:
            weights: dict[str, Tensor] = dict(teacher.state_dict())
            path = self.store.prepared(identity([*content, checkpoint.digest(weights), what]))
            make_folder(path.parent)
            with FileLock(path.with_suffix(".lock")):
                with contextlib.suppress(Damaged):
                    found, _ = checkpoint.load(path)
                    return {name: x.to(self.device) for name, x in found.items()}
                fresh = compute()
                checkpoint.save(path, fresh, {"method": method, "what": what})
                return fresh

        return recall
