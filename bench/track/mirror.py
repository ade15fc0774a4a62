"""MLflow gets a copy of everything, from one writer, and training never waits for it.

One MLflow experiment per suite; a parent run per (data set, architecture, method, width), a child
per seed, found again by tags, so that nothing is logged twice. Every call of `Copy.update` brings
one child up to what the store says; so a server that was down is caught up with by calling it
again, which is what `distillbench sync` does. A run named after the report holds its files.

All axes are tags and parameters of every run, so that MLflow's own views can filter and group by
them, and a parent has the means over its seeds, so that methods can be compared by their parents.
Each child that has ended holds a parcel of all that reports need, from which `Copy.restore` fills a
store on a machine that has none.
"""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from bench.contracts.width import said_width
from bench.errors import StoreError
from bench.plan.cell import Cell
from bench.plan.identity import identity
from bench.plan.matrix import Entry, Plan
from bench.report.rows import scores_of
from bench.store.atomic import make_folder
from bench.store.layout import Json, Store, read_json
from bench.store.provenance import without_password
from bench.track.experiment import Experiment, database, lock_of, logged_name, mlflow_name
from bench.track.grid import sample_grid
from bench.track.headline import called, describe, headlines, means_of, scores_in_a_name, trained_of
from bench.track.parcel import checked, pack, unpack
from bench.track.roster import FINAL, TAG_LENGTH, Roster
from bench.track.view import save_view

BATCH = 1000  # metrics per call: MLflow's own limit
DOWNLOADS = 8  # at once
ARTIFACTS = "mlartifacts"  # in the store: where runs of a database keep their files
PARCEL = "cell.zip"  # artifact of a child that has ended
SPEC = "spec.json"
LOGGED = "distillbench.logged"  # the last step whose losses a run has
REPORT = "report"  # role of the run with the report's files


