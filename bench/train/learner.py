"""One cell in training: its student (or peers), whoever teaches it, and their common step."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.contracts.distiller import Distiller, Inputs, Side, Trace
from bench.contracts.task import Batch, Task
from bench.errors import PluginError
from bench.plan.cell import Cell, Nets
from bench.plan.learning_rate import schedule_of
from bench.train.deeper import DeeperPlayer
from bench.train.device import autocast, seed_step
from bench.train.player import Player, State, below, layout
from bench.train.prepared import Again, Prepared
from bench.train.pulls import pulls_of

Traces = Mapping[str, Trace]  # direction -> trace
AllInputs = Mapping[str, Callable[[], Iterable[Inputs]]]  # direction -> goes through them all


class Taught(NamedTuple):
    """One distiller at work: in one direction, for one student."""

    direction: str
    method: str
    distiller: Distiller


class Learner:
    """Everything that one cell trains, and the step that trains it.

    Players are the students (one, or several peers) and perhaps a mentor, a teacher that trains
    along, or two, of which the second is the deeper one. A frozen teacher is not among them: the
    cohort runs it once for all learners.
    """

    def __init__(self, cell: Cell, device: torch.device, teacher: Player | None) -> None:
        self.cell, self.device, self.teacher = cell, device, teacher
        self.task = open_task(cell)
        self.students = [
            Player(cell, cell.nets, self.task, device, peer=i) for i in range(cell.peers)
        ]
        self.mentor = Player(cell, cell.mentor, self.task, device, peer=-1) if cell.mentor else None
        self.deeper: DeeperPlayer | None = None
        if self.mentor and cell.deeper:
            self.deeper = DeeperPlayer(cell, self.task, device, self.mentor)
        self.mentors = [player for player in (self.mentor, self.deeper) if player]
        self.players = [*self.students, *self.mentors]
        self.schedule = schedule_of(cell)
        self.distillers = [self._open_distillers() for _ in self.students]
        self.hints = self._agreed_hints()
        keeps = kept_terms(self.task, [taught.distiller for taught in self.distillers[0]])
        for student in self.students:
            student.keeps = keeps
            if not set(keeps) & set(self.task.adversarial):
                student.drop_discriminators()
        self._build()
        self.begin(0)

    def begin(self, stage: int) -> None:
        """Begin a stage of the task: new optimisers, for the networks that it moves."""
        self.stage = name = list(self.task.stages)[stage]
        for student, distillers in zip(self.students, self.distillers, strict=True):
            judging = [p for t in distillers for p in t.distiller.discriminator_parameters()]
            known = {id(p) for p in judging}
            own = [
                p
                for t in distillers
                for p in t.distiller.parameters()
                if p.requires_grad and id(p) not in known
            ]
            student.begin(name, own, ())
            if self.mentor:
                more = self.deeper.judging() if self.deeper else []
                self.mentor.begin(name, (), [*judging, *more])
            if self.deeper:
                self.deeper.begin(name, (), ())

    def prepare(self, inputs: AllInputs, prepared: Prepared | None = None) -> None:
        """Let networks and methods look at the training inputs, per direction, before any step.

        Networks are in evaluation mode meanwhile, so that looking changes no statistics; random
        draws are seeded. What methods may share of that is in `prepared`.
        """
        with self._looking():
            for player in self.players:
                player.start(inputs)
            for index, taught in enumerate(self.distillers):
                seed_step(self.cell.seed_for("adapters", index, "prepare"), self.device)
                for direction, method, distiller in taught:
                    sides = self._sides(index, direction)
                    if prepared:
                        recall = prepared.of(method, direction, sides[1].generator)
                        distiller.recall = recall  # type: ignore[assignment, method-assign]
                    distiller.prepare(*sides, Again(inputs[direction]))
        for player in self.players:
            player.restart_average()

    def enter(self, stage: int) -> None:
        """Begin a stage after the first, and let the methods get ready for it."""
        self.begin(stage)
        with self._looking():
            for index, taught in enumerate(self.distillers):
                for direction, _, distiller in taught:
                    distiller.begin(self.stage, *self._sides(index, direction))

    @contextlib.contextmanager
    def _looking(self) -> Iterator[None]:
        """Keep gradients off and networks in evaluation mode."""
        for player in self.players:
            player.modules.eval()
        with torch.no_grad():
            yield
        for player in self.players:
            player.modules.train()

    def _sides(self, index: int, direction: str) -> tuple[Side, Side]:
        """Return the networks of a student in one direction, and those of whoever teaches it."""
        student = self.students[index].side(direction)
        above = self.teacher or self.mentor
        return student, above.side(direction) if above else student

    def update(
        self,
        step: int,
        lr: float | Tensor,
        batch: Batch,
        taught: Traces | None,
        pulls: dict[str, float | None] | None = None,
    ) -> State:
        """Take one step on one batch; return every loss term, weighted and without its graph.

        Args:
            step: decides all random draws of the step.
            lr: learning rate; as a tensor it is float32.
            batch: the cohort's common batch.
            taught: what the frozen teacher made of it, if the cell has one.
            pulls: takes up, by method, the norm of its terms' gradient in the student's generators
                over that of the original terms; None where no original term pulls. Costs a
                backward pass for each, and changes no bit.
        """
        self.draw(step, len(next(iter(batch.values()))))
        return self.advance(step, lr, batch, taught, pulls)

    def draw(self, step: int, count: int) -> None:
        """Decide on the host what a step of `count` images leaves to chance, tell the device."""
        seed_step(self.cell.seed_for("noise", step), self.device)
        rng = np.random.default_rng(self.cell.seed_for("noise", step, "pool"))
        for index, turn in itertools.chain.from_iterable(self._moves(self._movers(step))):
            self.players[index].draw(turn, count, rng)
            if self.deeper and self._judges_both(turn, index):
                self.deeper.draw(turn, count, rng)
        for player in self.players:
            player.aim(step)

    def advance(
        self,
        step: int,
        lr: float | Tensor,
        batch: Batch,
        taught: Traces | None,
        pulls: dict[str, float | None] | None = None,
    ) -> State:
        """Take a step that was drawn, as `update` does.

        Without `pulls` the host looks at no tensor. With `lr` as a tensor two steps in which the
        same players move are the same operators, of the same shapes and numbers.
        """
        movers = self._movers(step)
        traces = []
        for index, player in enumerate(self.players):
            with torch.set_grad_enabled(index in movers):  # a player that waits is only looked at
                hints = () if player is self.deeper else self.hints
                traces.append(player.forward(batch, hints))
        found: State = {}
        for group in self._moves(movers):
            moving = []
            for index, turn in group:
                player, prefix = self.players[index], self._prefix(index)
                original = self._original(turn, index, traces)
                added = self._distilled(turn, index, traces, taught)
                if pulls is not None and turn == "generator" and index < len(self.students):
                    found_pulls = pulls_of(player.generators, original, added)
                    pulls |= {prefix + name: value for name, value in found_pulls.items()}
                terms = original | added
                if terms:
                    player.pull(turn, torch.stack(list(terms.values())).sum())
                    moving.append((player, turn))
                found |= {prefix + name: value.detach() for name, value in terms.items()}
            for player, turn in moving:
                player.move(turn, lr)
        for player in self.players:
            player.average(step)
        return found

    def networks(self) -> State:
        """Return the weights of all players and of the methods' own modules."""
        return self._gather(lambda player: player.networks())

    def facts(
        self, inputs: AllInputs, items: Callable[[str], Iterable[Batch]]
    ) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Return what was found out: direction -> method, or `task` -> facts, without empty ones.

        Among several students a direction is prefixed by the peer, as losses are.

        Args:
            inputs: as for `prepare`.
            items: returns, by direction, what test outputs are made from.
        """
        found: dict[str, dict[str, Mapping[str, Any]]] = {}
        with self._looking():
            for index, taught in enumerate(self.distillers):
                known = [(d, "task", self._shown(index, d, items(d))) for d in self.task.directions]
                for direction, method, distiller in taught:
                    more = distiller.study(*self._sides(index, direction), inputs[direction]())
                    known.append((direction, method, {**distiller.facts(), **more}))
                for direction, name, facts in known:
                    if facts:
                        found.setdefault(self._prefix(index) + direction, {})[name] = facts
        return found

    def _shown(self, index: int, direction: str, items: Iterable[Batch]) -> Mapping[str, Any]:
        """Return what the task tells of a student."""
        with autocast(self.device, self.cell.numerics):
            return self.task.facts(self.students[index].judged(), direction, items)

    def state(self) -> State:
        """Return everything the next step depends on."""
        return self._gather(lambda player: player.state())

    def load(self, state: State) -> None:
        """Take up a saved state."""
        for name, player in self._named_players():
            player.load(below(state, name))
        for name, distiller in self._named_distillers():
            distiller.load_state_dict(below(state, name))

    def _gather(self, of: Callable[[Player], State]) -> State:
        parts = [(name, of(player)) for name, player in self._named_players()]
        parts += [(name, dict(d.state_dict())) for name, d in self._named_distillers()]
        return {f"{name}.{key}": x for name, part in parts for key, x in part.items()}

    def _named_players(self) -> list[tuple[str, Player]]:
        named = [(f"student{i}", student) for i, student in enumerate(self.students)]
        return [*named, *zip(("mentor", "deeper"), self.mentors, strict=False)]

    def _named_distillers(self) -> list[tuple[str, Distiller]]:
        return [
            (f"distiller{i}.{direction}.{method}", distiller)
            for i, distillers in enumerate(self.distillers)
            for direction, method, distiller in distillers
        ]

    def _movers(self, step: int) -> list[int]:
        """Return the players that move at a step; the others wait."""
        who, count = self.schedule.movers(step), len(self.students)
        students = range(count) if "students" in who else ()
        teaches = "teacher" in who and all(
            t.distiller.teacher_trains(step) for t in self.distillers[0]
        )
        return [*students, *(range(count, len(self.players)) if teaches else ())]

    def _moves(self, movers: Sequence[int]) -> Iterator[Sequence[tuple[int, str]]]:
        """Yield which players move next, in which turns, all from one state.

        Turn by turn all players move, students first. Where turns are simultaneous, a player moves
        in all of them, the mentors before their students: as the original distillers do, who judge
        by a discriminator that has moved.
        """
        turns = list(self.students[0].turns)
        moves = {i: [t for t in turns if t in self.players[i].optimisers] for i in movers}
        if self.task.simultaneous:
            mentors = [i for i in movers if i >= len(self.students)]
            yield [(i, turn) for i in mentors for turn in moves[i]]
            yield from ([(i, turn) for turn in moves[i]] for i in movers if i not in mentors)
        else:
            yield from ([(i, turn)] for turn in turns for i in movers if turn in moves[i])

    def _prefix(self, index: int) -> str:
        player = self.players[index]
        if player in self.mentors:
            return "teacher.deeper." if player is self.deeper else "teacher."
        return f"peer{index}." if len(self.students) > 1 else ""

    def _original(self, turn: str, index: int, traces: list[dict[str, Trace]]) -> State:
        """Return the original terms of one player's turn.

        The mentor's discriminators play both mentors' games.
        """
        found = self.players[index].original(turn, traces[index])
        if self.deeper and self._judges_both(turn, index):
            second = self.deeper.original(turn, traces[-1])
            found |= {f"deeper.{name}": value for name, value in second.items()}
        return found

    def _judges_both(self, turn: str, index: int) -> bool:
        """Return whether it is the turn of the discriminators that judge both mentors."""
        return turn == "discriminator" and self.players[index] is self.mentor

    def _distilled(
        self, turn: str, index: int, traces: list[dict[str, Trace]], taught: Traces | None
    ) -> State:
        """Return the distillers' terms of one player's turn, summed over directions."""
        found: State = {}
        if turn == "generator" and index < len(self.students):
            if taught is not None:
                teachers = [taught]
            else:  # peers and the mentor, as they are before this step
                others = [
                    t
                    for i, t in enumerate(traces)
                    if i != index and self.players[i] is not self.deeper
                ]
                teachers = [{d: trace.detached() for d, trace in t.items()} for t in others]
            for direction, method, distiller in self.distillers[index]:
                for above in teachers:
                    terms = distiller.terms(traces[index][direction], above[direction])
                    _add(found, method, terms, 1 / len(teachers))
                if self.deeper:
                    second = traces[-1][direction].detached()
                    terms = distiller.deeper_terms(traces[index][direction], second)
                    _add(found, method, terms, 1.0)
        elif self._judges_both(turn, index):
            for direction, method, distiller in self.distillers[0]:
                below_, above_ = (traces[i][direction].detached() for i in (0, index))
                _add(found, method, distiller.discriminator_terms(below_, above_), 1.0)
        return found

    def _open_distillers(self) -> list[Taught]:
        return [
            Taught(direction, part.short, part.load()(part.params))
            for direction in self.task.directions
            for part in self.cell.methods
        ]

    def _agreed_hints(self) -> tuple[str, ...]:
        """Return the roles that any of the methods reads."""
        roles = dict.fromkeys(role for t in self.distillers[0] for role in t.distiller.hints)
        for nets in (self.cell.nets, self.cell.mentor):
            if nets is not None:
                check_hints(nets, roles, self.cell.method)
        return tuple(roles)

    def _build(self) -> None:
        """Create the methods' own modules and move everything to the device."""
        cell, channels = self.cell, self.task.judged_channels
        above = self.teacher.nets if self.teacher else cell.mentor or cell.nets
        shapes = [layout(nets, cell.side, channels, self.hints) for nets in (cell.nets, above)]
        for index, distillers in enumerate(self.distillers):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(cell.seed_for("adapters", index))
                for taught in distillers:
                    taught.distiller.build(*shapes)
                    taught.distiller.to(self.device)
        for player in self.players:
            player.place()


def _add(found: State, method: str, terms: Mapping[str, Tensor], weight: float) -> None:
    for term, value in terms.items():
        name, value = f"{method}.{term}", value if weight == 1.0 else weight * value
        found[name] = found[name] + value if name in found else value


def open_task(cell: Cell) -> Task:
    """Return a cell's task."""
    task = cell.task.load()(cell.task.params)
    task.code_channels = cell.latents.channels if cell.latents else 0
    return task


def kept_terms(task: Task, distillers: Iterable[Distiller]) -> tuple[str, ...]:
    """Return the original terms that every method keeps."""
    keeps = [distiller.keeps for distiller in distillers if distiller.keeps is not None]
    return tuple(term for term in task.terms if all(term in kept for kept in keeps))


def check_hints(nets: Nets, roles: Iterable[str], method: str) -> None:
    """Refuse a hint that an architecture does not have.

    Raises:
        PluginError: it says which ones there are.
    """
    part = nets.architecture
    taps = part.declared.taps
    for role in roles:
        if role not in taps:
            raise PluginError(
                f"{method} asks for the hint {role!r}; {part.name} has {', '.join(taps)}."
            )
