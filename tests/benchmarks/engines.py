"""A cohort's step in several ways: one by one, together, as CUDA graphs, on parallel streams.

On a CPU a captured call is called again each time, and streams are none: everything but the
capture runs there too, and has to give the bits of `together`.

Sources: the notes on CUDA graphs in torch's documentation (whole networks are captured after
some steps on a side stream), pytorch/pytorch pull request 180090 (those steps and the capture are
to be on one stream: gradients remember theirs).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from bench.contracts.distiller import Trace
from bench.contracts.task import Batch
from bench.plan.matrix import Plan
from bench.train.batches import Batches
from bench.train.learner import Learner, open_task
from bench.train.player import Player

LR = 2.0**-12  # exact in float32: Adam reads a tensor's as such, and a number's in float64
WARMUP = 3  # steps before a capture
LOOK = 4  # batches that a method sees before its first step, and that the steps see in turn


class Cohort:
    """The students of a plan and their frozen teacher, all with the weights that they start from."""

    def __init__(self, plan: Plan, device: torch.device) -> None:
        self.device = device
        cells = [e.cell for e in plan.students if e.cell is not None]
        (key,) = {cell.teacher for cell in cells} - {""}
        above = plan.cells[key]
        self.teacher = Player(above, above.nets, open_task(above), device)
        self.teacher.freeze()
        self.teacher.place()
        read = Batches(cells[0], open_task(cells[0]))
        self.batches = [{n: x.to(device) for n, x in read[i].items()} for i in range(LOOK)]
        self.count = cells[0].budget.batch
        self.learners = [Learner(c, device, self.teacher if c.teacher else None) for c in cells]
        for learner in self.learners:
            learner.prepare({d: lambda d=d: self._inputs(d) for d in learner.task.directions})

    def _inputs(self, direction: str) -> Iterator[tuple[torch.Tensor, ...]]:
        for batch in self.batches:
            yield self.learners[0].task.inputs(direction, batch)

    def batch(self, step: int) -> Batch:
        return self.batches[step % LOOK]

    @torch.no_grad()
    def teach(self, batch: Batch, learners: Sequence[Learner]) -> dict[str, Trace]:
        """Return what the teacher makes of a batch, with the hints that these learners read."""
        hints = dict.fromkeys(role for learner in learners for role in learner.hints)
        return self.teacher.forward(batch, tuple(hints), learners[0].stage)

    @property
    def taught(self) -> list[Learner]:
        """Those that learn from the teacher."""
        return [learner for learner in self.learners if learner.teacher]


class Engine:
    """A way to take the cohort's steps; `step` is called with 0, 1, 2, ... on `stream`."""

    def __init__(self, cohort: Cohort) -> None:
        self.cohort, self.device = cohort, cohort.device
        self.stream = new_stream(self.device)
        self.notes: list[str] = []

    def step(self, number: int) -> None:
        raise NotImplementedError


class Alone(Engine):
    """Each student with a teacher pass of its own, one after the other."""

    def step(self, number: int) -> None:
        batch = self.cohort.batch(number)
        for learner in self.cohort.learners:
            taught = self.cohort.teach(batch, [learner]) if learner.teacher else None
            learner.update(number, LR, batch, taught)


class Together(Engine):
    """As the loop does it: one teacher pass, then one student after the other."""

    def step(self, number: int) -> None:
        batch = self.cohort.batch(number)
        traces = self.cohort.teach(batch, self.cohort.taught)
        for learner in self.cohort.learners:
            learner.update(number, LR, batch, traces if learner.teacher else None)


class Captured:
    """A call as a CUDA graph. Its result is at the same place after each replay."""

    def __init__(self, call: Callable[[], Any], stream: torch.cuda.Stream | None) -> None:
        """Capture; nothing is computed yet, and there has to be a stream on a GPU."""
        self.call, self.stream, self.value = call, stream, None
        if stream is not None:
            self.graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.graph, stream=stream):
                self.value = call()

    def replay(self) -> None:
        if self.stream is None:
            self.value = self.call()
        else:
            self.graph.replay()


