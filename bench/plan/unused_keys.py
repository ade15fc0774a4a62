"""Keys of a suite that none of its tasks has a use for are refused, and tasks that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from bench.errors import PluginError, SuiteError, unknown
from bench.plan.latents import LATENTS
from bench.plan.suite import Suite

if TYPE_CHECKING:
    from bench.contracts.task import Task


PROTOCOL = {"split", "direction", "images", "size", "resize", "output", "mode", "checkpoint"}
PROTOCOL |= {"real", "features", "real images", "labels", "segmenter", "weights"}
PROTOCOL |= {"autoencoder", "scale"}


def check_tasks(tasks: Mapping[str, type[Task]]) -> None:
    """Refuse a task that cannot be planned.

    Raises:
        PluginError: what its declaration lacks.
    """
    for name, task in tasks.items():
        lacks = ""
        if not task.directions:
            lacks = "declares no directions"
        elif any(not source for source, _ in task.directions.values()):
            lacks = "" if "samples" in task.outputs else "makes images from noise, but no `samples`"
        if "discriminator" in task.networks and "discriminator" not in task.defaults:
            lacks = "has an adversary, but no parameter `discriminator`"
        if strange := set(task.networks) - {"generator", "discriminator"}:
            lacks = f"has a network {min(strange)!r}; there are generator and discriminator"
        if taken := set(task.outputs) & PROTOCOL:
            lacks = f"has a choice of outputs {min(taken)!r}, which every protocol has"
        if lacks:
            raise PluginError(f"task {name} {lacks}.")


def check_keys(suite: Suite, tasks: Mapping[str, type[Task]], where: str) -> None:
    """Refuse keys for which no task of the suite has a use.

    Raises:
        SuiteError: which key, and which there are.
    """
    known = {p for task in tasks.values() for p in task.defaults}
    known |= {LATENTS for task in tasks.values() if task.latents}
    for name in suite.task:
        if name not in known:
            raise SuiteError(unknown("parameter of the task", name, known, f"{where}: task"))
    stages = {stage for task in tasks.values() for stage in task.stages}
    for name in suite.stages:
        if name not in stages:
            raise SuiteError(unknown("stage", name, stages, f"{where}: stages"))
    choices = {name for task in tasks.values() for name in task.outputs}
    for name in suite.outputs:
        if name not in choices:
            raise SuiteError(unknown("choice", name, choices, f"{where}: outputs"))
    given = suite.model_fields_set, suite.teacher.model_fields_set if suite.teacher else set()
    if not any("discriminator" in task.networks for task in tasks.values()):
        for prefix, name, fields in (
            ("", "discriminator_widths", given[0]),
            ("teacher.", "discriminator_width", given[1]),
        ):
            if name in fields:
                said = " and ".join(tasks)
                raise SuiteError(
                    f"{where}: {prefix}{name}: nobody discriminates in {said}; remove the key."
                )
