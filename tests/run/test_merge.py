"""Stores brought together: equal to one run, whatever is damaged or contradicts is reported."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from tiny import by_method, tiny_plan, train_teachers, train_together

from bench.cli.main import main
from bench.errors import Interrupted, StoreError
from bench.plan.identity import identity
from bench.plan.matrix import Plan
from bench.plan.shard import deal
from bench.report.rows import entry_rows, score_rows
from bench.run.estimate import time_left
from bench.run.machine import Machine
from bench.run.stale import Specs
from bench.run.training_macs import training_macs
from bench.run.union import merge
from bench.run.walk import run
from bench.store.arrays import read_arrays
from bench.store.layout import Store, read_json, write_json
from bench.train import checkpoint

TIMES = (
    "seconds",
    "finished_at",
    "scored_at",
    "time",
    "training_s",
    "provenance",
    "clocks",
    "samples",
)


def timeless(value: Any) -> Any:
    """Return JSON without times and where it is from."""
    if isinstance(value, dict):
        return {n: timeless(x) for n, x in value.items() if n not in TIMES}
    return [timeless(x) for x in value] if isinstance(value, list) else value


def contents(store: Store) -> dict[str, Any]:
    """Return what a store holds, by file, but for times and environments."""
    found: dict[str, Any] = {}
    for path in sorted(store.root.rglob("*")):
        name = path.relative_to(store.root).as_posix()
        if not path.is_file() or name.startswith("provenance/") or path.name == ".lock":
            continue
        if path.suffix == ".json":
            found[name] = timeless(read_json(path))
        elif path.suffix == ".jsonl":
            found[name] = [timeless(json.loads(line)) for line in path.read_text().splitlines()]
        elif path.suffix == ".npz":
            found[name] = {n: x.tolist() for n, x in read_arrays(path).items()}
        else:
            found[name] = path.read_bytes()
    return found


def rows(plan: Plan, store: Store) -> list[Any]:
    """Return what every report is made from."""
    return [timeless(row) for make in (entry_rows, score_rows) for row in make(plan, store)]


def train(plan: Plan, store: Store) -> None:
    outcome = run(plan, store, Machine(jobs=1), lambda event, key, data: None)
    assert not outcome.errors


@dataclass
class Trained:
    """A plan, run at once and by three shards."""

    plan: Plan
    one: Store
    shards: list[Store]

    def copies(self, folder: Path) -> list[Store]:
        """Return the shards' stores anew, to be tampered with."""
        found = [Store(folder / f"shard{n}") for n in range(len(self.shards))]
        for mine, copy in zip(self.shards, found, strict=True):
            shutil.copytree(mine.root, copy.root)
        return found


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("merge")
    keys = {
        "seeds": [0, 1, 2],
        "metrics": ["psnr", "swd", "params"],
        "snapshots": {"times": 2, "metrics": ["psnr"]},
    }
    plan = tiny_plan(folder, **keys)
    one = Store(folder / "one")
    train(plan, one)
    shards = []
    for number, part in enumerate(deal(plan, 3, training_macs), 1):
        shards.append(Store(folder / f"shard{number}"))
        train(part, shards[-1])
    return Trained(plan, one, shards)


def test_three_shards_merged_are_one_run(trained: Trained, tmp_path: Path) -> None:
    into = Store(tmp_path / "into")
    merged = merge(trained.shards, into)
    assert (merged.taken, merged.there, merged.findings) == (10, 2, [])
    assert str(merged) == "merged 3 stores: 10 cells taken, 2 there already, 0 findings"
    assert contents(into) == contents(trained.one)
    assert rows(trained.plan, into) == rows(trained.plan, trained.one)
    assert {p.name for s in trained.shards for p in (s.root / "provenance").iterdir()} == {
        p.name for p in (into.root / "provenance").iterdir()
    }
    # again, and once more from itself by another way: nothing changes
    before = {
        p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in into.root.rglob("*") if p.is_file()
    }
    again = merge(trained.shards, into)
    assert (again.taken, again.there, again.findings) == (0, 12, [])
    assert before == {
        p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in into.root.rglob("*") if p.is_file()
    }


def test_a_lone_shard_reports_and_the_others_are_missing(trained: Trained) -> None:
    statuses = [row["status"] for row in entry_rows(trained.plan, trained.shards[0])]
    assert sorted(set(statuses)) == ["done", "missing"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)


