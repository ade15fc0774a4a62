"""The contract of a task: what is trained, by which original losses, and how test outputs are made.

A task answers, for any kind of generator:

* What is one training example (`example`), and what is drawn at random with it, once for the
  teacher and every cell of a cohort (`draw`)?
* Which networks does a player have (`networks`), and which of them moves in which turn of which
  stage (`stages`), by which optimiser (`optimiser`)?
* What are the ORIGINAL losses of a turn (`losses`)? What is averaged over steps (`average`)?
* What is a test output made from (`item`), how (`make`, with the suite's `outputs`), and what is
  it held against (`truth`, `real`)?

The loop optimises; the distiller adds its own terms. What a task declares as literals is read
without importing it. `bench/tasks/` holds one task per file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.contracts.distiller import Trace
from bench.contracts.image import Pixels
from bench.errors import SuiteError
from bench.maths.crop import Crop

Batch = Mapping[str, Tensor]  # domain -> [N, 3, S, S] float32 in [-1, 1]; and what was drawn
Networks = Mapping[str, Any]  # "generator", "discriminator" -> direction -> network
Drawn = NDArray[np.float32] | NDArray[np.int64]
Read = Callable[[str, int], Pixels]  # domain, index -> a training image
ReadTest = Callable[[str, int], Tensor]  # domain, index -> an image [3, S, S] in [-1, 1]


class Memory(Protocol):
    """What a player remembers from step to step, besides its networks."""

    def draw(self, turn: str, count: int, rng: np.random.Generator, device: torch.device) -> None:
        """Decide what the next turn of that name leaves to chance.

        Numbers that it decides by go to tensors of the device, always the same ones: in a turn
        the host neither draws nor looks.

        Args:
            turn: as in `Task.stages`.
            count: images of the step.
            rng: of the step, the same for all players one after the other.
            device: of the turn.
        """

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs."""

    def load(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Take up a saved state."""


@dataclass(frozen=True)
class Turn:
    """Whose move it is, and what a task may look at to say by which losses."""

    name: str  # as in `Task.stages`
    stage: str
    networks: Networks
    traces: Mapping[str, Trace]  # direction -> what the generator did with the batch
    keeps: Sequence[str]  # the original terms that every method of the cell keeps
    memory: Mapping[str, Any]  # as `Task.memory` made it, and the step's draws in it


class Task:
    """One kind of problem."""

    defaults: ClassVar[Mapping[str, Any]] = {}  # losses and weights a suite may set
    choices: ClassVar[Mapping[str, Sequence[Any]]] = {}
    version: ClassVar[int] = 1  # raise it when the task's numbers change
    source: ClassVar[str] = ""
    directions: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Name -> domain that a generator starts from ("": noise), and domain of its outputs."""
    networks: ClassVar[Sequence[str]] = ("generator",)  # of a player; "discriminator": adversaries
    stages: ClassVar[Mapping[str, Mapping[str, Sequence[str]]]] = {
        "train": {"generator": ("generator",)}
    }
    """Stage -> turns of each of its steps, in order -> networks that a turn moves.

    Methods teach in the turn `generator`. A network is named as a player has it, or a part of it as
    in `generator.encoder`. Each stage has a budget of its own.
    """
    paired: ClassVar[bool] = False  # whether there is a ground truth of each output
    makes: ClassVar[str] = "images"  # or "labels": what its generators put out
    terms: ClassVar[Sequence[str]] = ()  # names of the original terms that a method may keep
    adversarial: ClassVar[Sequence[str]] = ()  # those that need a discriminator
    drawn_by: ClassVar[Sequence[str]] = ()
    """Parameters that `loaded`, `example`, `draw` or `inputs` read: cells that differ in one of
    them see other batches, and never share a cohort."""
    outputs: ClassVar[Mapping[str, Any]] = {}
    """How test outputs are made, which a suite may set: part of each score's protocol, not of a
    cell's key. `samples`: how many are made from noise; `batch`: how many at once; `modes`: a list,
    each of which is scored, and `rounding`, as in `bench/contracts/making.py`."""
    weights_of: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Parameter -> pretrained networks of `bench/fetch/weights.py` that it needs unless it is 0."""
    real: ClassVar[str] = "test"  # the split that sets of outputs are held against
    denoises: ClassVar[str] = ""
    """What `denoise` takes the noise from, "images" or other; "": it does not answer. The parameter
    `times` then says how many there are."""
    inseparable: ClassVar[str] = ""
    """Why a generator alone does not make its task's images of one image each, so that nobody can
    take it away; "": it does."""
    latents: ClassVar[Mapping[str, Any]] = {}
    """How the autoencoder is made whose codes take the place of images where a suite has `task:
    {latents: ...}`, which overlays this; {}: of images alone. `bench/plan/latents.py` reads it."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = params
        self.code_channels = 0  # of codes that take the place of images, the loop says; 0: none do

    @property
    def simultaneous(self) -> bool:
        """Whether a player takes the gradients of all its turns before it moves in any of them."""
        return False

    @property
    def judged_channels(self) -> int:
        """How many channels a discriminator sees; 0 where there is none."""
        return 0

    @property
    def weights(self) -> Sequence[str]:
        """Pretrained networks of `bench/fetch/weights.py` that the losses need."""
        names = [n for p, networks in self.weights_of.items() if self.params[p] for n in networks]
        return tuple(dict.fromkeys(names))

    def check(self) -> None:
        """Refuse parameters that the first step would refuse.

        Raises:
            SuiteError: which one, and what it should be.
        """
        for name in ("beta1", "beta2"):  # of a task that has them
            value = self.params.get(name, 0.0)
            if not 0 <= value < 1:
                raise SuiteError(f"task.{name}: should be at least 0 and less than 1: {value}.")

    def check_outputs(self, outputs: Mapping[str, Any]) -> None:
        """Refuse ways of making test outputs that `make` would refuse.

        Raises:
            SuiteError: which choice, and what it should be.
        """

    def loaded(self, size: int) -> int:
        """Return the side at which training images are read before they are cropped to `size`.

        Raises:
            SuiteError: images of that size are none that the task can do anything with.
        """
        return round(size * 286 / 256)

    def example(
        self, read: Read, counts: Mapping[str, int], index: int, size: int, rng: np.random.Generator
    ) -> dict[str, Pixels]:
        """Return the images of one training example, [size, size, 3] uint8 by domain.

        As Pix2Pix and CycleGAN do (`resize_and_crop`): cropped at random and flipped; where data
        are paired both images get the same crop and flip, elsewhere the other domains' images are
        drawn at random.

        Args:
            read: returns an image at the side `loaded`.
            counts: domain -> images of the training split.
            index: of an image of the larger domain.
            size: side of what is returned.
            rng: all that may be random about it.
        """
        slack = self.loaded(size) - size
        if self.paired:
            crop = Crop.draw(rng, slack)
            return {domain: crop.of(read(domain, index), size) for domain in counts}
        first, *others = counts
        places = {first: index % counts[first]}
        places |= {domain: int(rng.integers(counts[domain])) for domain in others}
        return {
            domain: Crop.draw(rng, slack).of(read(domain, place), size)
            for domain, place in places.items()
        }

    def draw(self, size: int, rng: np.random.Generator) -> dict[str, Drawn]:
        """Return what is drawn with one example besides its images: noise, a time, ...; by name.

        It is part of the batch, and so the same for a teacher and for every cell of a cohort.
        """
        return {}

    def inputs(self, direction: str, batch: Batch) -> tuple[Tensor, ...]:
        """Return what a direction's generator is fed of a batch."""
        return (batch[self.directions[direction][0]],)

    def forward(
        self, networks: Networks, batch: Batch, hints: Sequence[str], stage: str
    ) -> dict[str, Trace]:
        """Run each direction's generator; return what it did, for methods and losses.

        Args:
            networks: of a player.
            batch: the same for every player.
            hints: roles that methods read; a trace may leave out those that its stage does not
                reach.
            stage: of the player, or of the students that a frozen teacher teaches.
        """
        traces = {}
        for direction, (_, target) in self.directions.items():
            inputs = self.inputs(direction, batch)
            output, found = networks["generator"][direction](*inputs, hints=hints)
            real = batch[target]
            traces[direction] = Trace(
                inputs[0], output, found, real, self.paired, None, gan="", batch=batch
            )
        return traces

    def losses(self, turn: Turn) -> dict[str, Tensor]:
        """Return the original terms of one turn, weighted; those of `terms` only where kept."""
        raise NotImplementedError

    def memory(self) -> dict[str, Memory]:
        """Return what a player starts to remember, by name."""
        return {}

    def average(self, step: int) -> float | None:
        """Return the decay by which generators are averaged after a step; None: they are not.

        Step 0 decides whether there are averages at all; at a later None they stay as they are.
        Averages are what is validated, kept and scored, and what a frozen teacher teaches; a
        teacher that trains along, or a peer, teaches as it is.
        """
        return None

    def optimiser(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Return the optimiser of one turn; the loop sets its learning rate at every step."""
        betas = (self.params["beta1"], self.params["beta2"])
        return torch.optim.Adam(parameters, betas=betas, fused=True)

    def item(
        self, read: ReadTest, direction: str, index: int, size: int, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return what one test output is made from and held against, by name.

        Args:
            read: returns an image of the test split.
            direction: which generator makes it.
            index: of the output.
            size: image side in pixels.
            rng: depends on data set, direction and index alone: the same for every method, width
                and seed, whatever the batch.
        """
        source, target = self.directions[direction]
        domains = (source, target) if self.paired else (source,)
        return {domain: read(domain, index) for domain in domains}

    def make(
        self, networks: Networks, direction: str, items: Batch, outputs: Mapping[str, Any]
    ) -> Tensor:
        """Return test outputs, [N, 3, S, S] in [-1, 1]; called without gradients.

        Nothing may be drawn at random here: what is random comes with the items, so that outputs
        depend neither on the batch nor on what was made before.

        Args:
            networks: in the mode that `outputs` ask for, evaluation where they do not; averages
                where there are some.
            direction: which generator.
            items: of `item`, as a batch.
            outputs: how the suite has them made.
        """
        output: Tensor = networks["generator"][direction](*self.inputs(direction, items))[0]
        return output

    def denoise(self, networks: Networks, direction: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the noise that a network finds in noised images, and the clean images it implies.

        Called without gradients; both results are [N, 3, S, S], float32, not cut to a range.

        Args:
            networks: as for `make`.
            direction: which generator.
            batch: as in training: images, and their `noise` and `time`.
        """
        raise NotImplementedError

    def facts(
        self, networks: Networks, direction: str, items: Iterable[Batch]
    ) -> Mapping[str, Any]:
        """Return what a trained student shows beside its test outputs, as JSON values.

        Asked once, when training has ended; called without gradients. One fact has a meaning of its
        own: `untrained`, why the student counts as not trained (bench/contracts/verdict.py).

        Args:
            networks: as for `make`, in evaluation mode.
            direction: which generator.
            items: of `item`, over the test split, or the validation split where the student is a
                trial that chooses a weight; batch by batch, read as far as they are asked for.
        """
        return {}

    def shown(self, direction: str, items: Batch) -> dict[str, Tensor]:
        """Return the images beside an output on sample sheets: role -> [N, 3, S, S] in [-1, 1].

        Roles are words; from noise, there are none.
        """
        source, target = self.directions[direction]
        found = {"input": items[source]} if source else {}
        return found | ({"target": items[target]} if self.paired else {})

    def truth(self, direction: str, items: Batch) -> Tensor | None:
        """Return the ground truths of test outputs, [N, 3, S, S] in [-1, 1], if there are any."""
        return items[self.directions[direction][1]] if self.paired else None
