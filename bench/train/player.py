"""One player of the game: its generators and discriminators, and what moves them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench import plugins
from bench.contracts.distiller import Layout, Side, Trace
from bench.contracts.network import Discriminator, Generator
from bench.contracts.task import Batch, Task
from bench.losses.gan import ImagePool, initialise
from bench.plan.cell import Cell, Nets
from bench.train.device import autocast

State = dict[str, Tensor]


class Player:
    """Generators and discriminators by direction, their optimisers, pools and gradient scalers.

    Initial weights depend on the seed, the architecture and the width, never on the method.
    """

    def __init__(
        self, cell: Cell, nets: Nets, task: Task, device: torch.device, *, peer: int = 0
    ) -> None:
        self.task, self.nets, self.device, self.numerics = task, nets, device, cell.numerics
        self.keeps: Sequence[str] = task.terms
        self.generators = nn.ModuleDict()
        self.discriminators = nn.ModuleDict()
        for direction in task.directions:
            made = (direction, peer, nets.architecture.name, nets.width)
            judging = (direction, peer, nets.discriminator.name, nets.discriminator_width)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(cell.seed_for("networks", *made))
                self.generators[direction] = generator(nets, cell.size)
                torch.manual_seed(cell.seed_for("networks", *judging))
                self.discriminators[direction] = discriminator(nets, task.judged_channels)
        self.pools = {d: ImagePool(task.params.get("pool", 0)) for d in task.directions}
        self.optimisers: dict[str, torch.optim.Adam] = {}
        self.scalers: dict[str, torch.amp.GradScaler] = {}
        self.modules = nn.ModuleDict(
            {"generator": self.generators, "discriminator": self.discriminators}
        )

    def drop_discriminators(self) -> None:
        """Play without discriminators: no kept term needs them."""
        self.discriminators.clear()

    def place(self) -> None:
        """Move the networks to the device, in its memory format, compiled if asked."""
        layout = torch.channels_last if self.numerics["channels_last"] else torch.contiguous_format
        self.modules.to(self.device).to(memory_format=layout)
        if self.numerics["compile"]:
            for network in (*self.generators.values(), *self.discriminators.values()):
                network.compile()

    def optimise(self, more: Iterable[nn.Parameter], more_judging: Iterable[nn.Parameter]) -> None:
        """Create one Adam for the generators and one for the discriminators."""
        moved = {
            "generator": [*self.generators.parameters(), *more],
            "discriminator": [*self.discriminators.parameters(), *more_judging],
        }
        betas = (self.task.params["beta1"], self.task.params["beta2"])
        for turn, parameters in moved.items():
            if parameters:
                self.optimisers[turn] = torch.optim.Adam(parameters, betas=betas, fused=True)
                enabled = self.numerics["precision"] == "fp16"
                self.scalers[turn] = torch.amp.GradScaler(self.device.type, enabled=enabled)

    def freeze(self) -> None:
        """Become a teacher that never changes."""
        self.modules.requires_grad_(False).eval()

    def side(self, direction: str) -> Side:
        """Return the networks of one direction."""
        judges = self.discriminators
        judge: Any = judges[direction] if direction in judges else None  # noqa: SIM401
        made: Any = self.generators[direction]
        return Side(made, judge)

    def forward(self, batch: Batch, hints: Sequence[str]) -> dict[str, Trace]:
        """Run the generators on a batch; images and hints of the traces are float32."""
        with autocast(self.device, self.numerics):
            traces = self.task.forward(self.generators, self.discriminators, batch, hints)
        return {direction: trace.to_float() for direction, trace in traces.items()}

    def original(
        self, turn: str, traces: Mapping[str, Trace], rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Return the task's own terms of one turn."""
        with autocast(self.device, self.numerics):
            if turn == "generator":
                return self.task.generator_terms(self.generators, traces, self.keeps)
            if not self.discriminators:
                return {}
            fakes = {d: self.pools[d].query(t.output, rng) for d, t in traces.items()}
            return self.task.discriminator_terms(traces, fakes)

    def move(self, turn: str, loss: Tensor, lr: float) -> None:
        """Take one optimiser step down `loss`; only this turn's own parameters get gradients."""
        optimiser, scaler = self.optimisers[turn], self.scalers[turn]
        for group in optimiser.param_groups:
            group["lr"] = lr
        optimiser.zero_grad(set_to_none=True)
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        scaled: Tensor = scaler.scale(loss)
        scaled.backward(inputs=parameters)  # type: ignore[no-untyped-call]
        scaler.step(optimiser)
        scaler.update()

    def networks(self) -> State:
        """Return the weights, by name."""
        return dict(self.modules.state_dict())

    def load_networks(self, state: Mapping[str, Tensor]) -> None:
        """Take up saved weights; discriminators that were not saved are dropped."""
        if not any(name.startswith("discriminator.") for name in state):
            self.drop_discriminators()
        self.modules.load_state_dict(state)

    def state(self) -> State:
        """Return everything the next step depends on."""
        found = {f"networks.{n}": x for n, x in self.networks().items()}
        for turn, optimiser in self.optimisers.items():
            for index, slots in optimiser.state_dict()["state"].items():
                found |= {f"optimiser.{turn}.{index}.{slot}": x for slot, x in slots.items()}
        for turn, scaler in self.scalers.items():
            for slot, value in scaler.state_dict().items():
                found[f"scaler.{turn}.{slot}"] = torch.tensor(value)
        for direction, pool in self.pools.items():
            found |= {f"pool.{direction}.{slot}": x for slot, x in pool.state().items()}
        return found

    def load(self, state: State) -> None:
        """Take up a saved state."""
        self.load_networks(below(state, "networks"))
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
        for direction, pool in self.pools.items():
            pool.load(below(state, f"pool.{direction}"), self.device)


def generator(nets: Nets, size: int) -> Generator:
    """Build a generator with the initial weights of torch's current random state."""
    part = nets.architecture
    network: Generator = plugins.load("network", part.name, part.name)(
        nets.width, size, part.params
    )
    initialise(network)
    return network


def discriminator(nets: Nets, channels: int) -> Discriminator:
    """Build a discriminator with the initial weights of torch's current random state."""
    part = nets.discriminator
    judge: Discriminator = plugins.load("network", part.name, part.name)(
        nets.discriminator_width, channels, part.params
    )
    initialise(judge)
    return judge


def layout(nets: Nets, size: int, channels: int, hints: Sequence[str]) -> Layout:
    """Return the shapes of a generator's hints, found on the meta device."""
    if not hints:
        return Layout({}, size, channels)
    with torch.device("meta"):
        _, found = generator(nets, size)(torch.empty(1, 3, size, size), hints)
    shapes = {role: tuple(feature.shape[1:]) for role, feature in found.items()}
    return Layout(shapes, size, channels)


def below(state: Mapping[str, Tensor], prefix: str) -> State:
    """Return the part of a state under a prefix, without it."""
    start = f"{prefix}."
    return {n.removeprefix(start): x for n, x in state.items() if n.startswith(start)}


def digest(state: Mapping[str, Tensor]) -> str:
    """Return 16 hex digits of the sha256 of weights, bit for bit."""
    found = hashlib.sha256()
    for name in sorted(state):
        found.update(name.encode())
        found.update(state[name].detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]
