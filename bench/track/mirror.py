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

import math
import os
import shlex
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock

from bench.contracts.width import said_width
from bench.errors import StoreError
from bench.plan.cell import Cell
from bench.plan.identity import identity
from bench.plan.matrix import Entry, Plan
from bench.report.rows import scores_of
from bench.store.atomic import make_folder
from bench.store.layout import Json, Store, read_json
from bench.store.provenance import without_password
from bench.track.experiment import Experiment, logged_name, mlflow_name
from bench.track.grid import sample_grid
from bench.track.parcel import checked, pack, unpack
from bench.track.view import save_view

BATCH = 1000  # metrics per call: MLflow's own limit
DOWNLOADS = 8  # at once
ARTIFACTS = "mlartifacts"  # in the store: where runs of a database keep their files
PARCEL = "cell.zip"  # artifact of a child that has ended
REPORT = "report"  # role of the run with the report's files


def default_uri(store: Store) -> str:
    """Return where runs are logged: `MLFLOW_TRACKING_URI`, or a SQLite file in the store."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{store.root.resolve()}/mlflow.db"


class Copy:
    """What MLflow knows of one suite's runs."""

    def __init__(self, plan: Plan, store: Store, uri: str) -> None:
        self.plan, self.store, self.uri = plan, store, uri
        self._experiment: Any = None  # once it was found or made
        self._runs: dict[tuple[str, str], Any] = {}  # (place, key) -> run; key "" is a parent
        self._looked_ms = 0
        self._groups: dict[tuple[str, ...], list[Entry]] = {}
        for entry in plan.entries:
            self._groups.setdefault(entry.group, []).append(entry)

    def update(self, entry: Entry) -> None:
        """Bring the run of one entry up to date; does nothing where it is.

        Raises:
            Exception: whatever MLflow raises when it cannot be reached or written.
        """
        if entry.cell is None or self.store.state(entry.cell.key).status == "missing":
            return
        make_folder(self.store.root)
        with FileLock(self.store.root / ".mlflow.lock"):  # runs on one store write in turn
            self._connect()
            self._find_runs()
            key = entry.cell.key
            end = self.store.read(key, "end.json")
            scores = scores_of(entry.cell, self.plan, self.store)
            final = identity([PARCEL, end, scores])
            run = self._child(entry)
            if end and run.data.tags.get("distillbench.final") == final:
                return
            self._log_losses(run, key)
            if end:
                self._log_end(run, entry, end, scores)
                self._log_means(entry.group)
                self._tag(run, {"distillbench.final": final})

    def restore(self) -> None:
        """Fill the store, which has nothing yet, with what reports need of the plan's cells.

        A cell that has not ended is there as started, without its losses.

        Raises:
            StoreError: MLflow has no experiment of this suite, or a run without its parcel.
            FetchError: a parcel is damaged or hostile.
            Exception: whatever MLflow raises when it cannot be reached or read.
        """
        self._connect(create=False)
        self._find_runs()
        found: dict[str, Any] = {}
        for (_, key), run in self._runs.items():
            if key in self.plan.cells and (key not in found or _has_ended(run)):
                found[key] = run
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(DOWNLOADS) as pool:

            def download(key: str) -> Path:
                name = PARCEL if _has_ended(found[key]) else "spec.json"
                path: Path = self._experiment.download(found[key], name, Path(folder, key))
                return path

            paths = pool.map(download, found)
            for key, path in zip(found, paths, strict=True):
                if path.name == PARCEL:
                    unpack(key, path, self.store)
                else:
                    self.store.write(key, "spec.json", checked(read_json(path), key))

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
        self._find_runs()
        base = f"{without_password(self.uri).rstrip('/')}/#/experiments/{self._experiment.id}"
        runs = {
            key: f"{base}/runs/{run.info.run_id}" for (_, key), run in self._runs.items() if key
        }
        view = save_view(self._experiment, self.plan, self.store)
        query = f"?viewStateShareKey={view}&compareRunsMode=TABLE" if view else ""
        return f"{base}/runs{query}", runs

    def log_report(self, out: Path) -> None:
        """Put the files of a report into its run, in place of those of the last one.

        Raises:
            Exception: whatever MLflow raises when it cannot be reached or written.
        """
        with FileLock(self.store.root / ".mlflow.lock"):
            self._connect()
            files = ["bundle.json", *read_json(out / "bundle.json")["files"]]
            save_view(self._experiment, self.plan, self.store)
            reports = [r for r in self._experiment.runs() if r.data.tags.get("role") == REPORT]
            held = {"distillbench.files": identity(sorted(files))}
            run = next((r for r in reports if held.items() <= r.data.tags.items()), None)
            if run is None:
                axes = {"suite": self.plan.suite.name, "role": REPORT}
                run = self._create(REPORT, "", f"{self.plan.suite.name} {REPORT}", axes, {}, held)
            run_id = run.info.run_id
            for name in files:
                folder = PurePosixPath(name).parent
                self._client.log_artifact(
                    run_id, str(out / name), str(folder) if folder.name else None
                )
            for other in reports:
                if other.info.run_id != run_id:  # of other files, and no client deletes single ones
                    self._client.delete_run(other.info.run_id)

    def _connect(self, *, create: bool = True) -> None:
        if self._experiment is None:
            artifacts = self.store.root.resolve() / ARTIFACTS if create else None
            self._experiment = Experiment(self.uri, self.plan.suite.name, artifacts)
            self._client = self._experiment.client

    def _find_runs(self) -> None:
        """Take up the runs that were created since the last look, by this process or another."""
        for run in self._experiment.runs(self._looked_ms):
            tags = run.data.tags
            place = tags.get("distillbench.place", "")
            self._runs[place, tags.get("distillbench.key", "")] = run
            self._looked_ms = max(self._looked_ms, run.info.start_time)

    def _child(self, entry: Entry) -> Any:
        """Return the run of an entry's cell, created with its parent if there is none."""
        assert entry.cell is not None
        group = "/".join(entry.group)
        place = f"{group}/{entry.seed}"
        if (place, entry.cell.key) in self._runs:
            found = self._runs[place, entry.cell.key]
            return self._client.get_run(found.info.run_id)  # another process may have logged more
        axes = {
            "suite": self.plan.suite.name,
            "role": entry.role,
            "dataset": entry.dataset,
            "architecture": entry.architecture,
            "method": entry.method,
            "width": said_width(entry.width),
            "discriminator_width": entry.discriminator_width,
        }
        several = len(self.plan.suite.discriminator_widths) > 1
        name = f"{entry.method} width {axes['width']}"  # what differs first: lists cut names
        name += f" D {entry.discriminator_width}" if several else ""
        data = f"{entry.dataset} {entry.architecture}"
        if (group, "") not in self._runs:
            self._create(group, "", f"{name}, {data}", axes, {})
        axes["seed"] = entry.seed
        tags = {"status": "started", "mlflow.parentRunId": self._runs[group, ""].info.run_id}
        name += f" seed {entry.seed}, {data}"
        run = self._create(place, entry.cell.key, name, axes, _flat(entry.cell), tags)
        self._client.log_dict(
            run.info.run_id, self.store.read(entry.cell.key, "spec.json"), "spec.json"
        )
        return run

    def _create(
        self,
        place: str,
        key: str,
        name: str,
        axes: Mapping[str, Any],
        params: Mapping[str, Any],
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> Any:
        """Create a run, with its axes as parameters, which are compared, and as tags."""
        from mlflow.entities import Param

        tags = {
            **{axis: str(value)[:5000] for axis, value in axes.items()},
            **tags,
            "distillbench.place": place,
            **({"distillbench.key": key} if key else {}),
        }
        params = {**axes, **params}
        run = self._client.create_run(self._experiment.id, tags=tags, run_name=name)
        values = [Param(name, str(value)[:6000]) for name, value in params.items()]
        self._client.log_batch(run.info.run_id, params=values)
        if not key:
            self._client.set_terminated(run.info.run_id)
        self._runs[place, key] = run
        return run

    def _log_losses(self, run: Any, key: str) -> None:
        """Log the records that MLflow does not have yet, in batches."""
        from mlflow.entities import Metric

        logged = int(run.data.tags.get("distillbench.logged", 0))
        records = [r for r in self.store.losses(key) if r["step"] > logged]
        metrics = [
            Metric(mlflow_name(f"loss/{name}"), value, int(record["time"] * 1000), record["step"])
            for record in records
            for name, value in record["losses"].items()
        ]
        self._log(run, metrics)
        if records:
            self._tag(run, {"distillbench.logged": str(records[-1]["step"])})

    def _log_end(
        self, run: Any, entry: Entry, end: Mapping[str, Any], scores: list[dict[str, Any]]
    ) -> None:
        """Log how a cell ended, its scores, and the files that say how it came about."""
        from mlflow.entities import Metric

        assert entry.cell is not None
        self._refuse_the_store_itself(run)
        client, key, run_id = self._client, entry.cell.key, run.info.run_id
        metrics, infinite = [], {}
        for name, value, score in _values(scores):
            if math.isinf(value):  # SQLite would store 1.8e308
                infinite[f"distillbench.infinite.{name}"] = str(value)
            else:
                at = int(score["scored_at"] * 1000)
                metrics.append(Metric(name, value, at, score["step"] or end.get("steps", 0)))
        self._log(run, metrics)
        status = {
            "status": end["status"],
            "reason": end.get("reason", "")[:5000],
        }
        self._tag(run, status | infinite)
        provenance = self.store.read(key, "spec.json").get("provenance", "")
        for file, content in (
            ("end.json", dict(end)),
            ("scores.json", {"scores": scores}),
            ("provenance.json", self.store.provenance(provenance)),
        ):
            client.log_dict(run_id, content, file)
        with tempfile.TemporaryDirectory() as folder:
            parcel = Path(folder, PARCEL)
            pack(entry.cell, self.store, parcel)
            client.log_artifact(run_id, str(parcel))
        grid = sample_grid(self.store.folder(key) / "samples")
        if grid is not None:
            client.log_image(run_id, grid, artifact_file="samples.png")
        client.set_terminated(run_id, "FINISHED" if end["status"] == "done" else "FAILED")

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
        """Give a parent its means over the seeds that are done, to be compared as one row.

        The step is 0, for which MLflow draws bars.
        """
        from mlflow.entities import Metric

        cells = [entry.cell for entry in self._groups[group] if entry.cell is not None]
        done = [cell for cell in cells if self.store.state(cell.key).status == "done"]
        found: dict[str, list[float]] = {}
        for cell in done:
            for name, value, score in _values(scores_of(cell, self.plan, self.store)):
                if not score["step"] and math.isfinite(value):
                    found.setdefault(name, []).append(value)
        means = {n: math.fsum(v) / len(v) for n, v in found.items() if len(v) == len(done)}
        now = int(time.time() * 1000)
        metrics = [Metric(name, value, now, 0) for name, value in means.items()]
        parent = self._runs["/".join(group), ""]
        self._log(parent, [*metrics, Metric("seeds", len(done), now, 0)])

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


def _has_ended(run: Any) -> bool:
    """Say whether a run has its parcel."""
    return "distillbench.final" in run.data.tags


def _flat(cell: Cell) -> dict[str, Any]:
    """Return a cell's parameters under dotted names."""
    found: dict[str, Any] = {"key": cell.key, "size": cell.size}
    found |= {f"budget.{name}": value for name, value in cell.budget.model_dump().items()}
    found |= {f"task.{name}": value for name, value in cell.task.params.items()}
    for part in cell.methods:
        found |= {mlflow_name(f"{part.short}.{name}"): value for name, value in part.params.items()}
    return found