def default_uri(store: Store) -> str:
    """Return where runs are logged: `MLFLOW_TRACKING_URI`, or a SQLite file in the store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{store.root.resolve()}/mlflow.db"


class Copy:
    """What MLflow knows of one suite's runs."""

    def __init__(self, plan: Plan, store: Store, uri: str) -> None:
        self.plan, self.store, self.uri = plan, store, uri
        self._groups: dict[tuple[str, ...], list[Entry]] = {}
        for entry in plan.entries:
            self._groups.setdefault(entry.group, []).append(entry)
        self._turn = database(uri) or store.root / ".mlflow"
        self._roster: Any = None  # once there was a connection
        self._settled: dict[str, int] = {}  # run's id -> step up to which its losses are known

    def update(self, entry: Entry) -> None:
        """Bring the run of one entry up to date; asks MLflow nothing where it is.

        Numbers come before files, so that a server that keeps no files has the numbers.

        Raises:
            Exception: whatever MLflow raises when it cannot be reached or written.
        """
        if entry.cell is None or self.store.state(entry.cell.key).status == "missing":
            return
        with self._writing():
            key = entry.cell.key
            end = self.store.read(key, "end.json")
            scores = scores_of(entry.cell, self.plan, self.store)
            final = identity([PARCEL, end, scores])
            run = self._child(entry)
            if end and run.data.tags.get(FINAL) == final:
                return
            run = self._client.get_run(run.info.run_id)  # another process may have logged more
            if run.info.lifecycle_stage == "deleted":
                self._roster.forget(run)
                run = self._child(entry)
            if end and run.data.tags.get(FINAL) == final:
                return
            self._log_losses(run, key)
            if end:
                self._log_end(run, end, scores)
                self._log_means(entry.group)
            self._log_files(run, entry.cell, end, scores)
            if end:
                self._tag(run, {FINAL: final})

    def summarise(self) -> None:
        """Write what the list of runs says of all of them: names with scores, and a description.

        Asks MLflow nothing where no cell is done.

        Raises:
            Exception: whatever MLflow raises when it cannot be reached or written.
        """
        groups = {group: self._trained(group) for group in self._groups}
        if not any(groups.values()):
            return
        with self._writing():
            for group, done in groups.items():
                if self._roster.has(self._place(group)):
                    self._name(group, done, means_of(done, self.plan, self.store))
            describe(self._experiment, self.plan, self.store)
            save_view(self._experiment, self.plan, self.store)

    def restore(self) -> None:
        """Fill the store with what reports need of the plan's cells and it does not have.

        A cell that has not ended is there as started, without its losses.

        Raises:
            StoreError: MLflow has no experiment of this suite, or a run without its parcel.
            FetchError: a parcel is damaged or hostile.
            Exception: whatever MLflow raises when it cannot be reached or read.
        """
        self._connect(create=False)
        found: dict[str, Any] = {}
        for key, run in self._roster.cells():
            is_wanted = key in self.plan.cells and self.store.state(key).status == "missing"
            if is_wanted and (key not in found or FINAL in run.data.tags):
                found[key] = run
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(DOWNLOADS) as pool:

            def download(key: str) -> Path | None:
                run, at = found[key], Path(folder, key)
                if FINAL in run.data.tags:
                    return self._experiment.download(run, PARCEL, at)
                # One that was cut off may have numbers and no files yet.
                held = self._experiment.files(run)
                return self._experiment.download(run, SPEC, at) if SPEC in held else None

            for key, path in zip(found, pool.map(download, found), strict=True):
                if path and path.name == PARCEL:
                    unpack(key, path, self.store)
                else:
                    spec = checked(read_json(path), key) if path else {"key": key}
                    self.store.write(key, SPEC, spec)

    def links(self) -> tuple[str, dict[str, str]]:
        """Return where to see the runs, and the address of each cell's run where there is one.

        The first is the address of the view of all methods, which is saved if it is not there yet,
        or the command that shows a database.

        Raises:
            StoreError: MLflow has no experiment of this suite.
            Exception: whatever MLflow raises when it cannot be reached or read.
        """
        if not self.uri.startswith(("http://", "https://")):
            near = self.uri.replace(f"sqlite:///{Path.cwd()}/", "sqlite:///")
            return f"mlflow ui --backend-store-uri {shlex.quote(without_password(near))}", {}
        self._connect(create=False)
        base = f"{without_password(self.uri).rstrip('/')}/#/experiments/{self._experiment.id}"
        runs = {key: f"{base}/runs/{run.info.run_id}" for key, run in self._roster.cells()}
        view = save_view(self._experiment, self.plan, self.store)
        query = f"?viewStateShareKey={view}&compareRunsMode=TABLE" if view else ""
        return f"{base}/runs{query}", runs

    def log_report(self, out: Path) -> None:
        """Put the files of a report into its run, in place of those of the last one.

        Raises:
            Exception: whatever MLflow raises when it cannot be reached or written.
        """
        self.summarise()
        with self._writing():
            files = ["bundle.json", *read_json(out / "bundle.json")["files"]]
            reports = list(self._experiment.runs("role", REPORT))
            held = {"distillbench.files": identity(sorted(files))}
            run = next((r for r in reports if held.items() <= r.data.tags.items()), None)
            if run is None:
                suite = self.plan.suite.name
                tags = {"suite": suite, "role": REPORT, **held}
                run = self._client.create_run(
                    self._experiment.id, tags=tags, run_name=f"{suite} {REPORT}"
                )
            run_id = run.info.run_id
            for name in files:
                folder = PurePosixPath(name).parent
                self._client.log_artifact(
                    run_id, str(out / name), str(folder) if folder.name else None
                )
            self._client.set_terminated(run_id)
            for other in reports:
                if other.info.run_id != run_id:  # of other files, and no client deletes single ones
                    self._client.delete_run(other.info.run_id)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the connection; writers of this machine take turns."""
        make_folder(self._turn.parent)
        with lock_of(self._turn):
            self._connect(create=True)
            yield

    def _connect(self, *, create: bool) -> None:
        if self._roster is None:
            artifacts = self.store.root.resolve() / ARTIFACTS if create else None
            self._experiment = Experiment(self.uri, self.plan.suite.name, artifacts)
            self._client = self._experiment.client
            self._roster = Roster(self._experiment)

    def _child(self, entry: Entry) -> Any:
        """Return the run of an entry's cell, and see that it and its parent are whole."""
        assert entry.cell is not None
        place = self._place(entry.group)
        axes = {
            "suite": self.plan.suite.name,
            "role": entry.role,
            "dataset": entry.dataset,
            "architecture": entry.architecture,
            "method": entry.method,
            "width": said_width(entry.width),
            "discriminator_width": entry.discriminator_width,
            **({"batches": "shared"} if entry.cell.shared_batches else {}),
        }
        name, dataset = called(entry, self.plan), entry.cell.dataset
        parent = self._roster.have(place, "", name, axes, dataset=dataset)
        return self._roster.have(
            f"{place}/{entry.seed}",
            entry.cell.key,
            name.replace(", ", f" seed {entry.seed}, ", 1),
            {**axes, "seed": entry.seed},
            _flat(entry.cell),
            parent,
            dataset,
        )

    def _log_losses(self, run: Any, key: str) -> None:
        """Log the records that MLflow does not have yet, in batches."""
        from mlflow.entities import Metric

        run_id, logged = run.info.run_id, int(run.data.tags.get(LOGGED, 0))
        records = [r for r in self.store.losses(key) if r["step"] > logged]
        metrics = [
            Metric(mlflow_name(f"loss/{name}"), value, int(record["time"] * 1000), record["step"])
            for record in records
            for name, value in record["losses"].items()
        ]
        if metrics and self._settled.get(run_id) != logged:
            # Its writer may have been killed with more logged than the tag says.
            held = {
                (name, point.step)
                for name in {metric.key for metric in metrics}
                for point in self._client.get_metric_history(run_id, name)
            }
            metrics = [metric for metric in metrics if (metric.key, metric.step) not in held]
        self._log(run, metrics)
        if records:
            self._settled[run_id] = records[-1]["step"]
            self._tag(run, {LOGGED: str(records[-1]["step"])})

    def _log_end(self, run: Any, end: Json, scores: list[Json]) -> None:
        """Log how a cell ended, and its scores."""
        from mlflow.entities import Metric

        metrics, infinite = [], {}
        for name, value, score in _values(scores):
            if math.isinf(value):  # SQLite would store 1.8e308
                infinite[f"distillbench.infinite.{name}"] = str(value)
            else:
                at = int(score["scored_at"] * 1000)
                metrics.append(Metric(name, value, at, score["step"] or end.get("steps", 0)))
        self._log(run, metrics)
        self._tag(
            run,
            {
                "status": end["status"],
                "reason": end.get("reason", "")[:TAG_LENGTH],
                **infinite,
            },
        )
        self._client.set_terminated(
            run.info.run_id, "FINISHED" if end["status"] == "done" else "FAILED"
        )

    def _log_files(self, run: Any, cell: Cell, end: Json, scores: list[Json]) -> None:
        """Log the files that say how a cell came about, and once it has ended, how it ended."""
        self._refuse_the_store_itself(run)
        run_id, spec = run.info.run_id, self.store.read(cell.key, SPEC)
        if end or SPEC not in self._experiment.files(run):
            self._client.log_dict(run_id, spec, SPEC)
        if not end:
            return
        for file, content in (
            ("end.json", end),
            ("scores.json", {"scores": scores}),
            ("provenance.json", self.store.provenance(spec.get("provenance", ""))),
        ):
            self._client.log_dict(run_id, content, file)
        with tempfile.TemporaryDirectory() as folder:
            parcel = Path(folder, PARCEL)
            pack(cell, self.store, parcel)
            self._client.log_artifact(run_id, str(parcel))
        grid = sample_grid(self.store.folder(cell.key) / "samples")
        if grid is not None:
            self._client.log_image(run_id, grid, artifact_file="samples.png")

    def _refuse_the_store_itself(self, run: Any) -> None:
        """Refuse a server that would have files written over the store's own results.

        Raises:
            StoreError: a run's artifacts are to lie in the store, where only MLflow's folder may.
        """
        parts = urlsplit(run.info.artifact_uri)
        if parts.scheme in ("", "file"):
            place, root = Path(url2pathname(parts.path)).resolve(), self.store.root.resolve()
            if place.is_relative_to(root) and not place.is_relative_to(root / ARTIFACTS):
                raise StoreError(f"{place}: MLflow would keep a run's files in the store itself.")

    def _log_means(self, group: tuple[str, ...]) -> None:
        """Give a parent its means over the seeds that trained, to be compared as one row.

        The step is 0, for which MLflow draws bars. Its name holds the first of them.
        """
        from mlflow.entities import Metric

        done = self._trained(group)
        means = means_of(done, self.plan, self.store)
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in means.items()]
        parent = self._roster.parent(self._place(group))
        self._log(parent, [*metrics, Metric("seeds", len(done), now, 0)])
        self._name(group, done, means)

    def _place(self, group: tuple[str, ...]) -> str:
        """Return a parent's place; seeds that share batches have one of their own."""
        shared = any(entry.cell and entry.cell.shared_batches for entry in self._groups[group])
        return "/".join([*group, *(["shared batches"] if shared else [])])

    def _trained(self, group: tuple[str, ...]) -> list[Cell]:
        return trained_of(self._groups[group], self.plan, self.store)

    def _name(self, group: tuple[str, ...], done: list[Cell], means: Mapping[str, float]) -> None:
        """Give a parent its name, which holds the first of its scores."""
        heads = headlines(done[:1], self.plan, self.store)
        scores = scores_in_a_name(heads, means, len(done), len(self._groups[group]))
        parent = self._roster.parent(self._place(group))
        name = called(self._groups[group][0], self.plan, scores)
        if parent.info.run_name != name:
            self._client.update_run(parent.info.run_id, name=name)
            self._roster.renamed(parent)

    def _log(self, run: Any, metrics: list[Any]) -> None:
        for first in range(0, len(metrics), BATCH):
            self._client.log_batch(run.info.run_id, metrics=metrics[first : first + BATCH])

    def _tag(self, run: Any, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self._client.log_batch(run.info.run_id, tags=[RunTag(n, v) for n, v in tags.items()])
        run.data.tags.update(tags)


def _values(scores: Iterable[Json]) -> Iterator[tuple[str, float, Json]]:
    """Yield (metric as MLflow calls it, value, score) for every value."""
    for score in scores:
        for name, value in score["values"].items():
            yield logged_name(score, name), value, score


def _flat(cell: Cell) -> dict[str, Any]:
    """Return a cell's parameters under dotted names."""
    found: dict[str, Any] = {"key": cell.key, "size": cell.size}
    if cell.given:
        return found | {"given": cell.given.said}
    found |= {f"budget.{name}": value for name, value in cell.budget.model_dump().items()}
    found |= {f"task.{name}": value for name, value in cell.task.params.items()}
    for part in cell.methods:
        found |= {mlflow_name(f"{part.short}.{name}"): value for name, value in part.params.items()}
    return found
