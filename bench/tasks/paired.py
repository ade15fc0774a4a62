"""Paired translation: Pix2Pix, and Pix2PixHD's recipe when its generator is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.task import Turn
from bench.losses.gan import generator_loss
from bench.losses.perceptual import VGG19Loss
from bench.tasks._translation import Translation


class Paired(Translation):
    """A to B with a ground truth: L_G = GAN + lambda_l1 L1 + lambda_fm FM + lambda_vgg VGG.

    Pix2Pix is the default: vanilla GAN, L1 100, the discriminator sees input and image together,
    no image pool, discriminator before generator (`order`); Pix2PixHD and the distillers of GAN
    Compression, OMGD and DCD take both gradients from one state (`simultaneous`). FM is Pix2PixHD's
    feature matching: the mean over scales of the summed L1 distances between the discriminator's
    hidden features of the generated and the real image (weights 4 / (n_layers + 1) = 1).
    """

    defaults = {
        "gan": "vanilla",
        "discriminator": "patchgan",
        "lambda_l1": 100.0,
        "lambda_fm": 0.0,
        "lambda_vgg": 0.0,
        "beta1": 0.5,
        "beta2": 0.999,
        "order": "discriminator first",
    }
    choices = {
        "gan": ("lsgan", "vanilla", "hinge"),
        "order": ("discriminator first", "simultaneous"),
    }
    source = "Isola et al., CVPR 2017; Wang et al., CVPR 2018"
    directions = {"AtoB": ("A", "B")}
    stages = {
        "train": {"discriminator": ("discriminator",), "generator": ("generator",)},
    }
    paired = True
    terms = ("gan", "l1", "fm", "vgg")
    adversarial = ("gan", "fm")
    weights_of = {"lambda_vgg": ("vgg19",)}

    @property
    def simultaneous(self) -> bool:
        """As `order` says."""
        return bool(self.params["order"] == "simultaneous")

    def generator_terms(self, turn: Turn) -> dict[str, Tensor]:
        """Return the kept ones of gan, l1, fm and vgg."""
        (trace,) = turn.traces.values()
        weight: Mapping[str, Any] = {"gan": 1.0} | {
            name: self.params[f"lambda_{name}"] for name in ("l1", "fm", "vgg")
        }
        wanted = [name for name in self.terms if name in turn.keeps and weight[name]]
        found = {}
        if "gan" in wanted or "fm" in wanted:
            taps = tuple(trace.discriminator.taps) if trace.discriminator else ()
            logits, fake = trace.judge(trace.output, taps if "fm" in wanted else ())
            if "gan" in wanted:
                found["gan"] = generator_loss(self.params["gan"], logits)
            if "fm" in wanted:
                with torch.no_grad():
                    _, real = trace.judge(trace.real, taps)
                distances = torch.stack([F.l1_loss(fake[tap], real[tap]) for tap in taps])
                found["fm"] = distances.sum() / len(logits)
        if "l1" in wanted:
            found["l1"] = F.l1_loss(trace.output, trace.real)
        if "vgg" in wanted:
            found["vgg"] = VGG19Loss.on(trace.output.device)(trace.output, trace.real)
        return {name: weight[name] * value for name, value in found.items()}
