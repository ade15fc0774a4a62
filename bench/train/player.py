"""One player of a task: its networks, what moves them, and their averages."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.contracts.distiller import Inputs, Layout, Side, Trace
from bench.contracts.network import Discriminator, Generator
from bench.contracts.task import Batch, Task, Turn
from bench.fetch import weights
from bench.plan.cell import Cell, Nets
from bench.train.average import Average
from bench.train.device import autocast

if TYPE_CHECKING:
    from bench.train.codes import Codec

State = dict[str, Tensor]


class Player:
    """Networks by name and direction, their optimisers, averages, memories and gradient scalers.

    Initial weights depend on the seed, the architecture and the width, never on the method.
    """

    def __init__(
        self, cell: Cell, nets: Nets, task: Task, device: torch.device, *, peer: int = 0
    ) -> None:
        self.task, self.nets, self.device, self.numerics = task, nets, device, cell.numerics
        self.keeps: Sequence[str] = task.terms
        self.stage, self.turns = "", dict[str, Sequence[str]]()  # until training begins
        self.modules = nn.ModuleDict({name: nn.ModuleDict() for name in task.networks})
        for direction in task.directions:
            made = (direction, peer, nets.architecture.name, nets.width)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(cell.seed_for("networks", *made))
                self.generators[direction] = generator(nets, cell.side)
                if nets.discriminator and "discriminator" in self.modules:
                    judging = (nets.discriminator.name, nets.discriminator_width)
                    torch.manual_seed(cell.seed_for("networks", direction, peer, *judging))
                    self.discriminators[direction] = discriminator(nets, task.judged_channels)
        self.averages = Average(self.generators) if task.average(0) is not None else None
        self.codec: Codec | None = None  # which makes images of its outputs, where these are codes
        self.memory = task.memory()
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.scalers: dict[str, torch.amp.GradScaler] = {}

    @property
    def generators(self) -> nn.ModuleDict:
        """The generators, by direction."""
        return cast(nn.ModuleDict, self.modules["generator"])

    @property
    def discriminators(self) -> nn.ModuleDict:
        """The discriminators, by direction; none where nobody discriminates."""
        none = nn.ModuleDict()
        return cast(nn.ModuleDict, self.modules["discriminator"] if self._has_judges() else none)

    def _has_judges(self) -> bool:
        return "discriminator" in self.modules

    def drop_discriminators(self) -> None:
        """Play without discriminators: no kept term needs them."""
        self.discriminators.clear()

    def settle(self) -> None:
        """Move the networks to the device."""
        self.modules.to(self.device)
        if self.averages is not None:
            self.averages.place(self.device)

    def place(self) -> None:
        """Move the networks to the device, in its memory format, compiled if asked."""
        self.settle()
        layout = torch.channels_last if self.numerics["channels_last"] else torch.contiguous_format
        self.modules.to(memory_format=layout)
        if self.averages is not None:
            self.averages.modules.to(memory_format=layout)
        if self.numerics["compile"]:
            for network in (*self.generators.values(), *self.discriminators.values()):
                network.compile()

    def begin(
        self, stage: str, more: Iterable[nn.Parameter], more_judging: Iterable[nn.Parameter]
    ) -> None:
        """Begin a stage: one new optimiser for each of its turns.

        Args:
            stage: as in `Task.stages`.
            more: parameters of methods that the turn `generator` moves too.
            more_judging: those that the turn `discriminator` moves too.
        """
        self.stage, self.turns = stage, dict(self.task.stages[stage])
        self.optimisers, self.scalers = {}, {}
        extra = {"generator": list(more), "discriminator": list(more_judging)}
        for turn, names in self.turns.items():
            moved = [p for name in names for p in self._parameters(name)] + extra.get(turn, [])
            if moved:
                self.optimisers[turn] = self.task.optimiser(moved)
                enabled = self.numerics["precision"] == "fp16"
                self.scalers[turn] = torch.amp.GradScaler(self.device.type, enabled=enabled)

    def _parameters(self, name: str) -> Iterable[nn.Parameter]:
        """Yield what trains of a network by name, or of a part of it, in every direction."""
        network, _, part = name.partition(".")
        for one in cast(nn.ModuleDict, self.modules[network]).values():
            yield from (p for p in one.get_submodule(part).parameters() if p.requires_grad)

    @torch.no_grad()
    def start(self, inputs: Mapping[str, Callable[[], Iterable[Inputs]]]) -> None:
        """Finish the initial weights: of those that need the training inputs, or a file."""
        for direction, network in self.generators.items():
            one = cast(Generator, network)
            files = {name: weights.find(name) for name in one.weights}
            one.start(inputs[direction](), files)

    def freeze(self) -> None:
        """Become a teacher that never changes."""
        self.modules.requires_grad_(False).eval()

    def side(self, direction: str) -> Side:
        """Return the networks of one direction."""
        judges = self.discriminators
        judge: Any = judges[direction] if direction in judges else None  # noqa: SIM401
        made: Any = self.generators[direction]
        return Side(made, judge)

    def forward(self, batch: Batch, hints: Sequence[str], stage: str = "") -> dict[str, Trace]:
        """Run the generators on a batch; images and hints of the traces are float32.

        `stage` is that of the students, where a frozen teacher is asked, which has none itself.
        """
        with autocast(self.device, self.numerics):
            traces = self.task.forward(self._networks(), batch, hints, stage or self.stage)
        return {direction: trace.to_float() for direction, trace in traces.items()}

    def draw(self, turn: str, count: int, rng: np.random.Generator) -> None:
        """Let the memory decide what a turn of `count` images leaves to chance."""
        for memory in self.memory.values():
            memory.draw(turn, count, rng, self.device)

    def aim(self, step: int) -> None:
        """Tell the averages how they follow after a step."""
        decay = self.task.average(step)
        if self.averages is not None and decay is not None:
            self.averages.aim(decay)

    def original(self, turn: str, traces: Mapping[str, Trace]) -> dict[str, Tensor]:
        """Return the task's own terms of one turn."""
        known = Turn(turn, self.stage, self._networks(), traces, self.keeps, self.memory)
        with autocast(self.device, self.numerics):
            return self.task.losses(known)

    def pull(self, turn: str, loss: Tensor) -> None:
        """Take the gradient of `loss`; only this turn's own parameters get one."""
        optimiser = self.optimisers[turn]
        optimiser.zero_grad(set_to_none=True)
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        scaled: Tensor = self.scalers[turn].scale(loss)
        scaled.backward(inputs=parameters)  # type: ignore[no-untyped-call]

    def move(self, turn: str, lr: float | Tensor) -> None:
        """Take one optimiser step down the gradient that was pulled."""
        optimiser, scaler = self.optimisers[turn], self.scalers[turn]
        for group in optimiser.param_groups:
            group["lr"] = lr
        scaler.step(optimiser)
        scaler.update()

    def average(self, step: int) -> None:
        """Let the averages follow the generators, where the task has them averaged."""
        if self.averages is not None and self.task.average(step) is not None:
            self.averages.follow(self.generators)

    def restart_average(self) -> None:
        """Let the averages start from the generators as they are."""
        if self.averages is not None:
            self.averages.restart(self.generators)

    def judged(self) -> dict[str, Any]:
        """Return the networks that are validated and scored: averages where there are some."""
        return {"generator": self.generators if self.averages is None else self.averages.modules}

    def networks(self) -> State:
        """Return the weights that count, by name: of the averages where there are some."""
        found = dict(self.modules.state_dict())
        if self.averages is not None:
            found |= {f"generator.{n}": x for n, x in self.averages.modules.state_dict().items()}
        return found

    def load_networks(self, state: Mapping[str, Tensor]) -> None:
        """Take up saved weights; discriminators that were not saved are dropped."""
        if not any(name.startswith("discriminator.") for name in state):
            self.drop_discriminators()
        self.modules.load_state_dict(state)
        self.restart_average()

    def state(self) -> State:
        """Return everything the next step depends on."""
        found = {f"networks.{n}": x for n, x in self.modules.state_dict().items()}
        if self.averages is not None:
            found |= {f"average.{n}": x for n, x in self.averages.modules.state_dict().items()}
        for turn, optimiser in self.optimisers.items():
            for index, slots in optimiser.state_dict()["state"].items():
                found |= {f"optimiser.{turn}.{index}.{slot}": x for slot, x in slots.items()}
        for turn, scaler in self.scalers.items():
            for slot, value in scaler.state_dict().items():
                found[f"scaler.{turn}.{slot}"] = torch.tensor(value)
        for name, memory in self.memory.items():
            found |= {f"{name}.{slot}": x for slot, x in memory.state().items()}
        return found

    def load(self, state: State) -> None:
        """Take up a saved state, in the stage in which it was saved."""
        self.load_networks(below(state, "networks"))
        if self.averages is not None:
            self.averages.modules.load_state_dict(below(state, "average"))
        for turn, optimiser in self.optimisers.items():
            slots: dict[int, State] = {}
            for name, x in below(state, f"optimiser.{turn}").items():
                index, _, slot = name.partition(".")
                slots.setdefault(int(index), {})[slot] = x
            optimiser.load_state_dict({**optimiser.state_dict(), "state": slots})
        for turn, scaler in self.scalers.items():
            values = below(state, f"scaler.{turn}")
            if values:
                scaler.load_state_dict({slot: x.item() for slot, x in values.items()})
        for name, memory in self.memory.items():
            memory.load(below(state, name), self.device)

    def _networks(self) -> dict[str, Any]:
        return dict(self.modules.items())


