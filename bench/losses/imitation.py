"""What distillers share whose student learns from its teacher alone."""

from __future__ import annotations

from bench.contracts.distiller import Distiller, Layout
from bench.errors import SuiteError


class Imitation(Distiller):
    """A student that keeps no original term, and compares images by VGG-16 among others.

    Its weights are the parameters `lambda_...`; `lambda_style` and `lambda_feature` are those of
    VGG-16. Where it has a parameter `teacher_every`, an online teacher moves at every so many
    steps.
    """

    weights_of = {"lambda_style": ("vgg16",), "lambda_feature": ("vgg16",)}

    def build(self, student: Layout, teacher: Layout) -> None:
        """Refuse parameters with which a player would never move.

        Raises:
            SuiteError: every weight is 0, or `teacher_every` is not positive.
        """
        name = type(self).__name__.lower()
        given = {n: weight for n, weight in self.params.items() if n.startswith("lambda_")}
        if not any(given.values()):
            raise SuiteError(
                f"{name}: every weight is 0 and no original term stays, so that the student would "
                f"never move: set one of {', '.join(given)}."
            )
        every = self.params.get("teacher_every", 1)
        if every < 1:
            raise SuiteError(f"{name}: teacher_every: should be at least 1: {every}.")

    def teacher_trains(self, step: int) -> bool:
        """Say whether an online teacher moves at this step."""
        return step % int(self.params.get("teacher_every", 1)) == 0
