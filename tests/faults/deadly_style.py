"""A method of style transfer in whose course all processes of the run die, where a test says."""

from __future__ import annotations

import math
import os
import signal
from collections import Counter
from typing import Any

from torch import Tensor

from baselines.pca_kd_style import PCAKDStyle
from bench.contracts.distiller import Trace
from bench.train import loop

loop.CHECKPOINT_SHARE = math.inf  # each step leaves a file, however long that takes
PLACE = "DEADLY_PLACE"  # variable: "bases", or a stage of training
STEP = 2  # of the stage


class Deadly(PCAKDStyle):
    """PCA-KD, killed while it derives its bases or within a stage."""

    def derive(self, role: str, *given: Any) -> None:
        """Die after the third level's basis."""
        super().derive(role, *given)
        if role == "relu3":
            die_in("bases")

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Die before the second step of a stage."""
        (role,) = student.hints
        self.steps = getattr(self, "steps", Counter())
        self.steps[role] += 1
        if self.steps[role] == STEP:
            die_in(role.replace("relu", "block"))
        return super().terms(student, teacher)


def die_in(place: str) -> None:
    """Kill this process and all others of the run, if that is the place."""
    if os.environ.get(PLACE) == place:
        os.killpg(0, signal.SIGKILL)
