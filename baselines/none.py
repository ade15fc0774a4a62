"""No distillation: the student alone, the control of every table."""

from __future__ import annotations

from torch import Tensor

from bench.contracts.distiller import Distiller, Trace


class NoDistillation(Distiller):
    """The student trains by its original losses only."""

    source = "the `origin student` row of WKD, FESD and others"
    tasks = None
    teachers = ()

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return nothing to add."""
        return {}
