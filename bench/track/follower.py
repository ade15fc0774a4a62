"""MLflow's copy is kept up beside a run, by a thread that training never waits for."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from bench.plan.matrix import Entry, Plan
from bench.store.layout import Store
from bench.track.experiment import said
from bench.track.mirror import Copy

PERIOD_S = 5.0  # between two looks at what is new
FAILING_S = 10.0  # of one look, to spend on what cannot be logged


class Tracker:
    """Keeps MLflow up to date beside a run, in a thread of its own."""

    def __init__(self, plan: Plan, store: Store, uri: str) -> None:
        self._copy = Copy(plan, store, uri)
        self._entries: dict[str, list[Entry]] = {}
        for entry in plan.entries:
            if entry.cell is not None:
                self._entries.setdefault(entry.cell.key, []).append(entry)
        self.trouble = ""  # what MLflow last said, while something could not be written
        self._behind: set[str] = set()
        self._failures: Counter[str] = Counter()
        self._in_hand = ""
        self._moved = 0.0  # when something was last logged
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def listen(self, event: str, key: str, data: Mapping[str, Any]) -> None:
        """Take note that the store has something new; returns at once."""
        if key in self._entries and event in ("progress", "ended", "scored"):
            self._behind.add(key)

    def close(self, patience_s: float) -> int:
        """Bring everything up to date; return how many cells MLflow lacks something of.

        Waits as long as there is something logged at least every `patience_s` seconds: a slow
        machine is no server that is gone.
        """
        self._behind |= set(self._entries)
        self._moved = time.monotonic()
        self._closing.set()
        while self._thread.is_alive() and time.monotonic() - self._moved < patience_s:
            self._thread.join(0.2)
        behind = self._behind | ({self._in_hand} - {""})
        if behind and not self.trouble:
            self.trouble = f"nothing could be logged for {patience_s:.0f} s"
        return len(behind)

    def _follow(self) -> None:
        closing = False
        while not closing:
            closing = self._closing.wait(PERIOD_S)
            patience = FAILING_S
            for key in sorted(self._behind, key=lambda key: (self._failures[key], key)):
                started = time.monotonic()
                try:
                    self._in_hand = key
                    self._behind.discard(key)  # what is heard from now on counts again
                    for entry in self._entries[key]:
                        self._copy.update(entry)
                    self._in_hand, self._moved = "", time.monotonic()
                except Exception as error:  # a server may fail in any way
                    self.trouble = said(error, self._copy.uri)
                    self._behind.add(key)
                    self._failures[key] += 1  # so others come first the next time
                    patience -= time.monotonic() - started
                    if patience < 0:  # the server may be gone; try again later
                        break
        if not self._behind:
            try:
                self._in_hand = next(iter(self._entries), "")
                self._copy.summarise()
                self._in_hand, self._moved = "", time.monotonic()
            except Exception as error:
                self.trouble = said(error, self._copy.uri)
