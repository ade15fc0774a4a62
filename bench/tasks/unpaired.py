"""Unpaired translation: CycleGAN, both directions at once."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from bench.contracts.task import Turn
from bench.losses.gan import generator_loss
from bench.tasks._translation import Translation


class Unpaired(Translation):
    """A to B and B to A without ground truth: LSGAN + 10 cycle + 0.5 * 10 identity.

    Generators move before discriminators; each discriminator also sees a pool of 50 earlier
    images. Terms are summed over the two directions.
    """

    defaults = {
        "gan": "lsgan",
        "discriminator": "patchgan",
        "lambda_cycle": 10.0,
        "lambda_identity": 0.5,  # times lambda_cycle
        "pool": 50,
        "beta1": 0.5,
        "beta2": 0.999,
    }
    choices = {"gan": ("lsgan", "vanilla", "hinge")}
    source = "Zhu et al., ICCV 2017; options as in WKD's logs"
    directions = {"AtoB": ("A", "B"), "BtoA": ("B", "A")}
    stages = {
        "train": {"generator": ("generator",), "discriminator": ("discriminator",)},
    }
    terms = ("gan", "cycle", "identity")

    def generator_terms(self, turn: Turn) -> dict[str, Tensor]:
        """Return the kept ones of gan, cycle and identity."""
        cycle = self.params["lambda_cycle"]
        weight = {"gan": 1.0, "cycle": cycle, "identity": cycle * self.params["lambda_identity"]}
        wanted = [name for name in self.terms if name in turn.keeps and weight[name]]
        found: dict[str, list[Tensor]] = {name: [] for name in wanted}
        generators = turn.networks["generator"]
        for direction, back in (("AtoB", "BtoA"), ("BtoA", "AtoB")):
            trace = turn.traces[direction]
            if "gan" in wanted:
                logits, _ = trace.judge(trace.output)
                found["gan"].append(generator_loss(self.params["gan"], logits))
            if "cycle" in wanted:
                restored, _ = generators[back](trace.output)
                found["cycle"].append(F.l1_loss(restored, trace.input))
            if "identity" in wanted:
                same, _ = generators[direction](trace.real)
                found["identity"].append(F.l1_loss(same, trace.real))
        return {name: weight[name] * (a + b) for name, (a, b) in found.items()}
