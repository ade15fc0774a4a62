"""Where a suite has latents, the autoencoder whose codes they are: a cell of its own, or a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.contracts.dataset import Dataset
from bench.contracts.kinds import NETWORK
from bench.contracts.metric import Judge
from bench.errors import SuiteError, unknown
from bench.plan.cell import Cell, Latents
from bench.plan.files import beside, sha256_of
from bench.plan.scores import cell_of
from bench.plan.suite import Suite
from bench.plugins.registry import Part, conform

if TYPE_CHECKING:
    from bench.contracts.task import Task

LATENTS = "latents"  # key of a suite's `task`
ROLE = "autoencoder"


def latents_of(
    suite: Suite, task: type[Task], dataset: Part[Dataset], size: int, where: str
) -> Latents | None:
    """Return what takes the place of a data set's images; None: nothing does.

    `task: {latents: {}}` overlays what the task declares: `task`, `losses`, `network`, `width` and
    `params` of the autoencoder, its `steps`, `batch` and `lr`; or a `file` of its weights, relative
    to the suite, in place of training.

    Raises:
        SuiteError: which key or value is wrong, or that there is no such file.
    """
    given = suite.task.get(LATENTS)
    if given is None:
        return None
    where = f"{where}: task.{LATENTS}"
    if not task.latents:
        raise SuiteError(f"{where}: the task of {dataset.name} has none.")
    if suite.select.best_on_val:
        raise SuiteError(f"{where}: its students cannot be chosen by `best_on_val`.")
    if not isinstance(given, dict):
        raise SuiteError(f"{where}: expected keys, as in {{width: 32}}, found {given!r}.")
    row = conform(given, task.latents, {}, LATENTS, where)
    for name in ("width", "steps", "batch", "lr"):
        if not row[name] > 0:
            raise SuiteError(f"{where}: {name}: should be above 0, found {row[name]}.")
    declared = NETWORK.declaration(row["network"], where).says
    if declared.role != ROLE:
        known = [n for n in NETWORK.names() if NETWORK.declaration(n, n).says.role == ROLE]
        raise SuiteError(unknown(ROLE, row["network"], known, where))
    cell = _cell(row, dataset, size, where)
    file = beside(suite, row["file"], f"{where}: file") if row["file"] else None
    found = Latents(cell, str(file), sha256_of(file)) if file else Latents(cell)
    if size % found.factor:
        raise SuiteError(
            f"{where}: a code stands for {found.factor} x {found.factor} pixels, and {size} is no "
            "multiple: set `size`, or other `multiples` in `params`."
        )
    return found


def _cell(row: Mapping[str, Any], dataset: Part[Dataset], size: int, where: str) -> Cell:
    recipe = Judge(
        role=where,
        task=row["task"],
        task_params=row["losses"],
        network=row["network"],
        network_params=row["params"],
        width=row["width"],
        steps=row["steps"],
        batch=row["batch"],
        lr=row["lr"],
    )
    return cell_of(recipe, dataset, size)
