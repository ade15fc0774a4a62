"""What methods of style transfer share: a source's levels, taught one pair of blocks at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Inputs, Layout, Side, Trace
from bench.errors import SuiteError
from bench.losses.closed_form import check_start, start_block
from bench.losses.eigenbases import EigenbasisDistiller
from bench.maths.pca import centred

EXAMPLES = 48  # images that a closed-form start is fitted on
RECENT = 0.05  # weight of the present batch in what is told of training


class BlockDistiller(EigenbasisDistiller):
    """Terms of the pair of blocks in training: its level's features, and the image's in the source.

    The perceptual term is left out at the first level, as in PCA-KD's code. Whoever derives from
    this says how far two features are apart (`feature_distance`).

    Facts, per level, beside those of the eigenbasis: `relative`, the distance of the features over
    the source's variance, a mean over the last steps; `floor`, what is lost in the basis alone;
    `live`, how many of the student's channels were above zero anywhere of late.
    """

    tasks = ("style",)
    teachers = ("frozen",)
    hints = ("relu1", "relu2", "relu3", "relu4")
    stages = ("block1", "block2", "block3", "block4")
    examples: Tensor  # [48, 3, S / 2, S / 2] uint8, what a closed-form start is fitted on

    def build(self, student: Layout, teacher: Layout) -> None:
        """Make room for the bases and the facts.

        Raises:
            SuiteError: a level of the student has more channels than the source's.
        """
        for role in self.hints:
            mine, theirs = student.hints[role][0], teacher.hints[role][0]
            if mine > theirs:
                raise SuiteError(
                    f"the level {role!r} has {mine} channels in the student and {theirs} in the "
                    "source model; choose a student that is no wider."
                )
            self.make_room(role, theirs, mine)
            self.register_buffer(f"relative_{role}", torch.zeros(()))
            self.register_buffer(f"active_{role}", torch.ones(mine))
        if self.params["start"] == "closed_form":
            side = student.size // 2
            self.register_buffer("examples", torch.zeros(EXAMPLES, 3, side, side).byte())

    def check(self, student: Side, teacher: Side, batch: int) -> None:
        """Refuse networks that the start does not fit."""
        if self.params["start"] == "closed_form":
            check_start(student.generator, teacher.generator)

    def prepare(self, student: Side, teacher: Side, inputs: Iterable[Inputs]) -> None:
        """Derive the bases over all training images; start the student in closed form if asked.

        Raises:
            DataError: a level is constant over space in every image.
        """
        source: Any = teacher.generator

        def maps(batch: Inputs) -> dict[str, Tensor]:
            features = source.encode((batch[0] + 1) / 2).features
            return dict(zip(self.hints, features, strict=True))

        kept = _Reservoir()
        for images, *_ in inputs:
            kept.add(images)
        self.look(inputs, maps)
        if self.params["start"] == "closed_form":
            self.examples = kept.crops().add(1).mul(127.5).round().byte()
            for level in range(len(self.hints)):
                self._start(level, student, teacher)

    def begin(self, stage: str, student: Side, teacher: Side) -> None:
        """Start the blocks of a later stage anew, now that those before have been trained."""
        if self.params["start"] == "closed_form":
            self._start(self.stages.index(stage), student, teacher)

    def _start(self, level: int, student: Side, teacher: Side) -> None:
        role, images = self.hints[level], self.examples.float().div(127.5).sub(1)
        basis = self.start_basis(role)
        below = self.start_basis(self.hints[level - 1]) if level else None
        start_block(student.generator, teacher.generator, level, basis, images, below)
        self.settle(role, student, teacher, images)

    def settle(self, role: str, student: Side, teacher: Side, images: Tensor) -> None:
        """Start own modules of a level, after the student's was started on images."""

    def start_basis(self, role: str) -> Tensor:
        """Return the basis that a closed-form start aims at, [C_t, C_s]."""
        return self.basis(role)

    def feature_distance(self, role: str, mine: Tensor, theirs: Tensor) -> Tensor:
        """Return how far the features of a level are apart, a scalar."""
        raise NotImplementedError

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return `features` and `perceptual` of the level in training."""
        (role,) = student.hints
        mine, theirs = student.hints[role], teacher.hints[role]
        distance = self.feature_distance(role, mine, theirs)
        self._follow(role, distance, mine, theirs)
        found = {"features": self.params["weight"] * distance}
        if role != self.hints[0]:
            assert teacher.look is not None  # of the task that these methods are for
            again = teacher.look(student.output, (role,))[role]
            found["perceptual"] = self.params["perceptual_weight"] * F.mse_loss(again, theirs)
        return found

    def facts_of(self, role: str) -> dict[str, Any]:
        """Return what was found out of one level."""
        live = int((self.get_buffer(f"active_{role}") > RECENT / 2).sum())
        relative = self.get_buffer(f"relative_{role}").item()
        floor = 1 - self.get_buffer(f"kept_{role}").item()
        found = super().facts_of(role)
        return found | {"relative": round(relative, 4), "floor": round(floor, 4), "live": live}

    @torch.no_grad()
    def _follow(self, role: str, distance: Tensor, mine: Tensor, theirs: Tensor) -> None:
        """Keep in mind how the level does of late."""
        relative = distance.detach() / centred(theirs).square().mean()
        known = self.get_buffer(f"relative_{role}")
        known.copy_(torch.where(known == 0, relative, known.lerp(relative, RECENT)))
        active = (mine.amax((0, 2, 3)) > 0).float()
        self.get_buffer(f"active_{role}").lerp_(active, RECENT)


class _Reservoir:
    """A random sample of images that pass, each as likely as any other."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []
        self.count = 0

    def add(self, images: Tensor) -> None:
        """Take up some of [N, 3, S, S]."""
        for image in images:
            self.count += 1
            if len(self.images) < EXAMPLES:
                self.images.append(image)
                continue
            place = int(torch.randint(self.count, ()))
            if place < EXAMPLES:
                self.images[place] = image

    def crops(self) -> Tensor:
        """Return 48 random crops, [48, 3, S / 2, S / 2]; of few images several each."""
        found = []
        for number in range(EXAMPLES):
            image = self.images[number % len(self.images)]
            side = image.shape[-1] // 2
            top, left = (int(torch.randint(image.shape[-1] - side + 1, ())) for _ in range(2))
            found.append(image[:, top : top + side, left : left + side])
        return torch.stack(found)
