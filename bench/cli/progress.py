"""What a run shows a person: bars in a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from bench.errors import printable
from bench.plan.learning_rate import schedule_of
from bench.plan.matrix import Plan
from bench.run.walk import is_finished
from bench.store.layout import Store

LINE_S = 20.0  # between two lines where there is no terminal
BARS = 8  # cells shown at once


class Display:
    """Listens to a run: cells done, the current losses, the time left."""

    def __init__(self, plan: Plan, store: Store, console: Console) -> None:
        self.console = console
        self.names = {e.cell.key: str(e) for e in plan.entries if e.cell is not None}
        todo = [c for c in plan.cells.values() if not is_finished(c, plan, store)]
        self.cells = len(todo)
        self.ended: set[str] = set()
        self.steps = {
            c.key: schedule_of(c).steps
            for c in todo
            if not c.given and store.state(c.key).status != "done"
        }
        self.taken = {
            key: max((r["step"] for r in store.losses(key)), default=0) for key in self.steps
        }
        self.begun = sum(self.taken.values())  # in earlier runs
        self.started = self.spoken = time.monotonic()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[losses]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        total = max(1, sum(self.steps.values()))
        self.overall = self.progress.add_task(
            f"{self.cells} cells", total=total, completed=self.begun, losses=""
        )
        self.bars: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the terminal as it was."""
        self.progress.stop()

    def listen(self, event: str, key: str, data: Mapping[str, Any]) -> None:
        """Show one event."""
        name = escape(self.names.get(key, key))
        if event == "progress":
            self._show_progress(key, name, data)
        elif event == "ended":
            self._show_end(key, name, data)
        elif event == "scored":
            self._count(key)
        elif event == "waiting":
            self._say(f"waiting: {name} is being trained by another process")
        elif event in ("note", "error"):
            self._say(escape(f"{key} {data.get('text') or data.get('reason')}".strip()))

    def _show_progress(self, key: str, name: str, data: Mapping[str, Any]) -> None:
        if key not in self.steps:
            return
        self.taken[key] = data["step"]
        self.progress.update(self.overall, completed=sum(self.taken.values()))
        losses = "  ".join(f"{n} {v:.3g}" for n, v in data["losses"].items())
        if key not in self.bars:
            shown = len(self.bars) < BARS
            self.bars[key] = self.progress.add_task(
                name, total=data["steps"], losses="", visible=shown
            )
        self.progress.update(self.bars[key], completed=data["step"], losses=escape(losses))
        if not self.console.is_terminal and time.monotonic() - self.spoken > LINE_S:
            self._say(f"{self._standing()}; {name}: {escape(losses)}")

    def _show_end(self, key: str, name: str, data: Mapping[str, Any]) -> None:
        if key in self.bars:
            self.progress.remove_task(self.bars.pop(key))
            for bar in list(self.bars.values())[:BARS]:
                self.progress.update(bar, visible=True)
        if data["status"] == "done" and "given" in data:
            self._say(f"given     {name}  ({escape(data['given'])})")
            return
        if data["status"] == "done":
            self._say(f"trained   {name}  ({data['seconds']:.0f} s)")
            return
        self._count(key)
        detail = f"at step {data['step']}" if data["status"] == "diverged" else data["reason"]
        self._say(f"[red]{data['status']}[/red]  {name}: {escape(str(detail))}")

    def _count(self, key: str) -> None:
        self.ended.add(key)
        self.progress.update(self.overall, description=f"{len(self.ended)}/{self.cells} cells")

    def _standing(self) -> str:
        done, total = sum(self.taken.values()), max(1, sum(self.steps.values()))
        speed = (done - self.begun) / (time.monotonic() - self.started)
        left = timedelta(seconds=round((total - done) / speed)) if speed else "unknown"
        return f"{len(self.ended)}/{self.cells} cells, {done}/{total} steps, time left {left}"

    def _say(self, text: str) -> None:
        self.spoken = time.monotonic()
        self.progress.console.print(printable(text), highlight=False, soft_wrap=True)
