"""The contract of a distiller: what it may ask for, and what it returns.

    L_overall = L_original + sum of the distiller's terms

The task computes the original losses; the distiller sees a `Trace`
of the student and one of the teacher and returns named loss terms. It never touches the data
loader, the schedule, MLflow or a device. A file in `baselines/` holds one distiller; the smallest
is `hinton.py`.

How each method of the papers fits is written down in `docs/distillers.md`. A sum such as
`wkd+gan_compression` adds the terms of both and keeps what both keep. On CycleGAN there is one
distiller per direction, each with its own parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from bench.contracts.network import Discriminator, Generator
from bench.errors import SuiteError

Inputs = tuple[Tensor, ...]  # of a generator, one after the other
Found = Mapping[str, Tensor]
Recall = Callable[[str, Callable[[], Found]], Found]
Look = Callable[[Tensor, Sequence[str]], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Trace:
    """What one generator did with one batch, in one direction. Images are float32 in [-1, 1]."""

    input: Tensor  # [N, 3, S, S]
    output: Tensor  # [N, 3, S, S]
    hints: Mapping[str, Tensor]  # role -> [N, C, H, W]
    real: Tensor  # [N, 3, S, S] of the output's domain: the ground truth where data are paired
    paired: bool  # whether `real` is the ground truth of `input`
    discriminator: Discriminator | None  # of the same player; judges outputs of this direction
    gan: str = "lsgan"  # kind of the adversarial game, of `bench.losses.gan.LOSSES`; "": none
    batch: Mapping[str, Tensor] = field(default_factory=dict)  # all of it, and what was drawn
    look: Look | None = None
    """What the same generator sees in other images, where its task lets methods ask: images
    [N, 3, S, S] in [-1, 1] and roles -> hints. Gradients flow to the images."""

    def judge(
        self, image: Tensor, hints: Sequence[str] = ()
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Return float32 logits and features of the discriminator for an image [N, 3, S, S].

        On paired data it sees input and image together (6 channels), as Pix2Pix's does.
        """
        if self.discriminator is None:
            raise ValueError("this player has no discriminator: its method does not keep `gan`.")
        seen = torch.cat([self.input, image], 1) if self.paired else image
        logits, found = self.discriminator(seen, hints)
        return [x.float() for x in logits], {role: x.float() for role, x in found.items()}

    def to_float(self) -> Trace:
        """Return the same trace in float32, which is what losses are computed in."""
        hints = {role: feature.float() for role, feature in self.hints.items()}
        return replace(self, output=self.output.float(), hints=hints)

    def detached(self) -> Trace:
        """Return the same trace without its graph."""
        hints = {role: feature.detach() for role, feature in self.hints.items()}
        return replace(self, output=self.output.detach(), hints=hints)


class Layout(NamedTuple):
    """Shapes that adapters are built from."""

    hints: Mapping[str, tuple[int, int, int]]  # role -> (C, H, W)
    size: int  # image side
    judged_channels: int  # what a discriminator sees: 6 where data are paired, else 3; 0: none


class Side(NamedTuple):
    """One player's networks in one direction."""

    generator: Generator
    discriminator: Discriminator | None


