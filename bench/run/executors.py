"""Who does the jobs: this process, or worker processes that none outlives the run.

Workers are spawned, so that CUDA and thread pools start fresh. A worker that is told to stop, or
whose parent has died, writes its checkpoints and ends; one that dies itself is noticed and
replaced.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from bench.errors import DistillbenchError, Interrupted
from bench.plugins import outside
from bench.run.job import Emit, Job

SPAWN = multiprocessing.get_context("spawn")
SAFE_PATH = "PYTHONSAFEPATH"
GRACE_S = 60.0  # to write checkpoints once the parent is gone


class Executor(Protocol):
    """Takes jobs and reports what happens to them through an `Emit`."""

    def idle(self) -> int:
        """Return how many jobs can start now."""

    def submit(self, job: Job) -> None:
        """Start a job."""

    def wait(self) -> list[Job]:
        """Wait for news; return the jobs that ended, however they ended."""

    def stop(self) -> None:
        """Have every job write its checkpoints and end."""

    def close(self) -> None:
        """Release everything."""


class InProcess:
    """Does each job as it is submitted, in this process."""

    def __init__(self, emit: Emit) -> None:
        self._emit, self._stopped = emit, False
        self._ended: list[Job] = []

    def idle(self) -> int:
        """Return 1: nothing else runs while a job does."""
        return 0 if self._stopped else 1

    def submit(self, job: Job) -> None:
        """Do a job."""
        _do(job, self._emit, lambda: self._stopped)
        self._ended.append(job)

    def wait(self) -> list[Job]:
        """Return the jobs done since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Have the job in hand end after its present step; called from a signal handler."""
        self._stopped = True

    def close(self) -> None:
        """Nothing to release."""


class Processes:
    """Worker processes, each in an environment of its own."""

    def __init__(self, emit: Emit, environments: Sequence[Mapping[str, str]]) -> None:
        """Start them.

        Args:
            emit: told of every event.
            environments: what the environment of each worker says beside this process's. Workers
                with equal ones share a processor: a job goes to where fewest others are at work,
                the first of these, so that a lone job is always done in the first environment.
        """
        self._emit, self._stopped = emit, False
        self._idle = [_Worker(place, told) for place, told in enumerate(environments)]
        self._busy: dict[Any, tuple[_Worker, Job]] = {}  # by connection

    def idle(self) -> int:
        """Return how many workers have nothing to do."""
        return 0 if self._stopped else len(self._idle)

    def submit(self, job: Job) -> None:
        """Give a job to a worker that has none."""
        at_work = [worker.environment for worker, _ in self._busy.values()]
        worker = min(self._idle, key=lambda w: (at_work.count(w.environment), w.place))
        self._idle.remove(worker)
        if not worker.process.is_alive():  # killed while it had nothing to do
            worker = _anew(worker)
        self._busy[worker.connection] = (worker, job)
        with contextlib.suppress(OSError):  # a worker that just died is noticed in wait()
            worker.connection.send(job)
        if self._stopped:  # by a signal that came while this worker was in neither list
            worker.process.terminate()

    def wait(self) -> list[Job]:
        """Pass on what the workers emit; return the jobs that ended or whose worker died."""
        ended = []
        for connection in wait(list(self._busy), timeout=0.5):
            worker, job = self._busy[connection]
            try:
                event, key, data = worker.connection.recv()
            except (EOFError, OSError):
                event, key, data = "finished", "", {}
                worker = self._replace(worker, job)
            if event == "finished":
                if data.get("is_last"):
                    worker = _anew(worker)
                del self._busy[connection]
                self._idle.append(worker)
                ended.append(job)
            else:
                self._emit(event, key, data)
        return ended

    def stop(self) -> None:
        """Tell every worker to write its checkpoints and end; the second time, kill it.

        Called from a signal handler.
        """
        for worker in self._all():
            if worker.process.is_alive():
                worker.process.kill() if self._stopped else worker.process.terminate()
        self._stopped = True

    def close(self) -> None:
        """End all workers."""
        for worker in self._all():
            worker.close(GRACE_S if worker.connection in self._busy else 5.0)

    def _all(self) -> list[_Worker]:
        return [*self._idle, *(worker for worker, _ in self._busy.values())]

    def _replace(self, worker: _Worker, job: Job) -> _Worker:
        """Report the job of a worker that died, and return another in its place."""
        worker.process.join()
        if self._stopped:
            return worker
        code = worker.process.exitcode or 0
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        hint = "; was memory short?" if code == -signal.SIGKILL else ""
        self._emit("died", "", {"job": job, "reason": f"its worker died ({cause}{hint})"})
        return _anew(worker)


class _Worker:
    """One process and the way to it."""

    def __init__(self, place: int, environment: Mapping[str, str]) -> None:
        self.place, self.environment = place, environment
        self.connection, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_main, args=(theirs, outside.places()))
        # Ctrl-C is for the parent, who tells its workers. They begin without the present folder on
        # their path, where a `random.py` may lie: they get their parent's path, but only once they
        # have imported what they need to be told of it
        with _ignoring(signal.SIGINT), _saying({**environment, SAFE_PATH: "1"}):
            self.process.start()
        theirs.close()

    def close(self, patience_s: float) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(None)
        self.process.join(patience_s)
        self.process.kill()
        self.process.join()
        self.connection.close()


def _anew(worker: _Worker) -> _Worker:
    """End a worker, and return another in its place."""
    worker.close(5.0)
    return _Worker(worker.place, worker.environment)


@contextlib.contextmanager
def _ignoring(number: signal.Signals) -> Iterator[None]:
    """Start what follows with a signal ignored; a child inherits that."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def _saying(told: Mapping[str, str]) -> Iterator[None]:
    """Start what follows with more in its environment than this process has in its own."""
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _do(job: Job, emit: Emit, stop: Callable[[], bool]) -> None:
    """Do a job; an error becomes an event."""
    from bench.run.worker import work  # imports torch, only in a process that computes

    try:
        work(job, emit, stop)
    except Interrupted:
        emit("interrupted", "", {})
    except DistillbenchError as error:
        emit("error", "", {"reason": str(error)})


def _main(connection: Connection, places: outside.Places) -> None:
    """Run in a worker: do jobs until there are none, the parent dies or a signal says stop.

    Where a cell fails on a GPU it does no other job: after some errors every call of CUDA fails in
    the process that had them, and it would be the first to be idle for all that is left.
    """
    outside.look_in(places)
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    threading.Thread(target=_watch_parent, args=(stopped,), daemon=True).start()

    has_failed = threading.Event()

    def emit(event: str, key: str, data: Mapping[str, Any]) -> None:
        if event == "error" or data.get("status") == "failed":
            has_failed.set()
        with contextlib.suppress(OSError):  # a dead parent hears nothing
            connection.send((event, key, data))

    while not stopped.is_set():
        if not connection.poll(0.5):
            continue
        try:
            job = connection.recv()
        except (EOFError, OSError):
            return
        if job is None:
            return
        _do(job, emit, stopped.is_set)
        is_last = has_failed.is_set() and job.device != "cpu"
        emit("finished", "", {"is_last": is_last})
        if is_last:
            return


def _watch_parent(stopped: threading.Event) -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    stopped.set()
    threading.Event().wait(GRACE_S)
    os._exit(1)
