"""Distillers and metrics of a user, for tests that run them through the command line."""

from __future__ import annotations

import os
import signal

from torch import Tensor

from bench.contracts.distiller import Distiller, Trace
from bench.contracts.metric import ImageMetric


class Gentle(Distiller):
    """A method outside the repository: the distance of the two images' means."""

    defaults = {"weight": 1.0}
    source = "nobody"

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return one term."""
        difference = student.output.mean((2, 3)) - teacher.output.mean((2, 3))
        return {"mean": self.params["weight"] * difference.abs().mean()}


class Raises(Gentle):
    """A method with a bug."""

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Fail."""
        raise RuntimeError("a bug of mine | with <b>markup</b> & 100 %")


class Dies(Gentle):
    """A method that takes its whole process with it, as a lack of memory would."""

    tasks = ("paired",)

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Die."""
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


class Broken(ImageMetric):
    """A metric that fails unless a file says that it was mended."""

    label = "broken"
    better = "lower"

    def add(self, output: Tensor, target: Tensor) -> None:
        """Fail, or not."""
        if not os.environ.get("MENDED"):
            raise ZeroDivisionError("not mended")

    def value(self) -> dict[str, float]:
        """Return a constant."""
        return {"broken": 1.0}