class Distiller(nn.Module):
    """What a student is asked besides its original task.

    A subclass must define `terms`, and should declare `source` and `defaults`. All that follows
    is optional. Declarations are literals; `params` are the defaults overlaid by the suite. By its
    parameters an instance may keep less (`keeps`) and take fewer kinds of teachers (`teachers`).
    """

    defaults: ClassVar[Mapping[str, Any]] = {}  # parameters a suite may set
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}  # what a parameter may be
    version: ClassVar[int] = 1  # raise it when the method's numbers change
    source: ClassVar[str] = ""  # paper and equation
    port: ClassVar[str] = ""  # "port of a ... method", where the paper treats another problem
    strength: ClassVar[Sequence[str]] = ()  # parameters that tuning multiplies, all by one number
    tasks: ClassVar[Sequence[str] | None] = ("paired", "unpaired")  # elsewhere skipped; None: all
    elsewhere: ClassVar[Mapping[str, str]] = {}  # another task -> why it has no meaning there
    teachers: Sequence[str] = ("frozen", "same", "assistant", "peers", "online")
    hints: Sequence[str] = ()  # roles of the features `terms` reads
    keeps: Sequence[str] | None = None  # original terms that stay; None: all of them
    deeper: ClassVar[bool] = False  # whether it has `deeper_terms`
    teacher_judges: ClassVar[bool] = False  # whether its terms ask the teacher's discriminator
    weights_of: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Parameter -> pretrained networks of `bench/fetch/weights.py` that it needs unless it is 0."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__()
        self.params = params

    @property
    def weights(self) -> Sequence[str]:
        """Pretrained networks of `bench/fetch/weights.py` that it needs with its parameters."""
        names = [n for p, networks in self.weights_of.items() if self.params[p] for n in networks]
        return tuple(dict.fromkeys(names))

    def build(self, student: Layout, teacher: Layout) -> None:
        """Create the distiller's own modules; their random draws are seeded by the caller.

        Parameters that require a gradient go to the student's optimiser, except those that
        `discriminator_parameters` yields.
        """

    def check(self, student: Side, teacher: Side, batch: int) -> None:
        """Refuse, before anything is trained, what the method cannot work with.

        The networks are there for this call only and have no weights (torch's meta device).

        Args:
            student: its networks in one direction.
            teacher: those of its teacher.
            batch: images in a step.

        Raises:
            SuiteError: what does not fit, and what to change.
        """

    def prepare(self, student: Side, teacher: Side, inputs: Iterable[Inputs]) -> None:
        """Look at the training inputs once before the first step, without gradients.

        All networks are in evaluation mode, and torch's random state is seeded.
        May fill own buffers and set the student's weights; `inputs` are what generators are fed,
        batch by batch, of the whole training split in a fixed order: on translation a tuple of one
        tensor [N, 3, S, S] in [-1, 1]. They may be gone through again, and cost nothing until then.
        """

    def recall(self, what: str, compute: Callable[[], Found]) -> Found:
        """Return what `compute` finds, in `prepare`, of the teacher's generator and all inputs.

        It is computed once for all students of a teacher, and its bits are the same each time:
        `compute` may look at nothing else, draws nothing at random and need not be called.

        Args:
            what: names it, with every parameter and role on which it depends.
            compute: returns tensors by name, on the inputs' device.
        """
        return compute()

    def begin(self, stage: str, student: Side, teacher: Side) -> None:
        """Get ready for a stage of the task after its first, as `prepare` does for all of them.

        May set the student's weights; what it needs of the training inputs has to be in a buffer.
        """

    def terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return the weighted loss terms of one batch in one direction, each a scalar.

        The teacher's trace has no graph. With several teachers (peers) the terms are averaged.
        Values of tensors stay where they are: a loss that asks for one (`.item()`, `if x > 0`) has
        the host wait for the device at every step, and cannot be captured as a CUDA graph.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no terms().")

    def deeper_terms(self, student: Trace, deeper: Trace) -> dict[str, Tensor]:
        """Return the terms of a second online teacher, which are added to those of the first.

        Its trace has no graph and no hints.
        """
        return {}

    def facts(self) -> Mapping[str, Any]:
        """Return what the method found out, as JSON values, for the cell's result and its row.

        Asked once, when training has ended; a resumed run asks too, so what `prepare` found has
        to be in a buffer. One fact has a meaning of its own: `untrained`, why the student counts
        as not trained (bench/contracts/verdict.py).
        """
        return {}

    def study(self, student: Side, teacher: Side, inputs: Iterable[Inputs]) -> Mapping[str, Any]:
        """Return facts that take another look at networks and inputs once training has ended.

        They stand beside `facts` and need no buffer. Networks are in evaluation mode, gradients
        are off, and `inputs` are those of `prepare`.
        """
        return {}

    def discriminator_terms(self, student: Trace, teacher: Trace) -> dict[str, Tensor]:
        """Return terms for the turn of the discriminator of an online teacher; no graphs."""
        return {}

    def discriminator_parameters(self) -> Iterable[nn.Parameter]:
        """Yield own parameters that the optimiser of the online teacher's discriminator moves."""
        return ()

    def teacher_trains(self, step: int) -> bool:
        """Say whether an online teacher moves at this step.

        Where a suite has it alternate with its students, it moves if it is its turn besides.
        """
        return True


def check_grids(hints: Iterable[str], student: Layout, teacher: Layout) -> None:
    """Refuse hints that cannot be compared position by position.

    Raises:
        SuiteError: a role has another height or width in the teacher.
    """
    for role in hints:
        grids = student.hints[role][1:], teacher.hints[role][1:]
        if grids[0] != grids[1]:
            raise SuiteError(
                f"the hint {role!r} is {grids[0][0]} x {grids[0][1]} in the student and "
                f"{grids[1][0]} x {grids[1][1]} in the teacher: choose architectures that agree."
            )