class Graphs(Engine):
    """A graph of the teacher's pass, and one of each student's step, one after the other.

    A student whose step cannot be captured takes it as the loop does, as long as torch lets it; a
    note says who and why. What a capture that failed leaves of a GPU's state, that of its random
    generator among it, is not known: another student may fail after it, and so may the variant.
    """

    def __init__(self, cohort: Cohort) -> None:
        super().__init__(cohort)
        self.streams = self._streams()
        self.lr = torch.full((), LR, device=self.device)
        self.batch = {name: x.clone() for name, x in cohort.batch(0).items()}  # at a fixed place
        self.traces: Mapping[str, Trace] = {}
        self.refused: list[tuple[Learner, torch.cuda.Stream | None]] = []

    def _streams(self) -> list[torch.cuda.Stream | None]:
        """Return the stream of each student: all on one."""
        return [self.stream for _ in self.cohort.learners]

    def step(self, number: int) -> None:
        for name, x in self.cohort.batch(number).items():
            self.batch[name].copy_(x)
        if number == WARMUP:
            self._capture(number)
        if number < WARMUP:
            self.traces = self._teach()
            calls = [partial(self._advance, learner, number) for learner in self.cohort.learners]
            self._take(number, calls)
        else:
            self._replay(number)

    def _capture(self, number: int) -> None:
        self.teaching = Captured(self._teach, self.stream)
        self.traces = self.teaching.value or {}
        self.steps = [
            self._captured(learner, stream, number)
            for learner, stream in zip(self.cohort.learners, self.streams, strict=True)
        ]

    def _replay(self, number: int) -> None:
        self.teaching.replay()
        self.traces = self.teaching.value
        self._take(number, self.steps)

    def _take(self, number: int, steps: Sequence[Callable[[], object]]) -> None:
        """Take each student's step on its stream, all after what was asked before."""
        with forked(self.streams):
            for learner, stream, step in zip(
                self.cohort.learners, self.streams, steps, strict=True
            ):
                with on(stream):
                    learner.draw(number, self.cohort.count)
                    step()

    def _captured(
        self, learner: Learner, stream: torch.cuda.Stream | None, number: int
    ) -> Callable[[], object]:
        """Return a student's step, captured if it can be."""
        call = partial(self._advance, learner, number)
        present = torch.cuda.current_stream() if stream is not None else None
        try:
            make_capturable(learner)
            return Captured(call, stream).replay
        except Exception as error:
            if present is not None:
                torch.cuda.set_stream(present)  # a capture that fails does not go back
            why = error.__context__ or error
            self.refused.append((learner, stream))
            self.notes.append(f"{learner.cell.method} was not captured: {first_line(why)}")
            return call

    def _teach(self) -> dict[str, Trace]:
        return self.cohort.teach(self.batch, self.cohort.taught)

    def _advance(self, learner: Learner, number: int) -> object:
        """Take a step that was drawn; whose number matters only to who moves in it."""
        traces = self.traces if learner.teacher else None
        return learner.advance(number, self.lr, self.batch, traces)


class Streams(Graphs):
    """The same graphs, the students' on parallel streams."""

    def _streams(self) -> list[torch.cuda.Stream | None]:
        return [new_stream(self.device) for _ in self.cohort.learners]


class Branches(Streams):
    """One graph of everything, in which students are branches after the teacher's pass.

    All draws come first: where networks draw noise it would be other noise than alone. Students
    whose steps cannot be captured by themselves take them afterwards.
    """

    def _capture(self, number: int) -> None:
        super()._capture(number)
        del self.teaching, self.steps  # they have shown who can be captured
        self.whole = Captured(lambda: self._all(number), self.stream)

    def _all(self, number: int) -> list[object]:
        self.traces = self._teach()
        found: list[object] = [self.traces]  # what is kept is not given to another branch
        with forked(self.streams):
            for learner, stream in zip(self.cohort.learners, self.streams, strict=True):
                if (learner, stream) not in self.refused:
                    with on(stream):
                        found.append(self._advance(learner, number))
        return found

    def _replay(self, number: int) -> None:
        for learner in self.cohort.learners:
            learner.draw(number, self.cohort.count)
        self.whole.replay()
        for learner, stream in self.refused:
            with forked([stream]), on(stream):
                self._advance(learner, number)


ENGINES: Mapping[str, type[Engine]] = {
    "alone": Alone,
    "together": Together,
    "compile": Together,  # of networks that are compiled
    "graphs": Graphs,
    "streams": Streams,
    "branches": Branches,
}


def make_capturable(learner: Learner) -> None:
    """Tell the optimisers that they are captured: torch asks. Fused ones compute the same."""
    for player in learner.players:
        for optimiser in player.optimisers.values():
            for group in optimiser.param_groups:
                group["capturable"] = True


def new_stream(device: torch.device) -> torch.cuda.Stream | None:
    return torch.cuda.Stream(device) if device.type == "cuda" else None


def on(stream: torch.cuda.Stream | None) -> contextlib.AbstractContextManager[object]:
    """Work on a stream, where there are any."""
    return contextlib.nullcontext() if stream is None else torch.cuda.stream(stream)


@contextlib.contextmanager
def forked(streams: Sequence[torch.cuda.Stream | None]) -> Iterator[None]:
    """Let streams begin after the present one, and the present one go on after all of them."""
    others = {s for s in streams if s is not None and s != torch.cuda.current_stream()}
    for stream in others:
        stream.wait_stream(torch.cuda.current_stream())
    yield
    for stream in others:
        torch.cuda.current_stream().wait_stream(stream)


def first_line(error: BaseException) -> str:
    """Return the name of an error and the first line of its text."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"