def change(path: Path, **values: Any) -> None:
    write_json(path, read_json(path) | values)


def other_seed(folder: Path) -> None:
    spec = read_json(folder / "spec.json")
    spec["cell"]["seed"] += 7
    write_json(folder / "spec.json", spec)


def link(folder: Path, name: str) -> None:
    place = folder / name
    moved = folder.parent.parent / "elsewhere"
    place.rename(moved)
    place.symlink_to(moved)


TAMPERED: dict[str, tuple[Callable[[Path], None], str]] = {
    "checkpoint": (lambda f: flip(f / "checkpoint.safetensors"), "its contents are not those"),
    "snapshot": (lambda f: flip(next((f / "snapshots").iterdir())), "its contents are not those"),
    "images": (lambda f: (f / "images.npz").write_bytes(b"PK"), "images.npz: cannot be read"),
    "spec": (other_seed, "spec.json: changed: what it says has another key"),
    "no spec's text": (lambda f: (f / "spec.json").write_text("{"), "spec.json: not JSON"),
    "weights of the end": (lambda f: change(f / "end.json", weights="0" * 16), "not the weights with which"),
    "status": (lambda f: change(f / "end.json", status="perfect"), "end.json: damaged: status"),
    "provenance": (lambda f: change(f / "end.json", provenance="../../x"), "in place of its provenance"),
    "score": (lambda f: change(f / "scores.json", **{"0" * 12: {"values": "best"}}), "scores.json: damaged"),
    "score's id": (lambda f: change(f / "scores.json", **{"../x": next(iter(read_json(f / "scores.json").values()))}), "an id is none"),
    "a number as text": (lambda f: change(f / "scores.json", **{"0" * 12: next(iter(read_json(f / "scores.json").values())) | {"scored_at": "5"}}), "scores.json: damaged: scored_at"),
    "a time without end": (lambda f: change(f / "end.json", seconds=float("inf")), "end.json: damaged: seconds"),
    "losses": (lambda f: (f / "losses.jsonl").write_text("garbage\n{}\n"), "losses.jsonl: damaged: "),
    "another's key": (lambda f: change(f / "spec.json", key="../../x"), "spec.json: damaged: key"),
    "sources": (lambda f: change(f / "spec.json", sources=["x"]), "spec.json: damaged: sources"),
    "taught by a path": (lambda f: change(f / "spec.json", taught_by={"../x": "0"}), "spec.json: damaged: taught_by"),
    "weights that are none": (lambda f: change(f / "spec.json", taught_by={"0" * 12: "x"}), "spec.json: damaged: taught_by"),
    "link": (lambda f: link(f, "checkpoint.safetensors"), "a link, not a file"),
    "linked folder": (lambda f: link(f, "samples"), "a link, not a file"),
    "no checkpoint": (lambda f: (f / "checkpoint.safetensors").unlink(), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_cell_is_reported_and_not_taken(
    trained: Trained, tmp_path: Path, what: str
) -> None:
    stores, into = trained.copies(tmp_path), Store(tmp_path / "into")
    key = by_method(deal(trained.plan, 3, training_macs)[1])["wkd"].key
    tamper, said = TAMPERED[what]
    tamper(stores[1].folder(key))
    merged = merge(stores, into)
    assert len(merged.findings) == 1
    assert merged.findings[0].startswith(f"cell {key}: not taken: ")
    assert said in merged.findings[0]
    assert merged.taken == 9
    assert not into.folder(key).exists()
    # once it is mended, the same merge takes it
    shutil.rmtree(stores[1].folder(key))
    shutil.copytree(trained.shards[1].folder(key), stores[1].folder(key))
    assert merge(stores, into).findings == []
    assert contents(into) == contents(trained.one)


def test_what_is_no_cell_and_what_has_another_id_is_reported(
    trained: Trained, tmp_path: Path
) -> None:
    stores, into = trained.copies(tmp_path), Store(tmp_path / "into")
    (stores[0].root / "cells" / "..x").mkdir()
    (stores[0].root / "cells" / "not a cell").mkdir()
    record = next((stores[0].root / "provenance").iterdir())
    change(record, commit="f" * 40)
    (stores[0].root / "networks" / "name.json").write_text("{}")
    for path in (stores[0].root / "reals").iterdir():
        flip(path)
    reals = len(list((stores[0].root / "reals").iterdir()))
    found = "\n".join(merge(stores[:1], into).findings)
    assert f"{stores[0].root}/cells/not a cell: not taken: no cell's name." in found
    assert f"{record}: changed: what it says has another id." in found
    assert "networks/name.json: not taken: no file, a link, or its name is no id." in found
    assert found.count("its contents are not those that were written") == reals
    assert not (into.root / "reals").exists()


CRAFTED: dict[str, tuple[Any, str]] = {
    "a text": ("abc", "cell.trained: "),
    "a list": ([1], "cell.trained: "),
    "of something else": ({"x": 1}, "cell.trained.dataset: "),
    "given by a list": ({"given": [1]}, "cell.given."),
    "methods of no name": ({"methods": ["x"]}, "cell.trained.methods.0: "),
    "a seed that is none": ({"seed": [0]}, "cell.trained.seed: "),
    "networks that are none": ({"nets": {}}, "cell.trained.nets."),
}


@pytest.mark.parametrize("what", CRAFTED)
def test_a_cell_of_another_form_is_reported_and_all_others_are_taken(
    trained: Trained, tmp_path: Path, what: str
) -> None:
    """Its key fits what it says, and what it says would stop every plan of the target."""
    store, into = trained.copies(tmp_path)[0], Store(tmp_path / "into")
    count = len(list(trained.shards[0].specs()))
    changes, said = CRAFTED[what]
    whole = next(iter(by_method(deal(trained.plan, 3, training_macs)[0]).values())).spec({})["cell"]
    is_part = isinstance(changes, dict) and "x" not in changes
    cell = whole | changes if is_part else changes
    key = identity(cell)
    write_json(store.folder(key) / "spec.json", {"key": key, "cell": cell})
    write_json(store.folder(key) / "end.json", {"status": "diverged", "step": 3})
    merged = merge([store], into)
    (finding,) = merged.findings
    assert f"cell {key}: not taken: {store.folder(key)}/spec.json: damaged: {said}" in finding
    assert merged.taken == count
    assert not into.folder(key).exists()
    assert time_left(into, list(trained.plan.cells.values()))[0] >= 0
    assert Specs(into.specs()).by_key.keys() == Specs(trained.shards[0].specs()).by_key.keys()


def test_a_record_that_was_cut_off_is_no_damage(trained: Trained, tmp_path: Path) -> None:
    store, into = trained.copies(tmp_path)[0], Store(tmp_path / "into")
    key = next((store.root / "cells").iterdir()).name
    with (store.folder(key) / "losses.jsonl").open("a") as file:
        file.write('{"step": 3, "lo')
    assert merge([store], into).findings == []
    assert into.losses(key) == trained.shards[0].losses(key)


def test_what_is_no_file_is_not_read_and_no_folder_is_followed(
    trained: Trained, tmp_path: Path
) -> None:
    store, into = trained.copies(tmp_path)[0], Store(tmp_path / "into")
    pipe = store.root / "provenance" / f"{'0' * 12}.json"
    os.mkfifo(pipe)  # who opens it waits for ever
    link(store.root, "networks")
    assert merge([store], into).findings == [
        f"{pipe}: not taken: no file, a link, or its name is no id.",
        f"{store.root}/networks: not taken: a link, not a folder.",
    ]
    assert not (into.root / "networks").exists()


def test_what_methods_prepared_is_brought_over_by_its_content(tmp_path: Path) -> None:
    store, into = Store(tmp_path / "from"), Store(tmp_path / "into")
    (store.root / "cells").mkdir(parents=True)
    path = store.prepared("0" * 12)
    checkpoint.save(path, {"basis": torch.eye(3)}, {"method": "own", "what": "basis"})
    path.with_suffix(".lock").touch()
    assert merge([store], into).findings == []
    assert [p.name for p in (into.root / "prepared").iterdir()] == [path.name]
    assert into.prepared("0" * 12).read_bytes() == path.read_bytes()
    checkpoint.save(path, {"basis": torch.ones(3, 3)}, {"method": "own", "what": "basis"})
    (finding,) = merge([store], into).findings
    assert finding == f"{path}: differs from {into.prepared('0' * 12)}, which stays."
    flip(path)
    (finding,) = merge([store], into).findings
    assert "its contents are not those that were written" in finding


def test_cells_that_have_not_ended_contradict_nothing(trained: Trained, tmp_path: Path) -> None:
    key = by_method(trained.plan)["wkd"].key
    spec = next(s.folder(key) / "spec.json" for s in trained.shards if s.folder(key).exists())
    started, failed = Store(tmp_path / "started"), Store(tmp_path / "failed")
    for store in (started, failed):
        write_json(store.folder(key) / "spec.json", read_json(spec))
    failed.fail(key, "the disk was full")
    for order in ([started, failed], [failed, started]):
        into = Store(tmp_path / f"into {order[0].root.name} first")
        merged = merge(order, into)
        assert (merged.taken, merged.there, merged.findings) == (1, 1, [])


def retouched(store: Store, key: str) -> None:
    """Let a cell have ended with other weights, whole in itself."""
    tensors, notes = checkpoint.load(store.checkpoint(key))
    name = next(iter(tensors))
    tensors[name] = tensors[name] + torch.finfo(torch.float32).eps
    checkpoint.save(store.checkpoint(key), tensors, notes)
    end = read_json(store.folder(key) / "end.json")
    elsewhere = end["environment"] | {"device": "Another CPU"}
    change(
        store.folder(key) / "end.json", weights=checkpoint.digest(tensors), environment=elsewhere
    )


def test_a_cell_with_other_bits_is_reported_with_both_environments(
    trained: Trained, tmp_path: Path
) -> None:
    stores, into = trained.copies(tmp_path), Store(tmp_path / "into")
    key = next(e.cell.key for e in trained.plan.entries if e.role == "teacher" and e.cell)
    retouched(stores[1], key)
    other = stores[1].read(key, "end.json")["weights"]
    students = [path.parent for path in sorted(stores[1].root.glob("cells/*/spec.json"))]
    students = [path for path in students if "taught_by" in read_json(path / "spec.json")]
    for student in students:
        change(student / "spec.json", taught_by={key: other})
    finding, more = merge(stores, into).findings
    assert finding.startswith(f"cell {key}: {stores[1].root} has weights ")
    assert "(Another CPU, 1 thread, torch " in finding
    mine = into.read(key, "end.json")["environment"]["device"]
    assert (
        f"{into.root} has weights {into.read(key, 'end.json')['weights']} ({mine}, 1 thread,"
        in finding
    )
    assert f"Delete cells/{key} where it is not to count, and merge again." in finding
    theirs = ", ".join(f"cells/{student.name}" for student in students)
    assert more == (
        f"cell {key}: {len(students)} of {into.root} learnt from other weights of it than are "
        f"there now: delete {theirs}, and they are trained again."
    )
    assert merge(stores, into).findings == [finding, more]  # until somebody decides
    assert into.checkpoint(key).read_bytes() == trained.one.checkpoint(key).read_bytes()
    # the user decides: the other one counts, so that those who learnt from the first do not
    shutil.rmtree(into.folder(key))
    (last,) = merge([stores[1]], into).findings
    assert into.read(key, "end.json")["environment"]["device"] == "Another CPU"
    others = {f"cells/{e.cell.key}" for e in trained.plan.students if e.cell and e.cell.teacher}
    others -= {f"cells/{student.name}" for student in students}
    assert set(last.partition("delete ")[2].partition(", and")[0].split(", ")) == others
    for student in others:
        shutil.rmtree(into.root / student)
    assert merge([stores[1]], into).findings == []


def test_scores_are_united_and_contradictions_reported(trained: Trained, tmp_path: Path) -> None:
    store, into = trained.copies(tmp_path)[0], Store(tmp_path / "into")
    shutil.copytree(store.root, into.root)
    key = next(e.cell.key for e in deal(trained.plan, 3, training_macs)[0].students if e.cell)
    before = into.scores(key)
    lost, other = [i for i, score in before.items() if score["metric"] == "psnr"][:2]
    into.write(key, "scores.json", {i: x for i, x in before.items() if i != lost})
    changed = store.scores(key)
    changed[other]["values"]["psnr"] += 1  # has another value there
    turned = next(score for score in changed.values() if score["metric"] == "swd")
    turned["values"] = dict(reversed(turned["values"].items()))  # an order that nobody asks for
    store.write(key, "scores.json", changed)
    merged = merge([store], into)
    assert into.scores(key) == before
    assert len(merged.findings) == 1
    assert f"cell {key}: of equal weights, {store.root} (" in merged.findings[0]
    assert " has psnr psnr " in merged.findings[0]


def test_a_time_measured_twice_is_the_later_one_and_other_counts_a_finding(
    trained: Trained, tmp_path: Path
) -> None:
    store, into = trained.copies(tmp_path)[0], Store(tmp_path / "into")
    path = next((store.root / "networks").iterdir())
    record = next(iter(read_json(path).values()))
    timed = {
        "1" * 12: record
        | {"metric": "latency", "values": {"latency_ms": 1.0}, "clocks": {}, "scored_at": 1.0}
    }
    change(path, **timed)
    merge([store], into)
    timed["1" * 12] |= {"values": {"latency_ms": 2.0}, "scored_at": 2.0}
    change(path, **timed, **{"2" * 12: record | {"metric": "latency", "clocks": {}}})
    assert merge([store], into).findings == []
    mine = read_json(into.root / "networks" / path.name)
    assert mine["1" * 12]["values"] == {"latency_ms": 2.0}
    assert "2" * 12 in mine  # of another device
    name = next(n for n in mine if n not in ("1" * 12, "2" * 12))
    change(path, **{name: record | {"values": {"params": 1}}})
    (finding,) = merge([store], into).findings
    assert f"{path}: has params params 1, {into.root} has params " in finding


def interrupted_after(steps: int, plan: Plan, store: Store) -> str:
    """Train wkd's cell so far that it leaves a checkpoint."""
    train_teachers(plan, store)
    cell, seen = by_method(plan)["wkd"], []

    def stop() -> bool:
        seen.append(1)
        return len(seen) >= steps

    with pytest.raises(Interrupted):
        train_together([cell], plan, store, stop=stop)
    return cell.key


def test_of_partial_cells_the_farther_one_is_taken_and_goes_on_to_the_same_bits(
    tmp_path: Path,
) -> None:
    plan = tiny_plan(tmp_path, budget={"steps": 30, "batch": 1})
    near, far, into = (Store(tmp_path / name) for name in ("near", "far", "into"))
    key = interrupted_after(10, plan, near)
    assert interrupted_after(20, plan, far) == key
    near.fail(key, "the disk was full")
    for order in ([near, far], [far, near]):
        shutil.rmtree(into.root, ignore_errors=True)
        assert merge(order, into).findings == []
        assert into.resume(key).read_bytes() == far.resume(key).read_bytes()
        assert into.state(key).status == "started"
    whole = Store(tmp_path / "whole")
    for store in (into, whole):
        train(plan, store)
    assert into.checkpoint(key).read_bytes() == whole.checkpoint(key).read_bytes()
    assert [r["losses"] for r in into.losses(key)] == [r["losses"] for r in whole.losses(key)]
    # one that is done counts more than one that is begun, and what was begun is gone
    assert merge([whole], far).findings == []
    assert far.state(key).status == "done"
    assert not far.resume(key).exists()
    assert merge([near], far).taken == 0
    flip(near.resume(key))
    (finding,) = merge([near], far).findings
    assert "resume.safetensors: damaged" in finding


def test_a_cell_that_diverged_elsewhere_alone_is_a_finding(
    trained: Trained, tmp_path: Path
) -> None:
    store, into = trained.copies(tmp_path)[0], Store(tmp_path / "into")
    key = next(e.cell.key for e in deal(trained.plan, 3, training_macs)[0].students if e.cell)
    write_json(store.folder(key) / "end.json", {"status": "diverged", "step": 3})
    merge([store], into)
    assert into.state(key).status == "diverged"
    (finding,) = merge([trained.shards[0]], into).findings
    assert f"{into.root} has diverged at step 3 (" in finding


def test_a_damaged_cell_of_the_target_is_not_overwritten_unasked(
    trained: Trained, tmp_path: Path
) -> None:
    into = trained.copies(tmp_path)[0]
    key = next((into.root / "cells").iterdir()).name
    flip(into.checkpoint(key))
    (finding,) = merge(trained.shards[:1], into).findings
    assert "its contents are not those that were written" in finding
    assert finding.endswith(f"Delete {into.folder(key)}, and merge again.")
    shutil.rmtree(into.folder(key))
    assert merge(trained.shards[:1], into).taken == 1
    link(into.root / "cells", key)
    (finding,) = merge(trained.shards[:1], into).findings
    assert "a link, not a folder" in finding


def test_of_a_damaged_cell_it_says_whether_another_store_had_a_whole_one(
    trained: Trained, tmp_path: Path
) -> None:
    stores, into = trained.copies(tmp_path), Store(tmp_path / "into")
    key = next(e.cell.key for e in trained.plan.entries if e.role == "teacher" and e.cell)
    flip(stores[0].checkpoint(key))
    (alone,) = merge(stores[:1], into).findings
    assert "its contents are not those that were written" in alone
    assert "whole" not in alone
    (finding,) = merge(stores, into).findings
    assert finding == f"{alone} {into.root} has a whole one."
    assert into.state(key).status == "done"


def test_a_cell_in_use_is_left_and_said(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.run.union.PATIENCE_S", 0.1)
    into, key = Store(tmp_path / "into"), next((trained.shards[0].root / "cells").iterdir()).name
    with into.lock(key, 1):
        (finding,) = merge(trained.shards[:1], into).findings
    assert "another process is at work on this cell" in finding
    assert merge(trained.shards[:1], into).findings == []


def test_a_merge_killed_after_any_file_is_repeated(trained: Trained, tmp_path: Path) -> None:
    """After every single file that is written, what is there is a store that the same merge ends."""
    from bench.run import union as module

    into = Store(tmp_path / "into")
    copy, written = module._copy, []

    def once(source: Path, target: Path) -> None:
        if not target.exists() and len(written) % 2 == 0:
            written.append(target)
            copy(source, target)
            raise KeyboardInterrupt
        written.append(target)
        copy(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_copy", once)
        for _ in range(40):
            try:
                merge(trained.shards[:1], into)
                break
            except KeyboardInterrupt:
                for path in (into.root / "cells").iterdir():
                    assert into.state(path.name).status in ("missing", "started", "done")
    merge(trained.shards, into)
    assert contents(into) == contents(trained.one)


def test_merging_says_what_is_wrong_with_its_input(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="no store: it holds no cells"):
        merge([Store(tmp_path)], Store(tmp_path / "into"))
    with pytest.raises(StoreError, match="cannot be merged into itself"):
        merge(trained.shards, trained.shards[2])

    class Full:
        free = 10

    monkeypatch.setattr(shutil, "disk_usage", lambda place: Full)
    with pytest.raises(StoreError, match=r"hold .* GB more, and 0\.0 GB are free"):
        merge(trained.shards, Store(tmp_path / "into"))
    assert not (tmp_path / "into").exists()


def test_the_command_says_what_it_did(trained: Trained, tmp_path: Path) -> None:
    stores, into = trained.copies(tmp_path), tmp_path / "into"
    places = [str(store.root) for store in stores]
    done = CliRunner().invoke(main, ["merge", *places, "--into", str(into)])
    assert done.exit_code == 0, done.output
    assert done.stdout == "merged 3 stores: 10 cells taken, 2 there already, 0 findings\n"
    key = next((stores[0].root / "cells").iterdir()).name
    flip(stores[0].checkpoint(key))
    done = CliRunner().invoke(main, ["merge", *places, "--into", str(into)])
    assert done.exit_code == 1
    assert done.stdout.startswith(f"finding: cell {key}: not taken: ")
    assert done.stdout.endswith("merged 3 stores: 0 cells taken, 11 there already, 1 finding\n")
    for number, store in enumerate(stores[1:], 1):  # who says where it was computed may be anybody
        end = {"status": "diverged", "step": number, "environment": {"device": "\x1b[2J\x07"}}
        write_json(store.folder(key) / "spec.json", read_json(stores[0].folder(key) / "spec.json"))
        write_json(store.folder(key) / "end.json", end)
    done = CliRunner().invoke(main, ["merge", *places[1:], "--into", str(tmp_path / "other")])
    assert "diverged at step 2 (\\x1b[2J\\x07, unknown threads" in done.stdout
    assert "\x1b" not in done.stdout
    assert (
        CliRunner().invoke(main, ["merge", str(tmp_path / "no"), "--into", str(into)]).exit_code
        == 2
    )
