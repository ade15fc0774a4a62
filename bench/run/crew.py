"""Who does a run's jobs on a Ray cluster: an actor on each node for each cohort it has room for.

An actor outlives a cohort, so that torch is not imported for each. A node is looked through before
it gets work. What a cohort needs goes there and what it makes comes back, unless the node sees the
store. The cohort of a node that dies is given to another, which goes on from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import sys
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.errors import Damaged, DistillbenchError
from bench.plugins import outside
from bench.run.executors import GRACE_S
from bench.run.held import hold, sweep
from bench.run.job import Emit, Job
from bench.run.on_node import Errand, Hand, News, keys_of, sources_of, versions
from bench.run.slot import Slot, needed, places
from bench.run.travel import Crossing, Freight
from bench.store.atomic import make_folder
from bench.store.layout import Store
from bench.store.provenance import without_password

if TYPE_CHECKING:
    from bench.run.cluster import Cluster

CHECKPOINT_TRAVELS_S = 120.0  # at least this long between two checkpoints that travel
OPEN_S = 60.0  # to wait for all nodes before work begins
LOOK_S = 10.0  # between two looks at which nodes there are
LEFT_S = 300.0  # to wait for a node where none is left
ATTEMPTS = 4  # of a cohort whose nodes die


class Crew:
    """Gives jobs to actors, and hears of them."""

    def __init__(self, cluster: Cluster, emit: Emit, count: int) -> None:
        import ray

        self._ray, self._cluster, self._count, self._emit = ray, cluster, count, emit
        self._store = Store(cluster.store.resolve())
        make_folder(self._store.root)
        sweep(self._store.root.glob(".seen-*"))  # of runs that were killed
        self._token = self._store.root / f".seen-{uuid.uuid4().hex}"
        self._lock = hold(self._token)
        self._versions = versions()
        self._slots: list[Slot] = []
        self._check: Job | None = None  # what every node has to pass
        self._is_checking = False  # for the first time: nothing else is at work
        self._found: dict[str, str] = {}  # node that was looked through -> what is wrong, or ""
        self._again: list[Job] = []  # to be given out, as those of nodes that died
        self._attempts: Counter[int | str] = Counter()  # by the id() of a job; at a check, a node's
        self._ended: list[Job] = []
        self._stops, self._is_told = 0, False
        self._said: set[str] = set()
        self._looked_at = 0.0
        self._there_at = time.monotonic()  # when somebody was last there
        emit("phase", "", {"phase": "start-up: nodes"})
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    # what a walk asks

    def idle(self) -> int:
        """Return how many jobs can start now; wait where nobody works and nobody could.

        Raises:
            DistillbenchError: as `wait`.
        """
        while not (self._stops or self._able() or self._is_at_work()):
            self._attend()
        return 0 if self._stops else max(0, len(self._able()) - len(self._again))

    def submit(self, job: Job) -> None:
        """Give a job to somebody who has none; what is to be checked, to one on each node."""
        if job.action != "check":
            for why in self._refused():
                self._note(f"{why} It gets no work.")
            self._again.append(job)
            self._hand_out()
            return
        self._check, self._is_checking = job, True
        for why in self._refused():
            self._emit("error", "", {"reason": why})
        for slot in {slot.node: slot for slot in self._slots if slot.is_idle}.values():
            self._begin(slot, job)
        self._end_check()

    def wait(self) -> list[Job]:
        """Pass on what is heard; return the jobs that ended, however they did.

        Raises:
            DistillbenchError: there has been nobody for `LEFT_S`.
        """
        if not self._ended:
            self._attend()
        ended, self._ended = self._ended, []
        return ended

    def stop(self) -> None:
        """Have every job write its checkpoints and end; the second time, at once.

        Called from a signal handler: the rest is left to `wait`.
        """
        self._stops += 1

    def close(self) -> None:
        """End all that was started on the cluster."""
        for slot in [slot for slot in self._slots if slot.job]:  # where an error ends a run
            slot.actor.stop.remote()
        asked = [slot.actor.close.remote() for slot in self._slots if slot.is_open]
        if asked and self._stops < 2:
            self._ray.wait(asked, num_returns=len(asked), timeout=GRACE_S)
        for slot in list(self._slots):
            self._part(slot)
        self._lock.release()
        self._token.unlink(missing_ok=True)

    # who is there

    def _open(self) -> None:
        """Find nodes, and wait until somebody is ready on each.

        Raises:
            DistillbenchError: no node has room, or none is as this machine is.
        """
        self._look()
        if not self._slots:
            asked = f"--num-cpus {self._cluster.num_cpus:g} --num-gpus {self._cluster.num_gpus:g}"
            raise DistillbenchError(f"no node of the cluster has room for a cohort ({asked}).")
        since = time.monotonic()
        while any(not slot.is_open for slot in self._slots):
            self._attend()
            if time.monotonic() - since > OPEN_S and any(slot.is_open for slot in self._slots):
                return
        if not self._slots:
            raise DistillbenchError("\n".join(self._found.values()) or "no node is left.")

    def _look(self) -> None:
        """Make room where there are nodes; leave those that are no more, or not wanted."""
        self._looked_at = time.monotonic()
        nodes = {node["NodeID"]: node for node in self._ray.nodes() if node["Alive"]}
        for slot in [s for s in self._slots if not s.job]:
            if slot.node not in nodes or self._found.get(slot.node):
                self._leave(slot)
        asked = {"CPU": self._cluster.num_cpus, "GPU": self._cluster.num_gpus}
        names = Counter(node["NodeName"] for node in nodes.values())
        room = []
        for id_, node in nodes.items():
            name = node["NodeName"] + (f" ({id_[:8]})" if names[node["NodeName"]] > 1 else "")
            taken = sum(slot.node == id_ for slot in self._slots)
            if not self._found.get(id_):
                room += [(i, id_, name) for i in range(taken, places(node["Resources"], asked))]
        for _, id_, name in sorted(room)[: self._count - len(self._slots)]:
            self._hire(name, nodes[id_])

    def _hire(self, name: str, node: Mapping[str, Any]) -> None:
        """Start somebody on a node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        errand = Errand(
            {"name": node["NodeName"], "host": node["NodeManagerHostname"], "id": node["NodeID"]},
            outside.places(),
            self._cluster.threads,
            self._store.root,
            self._token.name,
            [without_password(word) for word in sys.argv],
            CHECKPOINT_TRAVELS_S,
        )
        actor = self._ray.remote(Hand).options(
            num_cpus=self._cluster.num_cpus,
            num_gpus=self._cluster.num_gpus,
            max_restarts=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        slot = Slot(node["NodeID"], name, actor.remote(errand))
        self._slots.append(slot)
        slot.ask(slot.actor.look.remote(), self._opened)

    def _opened(self, slot: Slot, found: tuple[Mapping[str, str], bool]) -> None:
        """Take up somebody who is ready, if the node is as this machine is."""
        there, sees_store = found
        other = [
            f"{n} {there.get(n)}, not {v}" for n, v in self._versions.items() if there.get(n) != v
        ]
        if other:
            self._refuse(slot, f"it has {'; '.join(other)}, as the machine that asks")
            return
        slot.is_open, slot.crossing = True, None if sees_store else Crossing(self._store)
        is_new = not any(s.node == slot.node and s.job is self._check for s in self._slots)
        if self._check and slot.node not in self._found and is_new:
            self._begin(slot, self._check)  # a node that came later

    def _refuse(self, slot: Slot, why: str) -> None:
        """Do without a node, and say why; who trains there may end what they are at."""
        if not self._found.get(slot.node):
            said = f"node {slot.name}: {why}".rstrip(".") + "."
            self._found[slot.node] = said
            if self._is_checking:
                self._emit("error", "", {"reason": said})
        for other in [s for s in self._slots if s.node == slot.node]:
            if other is slot or not other.job:
                self._leave(other)

    def _refused(self) -> list[str]:
        return [why for why in self._found.values() if why]

    def _leave(self, slot: Slot) -> None:
        """Part with somebody; another takes up what they were at."""
        if slot not in self._slots:
            return
        self._part(slot)
        if slot.job is self._check:
            self._end_check()
        elif slot.job and self._stops:
            self._end(slot.job)
        elif slot.job:
            self._again.append(slot.job)

    def _part(self, slot: Slot) -> None:
        slot.locks.close()
        self._slots.remove(slot)
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.kill(slot.actor)

    def _able(self) -> list[Slot]:
        """Return who can begin a job: on nodes that passed the check, if there was one."""
        unseen = None if self._check else ""
        return [s for s in self._slots if s.is_idle and self._found.get(s.node, unseen) == ""]

    def _is_at_work(self) -> bool:
        return any(slot.job for slot in self._slots if slot.job is not self._check)

    # what they do

    def _attend(self) -> None:
        """Wait a moment for answers, and take them."""
        self._mind()
        if self._stops:
            self._stop_all()
        elif time.monotonic() - self._looked_at > LOOK_S:
            self._look()
        self._hand_out()
        asked = {slot.asked: slot for slot in self._slots if slot.asked is not None}
        if not asked:
            time.sleep(0.1)
            return
        answered, others = self._ray.wait(list(asked), timeout=0.5)
        answered += self._ray.wait(others, num_returns=len(others), timeout=0)[0] if others else []
        for one in answered:
            slot = asked[one]
            if slot in self._slots:  # and not left meanwhile
                self._answer(slot)

    def _mind(self) -> None:
        """Notice that nobody is there.

        Raises:
            DistillbenchError: for `LEFT_S`.
        """
        gone_s = time.monotonic() - self._there_at
        if self._stops or any(slot.is_open for slot in self._slots):
            self._there_at = time.monotonic()
        elif self._slots and gone_s > OPEN_S:
            self._note("waiting for room in the cluster")
        elif not self._slots and gone_s > LEFT_S:
            said = [*self._refused(), "no node of the cluster is left; the same command goes on."]
            raise DistillbenchError("\n".join(said))

    def _answer(self, slot: Slot) -> None:
        asked, takes = slot.asked, slot.takes
        slot.asked = None
        assert takes is not None
        try:
            found = self._ray.get(asked)
        except Exception as error:  # of Ray, or what was raised there
            self._lose(slot, error)
        else:
            takes(slot, found)

    def _hand_out(self) -> None:
        """Give out what waits for somebody, and look again for who waits for a cell."""
        for slot in [s for s in self._slots if s.job and s.asked is None]:
            self._begin(slot, slot.job)
        for slot in self._able()[: len(self._again)]:
            self._begin(slot, self._again.pop(0))

    def _begin(self, slot: Slot, job: Job | None) -> None:
        """Have a job done; where the store is not seen, once no other process has its cells."""
        assert job is not None
        slot.job, freight = job, Freight()
        if slot.crossing and job.action != "check":
            if busy := slot.hold(self._store):
                if not slot.waits:
                    self._emit("waiting", busy, {})
                slot.waits = True
                return
            freight = slot.crossing.pack(needed(job, self._store), keys_of(job))
        sources = sources_of(job) if job.action == "check" else {}
        slot.ask(slot.actor.begin.remote(job, freight, sources), self._ask_on)

    def _ask_on(self, slot: Slot, _: None = None) -> None:
        slot.ask(slot.actor.hear.remote(), self._hear)

    def _hear(self, slot: Slot, news: News) -> None:
        """Keep what came, then pass on what happened."""
        job = slot.job
        assert job is not None
        if slot.crossing:
            try:
                is_newer = job.action == "measure"
                slot.crossing.unpack(news.freight, keys_of(job), is_newer)
            except Damaged as error:
                self._lose(slot, error)
                return
        for event, key, data in news.events:
            if job.action == "check" and event in ("error", "died"):
                self._refuse(slot, data["reason"])
            elif event == "died" or (event == "interrupted" and not self._stops):
                slot.cut = data.get("reason", "its worker was told to end")
            elif event == "note":
                self._note(data["text"])
            else:
                if len(data.get("environments", ())) > 1:
                    kinds = " and ".join(str(e["device"]) for e in data["environments"])
                    self._note(f"cell {key} began elsewhere than it ended: on {kinds}")
                self._emit(event, key, data)
        if slot not in self._slots:  # it did not pass
            return
        if not news.is_over:
            self._ask_on(slot)
        elif slot.cut:
            self._lose(slot, slot.cut)
        else:
            slot.free()
            if job is self._check:
                self._found.setdefault(slot.node, "")
                self._end_check()
            else:
                self._end(job)

    def _end(self, job: Job) -> None:
        self._attempts.pop(id(job), None)
        self._ended.append(job)

    def _end_check(self) -> None:
        """End the check that a walk asked for, once every node has been looked through."""
        if self._is_checking and not any(slot.job for slot in self._slots):
            assert self._check is not None
            self._is_checking = False
            self._ended.append(self._check)

    def _lose(self, slot: Slot, why: object) -> None:
        """Part with somebody who cannot go on, and say why; not for ever again."""
        job, why = slot.job, getattr(why, "cause", why)  # of what was raised there
        said = (str(why).strip() or type(why).__name__).splitlines()[0]
        what = slot.node if job is self._check else id(job)
        if not slot.is_open and getattr(why, "actor_init_failed", True):
            self._refuse(slot, f"distillbench does not begin there: {said}")
        elif job is None or self._stops:
            self._leave(slot)
        elif (tried := self._attempts[what] + 1) < ATTEMPTS:
            self._attempts[what] = tried
            then = "it is tried again" if job is self._check else "its cells go on elsewhere"
            self._note(f"node {slot.name} was lost ({said}); {then}")
            self._leave(slot)
        elif job is self._check:
            self._refuse(slot, f"cannot be looked through: {said}")
        else:
            reason = f"lost {tried} node{'s' * (tried > 1)}, at last: {said}"
            self._emit("died", "", {"job": job, "reason": reason})
            self._part(slot)
            self._end(job)

    def _stop_all(self) -> None:
        """Pass on that somebody wants to stop; the second time, do not wait."""
        while self._again:
            self._end(self._again.pop())
        for slot in [slot for slot in self._slots if slot.job]:
            if slot.asked is None or slot.job is self._check or self._stops > 1:
                self._leave(slot)
            elif not self._is_told:
                slot.actor.stop.remote()
        self._is_told = True

    def _note(self, text: str) -> None:
        """Tell a person something that several machines may say, once."""
        if text not in self._said:
            self._said.add(text)
            self._emit("note", "", {"text": text})
