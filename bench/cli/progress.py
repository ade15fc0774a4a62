"""What a run shows a person: bars in a terminal, dated lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape

from bench.cli.board import Board, Line, clock
from bench.contracts.width import NO_WIDTH, said_width
from bench.errors import printable

if TYPE_CHECKING:
    from bench.plan.matrix import Entry, Plan
    from bench.store.layout import Store

NEWS_S = 1.0  # a phase that lasts longer is said where there is no terminal
LINE_S = (20.0, 300.0)  # between two lines there: at first, and at most
LINES = 30.0  # a line for each such part of the time that has passed


@dataclass
class _Member:
    """A cell in hand."""

    line: Line
    phase: str
    since: float  # when the phase began
    first: int  # step at which it did


class Display:
    """Listens to a run: its phase, cells done, the time left, and in a terminal the losses.

    Says something from the moment it is entered, before anything heavy is imported; `follow` tells
    it what there is to do.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.names: dict[str, str] = {}
        self.short: dict[str, Line] = {}
        self.cells = 0
        self.ended: set[str] = set()
        self.steps: dict[str, int] = {}
        self.taken: dict[str, int] = {}
        self.members: dict[str, _Member] = {}
        self.phase, self.since = "starting", time.monotonic()
        self.begun = 0  # steps of earlier runs
        self.trained_since = 0.0
        self.entered = self.spoken = time.monotonic()
        self.live = Live(
            console=console, get_renderable=self._drawn, refresh_per_second=4, transient=True
        )
        self._over = threading.Event()
        self._beat = threading.Thread(target=self._speak, daemon=True)

    def __enter__(self) -> Self:
        """Begin to draw, or to speak."""
        if self.console.is_terminal:
            self.live.start(refresh=True)
        else:
            self._beat.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        self._over.set()
        if self.console.is_terminal:
            self.live.stop()
        else:
            self._beat.join()

    def enter(self, phase: str) -> None:
        """Say what is done from now on, of no cell in particular."""
        self.phase, self.since = phase, time.monotonic()

    def follow(self, plan: Plan, store: Store) -> None:
        """Take up a plan, of which some cells may be done."""
        from bench.plan.learning_rate import schedule_of
        from bench.run.walk import is_finished

        for entry in plan.entries:
            if entry.cell is not None:
                self.names[entry.cell.key] = str(entry)
                self.short[entry.cell.key] = _short(entry)
        todo = [c for c in plan.cells.values() if not is_finished(c, plan, store)]
        self.cells, self.ended, self.trained_since = len(todo), set(), 0.0
        untrained = [c for c in todo if not c.given and store.state(c.key).status != "done"]
        self.steps = {c.key: schedule_of(c).steps for c in untrained}
        self.taken = {key: store.last_loss(key).get("step", 0) for key in self.steps}
        self.begun = sum(self.taken.values())

    def listen(self, event: str, key: str, data: Mapping[str, Any]) -> None:
        """Show one event."""
        name = escape(self.names.get(key, key))
        if event == "phase":
            self._begin(key, data["phase"])
        elif event == "progress":
            self._advance(key, data)
        elif event == "ended":
            self._end(key, name, data)
        elif event == "scored":
            self.members.pop(key, None)
            self.ended.add(key)
        elif event == "waiting":
            self._print(f"waiting: {name} is being trained by another process")
        elif event in ("note", "error"):
            if event == "error":
                self.members.pop(key, None)
            self.say(f"{key} {data.get('text') or data.get('reason')}".strip())

    def _begin(self, key: str, phase: str) -> None:
        if not key:
            self.enter(phase)
            return
        now, line = time.monotonic(), self.short.get(key, Line(key))
        self.trained_since = self.trained_since or now
        steps, taken = self.steps.get(key, 0), self.taken.get(key, 0)
        done, total = (taken, steps) if phase == "training" else (0, 0)
        line = replace(line, done=done, total=total, time=phase)
        self.members[key] = _Member(line, phase, now, taken)

    def _advance(self, key: str, data: Mapping[str, Any]) -> None:
        member = self.members.get(key)
        if key not in self.steps or member is None:
            return
        self.taken[key] = member.line.done = data["step"]
        rate = (data["step"] - member.first) / max(time.monotonic() - member.since, 1e-9)
        member.line.time = clock((data["steps"] - data["step"]) / rate) if rate > 0 else ""
        member.line.losses = "  ".join(f"{n} {v:.3g}" for n, v in data["losses"].items())

    def _end(self, key: str, name: str, data: Mapping[str, Any]) -> None:
        self.members.pop(key, None)
        if data["status"] == "done" and "given" in data:
            self._print(f"given     {name}  ({escape(data['given'])})")
            return
        if data["status"] == "done":
            self._print(f"trained   {name}  ({data['seconds']:.0f} s)")
            return
        self.ended.add(key)
        if key in self.steps:
            self.steps[key] = self.taken[key]  # no more of them will come
        detail = f"at step {data['step']}" if data["status"] == "diverged" else data["reason"]
        self._print(f"[red]{data['status']}[/red]  {name}: {escape(str(detail))}")

    def _standing(self) -> Line:
        """Return the line of the whole run."""
        members, now = [*self.members.values()], time.monotonic()
        phases = {member.phase for member in members} or {self.phase}
        name = " and ".join(sorted(phases, reverse=True))  # training before scoring
        since = min((member.since for member in members), default=self.since)
        line = Line(name, time=f"for {clock(now - since)}")
        if self.cells:
            line.short = f" {len(self.ended)}/{self.cells}"
            line.mark = f" {line.short} cells"
            line.done, line.total = sum(self.taken.values()), sum(self.steps.values())
        if "training" in phases:
            rate = (line.done - self.begun) / max(now - self.trained_since, 1e-9)
            left = clock((line.total - line.done) / rate) if rate > 0 else "unknown"
            line.time = f"left {left}"
        return line

    def _drawn(self) -> Board:
        lines = [member.line for member in [*self.members.values()]]
        return Board([self._standing(), *(replace(x, name=f"  {x.name}") for x in lines)])

    def _speak(self) -> None:
        """Say dated lines where there is no terminal: a phase once it lasts, then now and then."""
        said, seen, seen_at = set[str](), "", 0.0
        while not self._over.wait(NEWS_S / 4):
            line, now = self._standing(), time.monotonic()
            phase = line.name
            if phase != seen:
                seen, seen_at = phase, now
            pause = min(LINE_S[1], max(LINE_S[0], (now - self.entered) / LINES))
            if (phase not in said and now - seen_at > NEWS_S) or now - self.spoken > pause:
                said.add(phase)
                counted = f"  {line.done}/{line.total} steps" if line.total else ""
                self.say(f"{line.text}{counted}  {line.time}".strip())

    def say(self, text: str) -> None:
        """Say a line that stays, dated where there is no terminal."""
        self._print(escape(text))

    def _print(self, text: str) -> None:
        self.spoken = time.monotonic()
        dated = "" if self.console.is_terminal else f"{time.strftime('%Y-%m-%d %H:%M:%S')}  "
        self.console.print(dated + printable(text), highlight=False, soft_wrap=True)


def _short(entry: Entry) -> Line:
    """Return a place as a line that may be cut has it: what tells it from others comes first."""
    width = said_width(entry.width) if entry.width != NO_WIDTH else ""
    return Line(
        entry.method,
        mark=f" width {width}" * bool(width) + f" seed {entry.seed}",
        short=f" w{width}" * bool(width) + f" s{entry.seed}",
        rest=f", {entry.dataset} {entry.architecture}",
    )
