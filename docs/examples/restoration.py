"""Restoration: images from one pixel in four."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.task import Batch, Drawn, ReadTest, Task, Turn


class Restoration(Task):
    """L1 between an image and what was made of a random quarter of its pixels."""

    defaults = {"kept": 0.25, "beta1": 0.9, "beta2": 0.999}
    source = "an example"
    directions = {"restore": ("A", "A")}
    paired = True
    terms = ("l1",)
    drawn_by = ("kept",)

    def draw(self, size: int, rng: np.random.Generator) -> dict[str, Drawn]:
        mask = rng.random((1, size, size)) < self.params["kept"]
        return {"mask": mask.astype(np.float32)}

    def inputs(self, direction: str, batch: Batch) -> tuple[Tensor, ...]:
        return (batch["A"] * batch["mask"],)

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        trace = turn.traces["restore"]
        return {"l1": F.l1_loss(trace.output, trace.real)} if "l1" in turn.keeps else {}

    def item(
        self, read: ReadTest, direction: str, index: int, size: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        return {"A": read("A", index), "mask": Tensor(self.draw(size, rng)["mask"])}

    def shown(self, direction: str, items: Batch) -> dict[str, Tensor]:
        return {"input": items["A"] * items["mask"], "target": items["A"]}