def generator(nets: Nets, size: int) -> Generator:
    """Build a generator with the initial weights of torch's current random state."""
    part = nets.architecture
    network = cast(type[Generator], part.load())(nets.width, size, part.params)
    network.initialise()
    return network


def discriminator(nets: Nets, channels: int) -> Discriminator:
    """Build a discriminator with the initial weights of torch's current random state."""
    part = nets.discriminator
    assert part is not None  # of a task with an adversary
    judge = cast(type[Discriminator], part.load())(nets.discriminator_width, channels, part.params)
    judge.initialise()
    return judge


def layout(nets: Nets, size: int, channels: int, hints: Sequence[str]) -> Layout:
    """Return the shapes of a generator's hints, found on the meta device."""
    if not hints:
        return Layout({}, size, channels)
    kind: Any = nets.architecture.load()
    return Layout(_shapes(kind, nets, size, tuple(hints)), size, channels)


@functools.lru_cache(maxsize=64)  # all cells of a suite have few; torch's meta device is slow
def _shapes(
    _architecture: object, nets: Nets, size: int, hints: tuple[str, ...]
) -> Mapping[str, tuple[int, int, int]]:
    with torch.device("meta"):
        network = generator(nets, size)
        _, found = network(*network.example(), hints=hints)
    return MappingProxyType({role: tuple(feature.shape[1:]) for role, feature in found.items()})


def below(state: Mapping[str, Tensor], prefix: str) -> State:
    """Return the part of a state under a prefix, without it."""
    start = f"{prefix}."
    return {n.removeprefix(start): x for n, x in state.items() if n.startswith(start)}
