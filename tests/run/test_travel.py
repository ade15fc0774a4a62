"""What comes from another machine is checked before it is kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import student_cells, tiny_plan

from bench.errors import Damaged
from bench.plan.identity import identity
from bench.run.job import Job
from bench.run.on_node import keys_of
from bench.run.slot import needed
from bench.run.travel import Crossing, Freight, of_cell
from bench.store.layout import Store

KEY, OTHER = "0123456789ab", "ba9876543210"


@pytest.fixture
def ends(tmp_path: Path) -> tuple[Crossing, Crossing]:
    """Two stores; a cell has begun in the first."""
    there = Store(tmp_path / "there")
    there.write(KEY, "spec.json", {"key": KEY})
    there.resume(KEY).write_bytes(b"where it is")
    (there.folder(KEY) / "samples").mkdir()
    (there.folder(KEY) / "samples" / "AtoB-0.png").write_bytes(b"an image")
    (there.folder(KEY) / ".lock").touch()
    return Crossing(there), Crossing(Store(tmp_path / "here"))


def packed(there: Crossing) -> Freight:
    return there.pack(of_cell(there.store, KEY), {KEY})


def files(end: Crossing) -> dict[str, bytes]:
    root = end.store.root
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_what_changed_arrives_and_what_is_gone_goes(ends: tuple[Crossing, Crossing]) -> None:
    there, here = ends
    here.unpack(packed(there), {KEY}, is_newer=True)
    assert {name: x for name, x in files(there).items() if ".lock" not in name} == files(here)
    there.store.resume(KEY).unlink()
    there.store.write(KEY, "end.json", {"status": "done"})
    freight = packed(there)
    assert list(freight.files) == [f"cells/{KEY}/end.json"]
    assert freight.gone == (f"cells/{KEY}/resume.safetensors",)
    here.unpack(freight, {KEY}, is_newer=True)
    assert here.store.state(KEY).status == "done"
    assert not here.store.resume(KEY).exists()
    assert packed(there) == Freight()
    assert here.pack(of_cell(here.store, KEY), {KEY}) == Freight()  # it came from there


@pytest.mark.parametrize(
    "place",
    [
        "../evil",
        "/etc/evil",
        f"cells/{KEY}/../../evil",
        f"cells/{KEY}/..",
        f"cells/{KEY}/.lock",
        f"cells/{KEY}/samples\\evil",
        f"cells/{KEY}",
        f"cells/{OTHER}/end.json",
        "cells/../evil/end.json",
        "provenance/evil.json",
        "latents/../cells.json",
        "mlflow.db",
        f"cells/{KEY}/end.json\n",
    ],
)
def test_a_name_that_may_not_come_is_refused(ends: tuple[Crossing, Crossing], place: str) -> None:
    there, here = ends
    freight = packed(there)
    (checked,) = [f for name, f in freight.files.items() if name.endswith("spec.json")]
    for hostile in (
        replace(freight, files={**freight.files, place: checked}),
        replace(freight, gone=(place,)),
        replace(freight, gone=(f"networks/{KEY}.json",)),
    ):
        with pytest.raises(Damaged, match="may not"):
            here.unpack(hostile, {KEY}, is_newer=True)
    assert not here.store.root.exists()


def test_tampered_bytes_are_refused(ends: tuple[Crossing, Crossing]) -> None:
    there, here = ends
    freight = packed(there)
    place = f"cells/{KEY}/resume.safetensors"
    sha256, content = freight.files[place]
    freight.files[place] = (sha256, content[:-1] + b"!")
    with pytest.raises(Damaged, match=place):
        here.unpack(freight, {KEY}, is_newer=True)
    assert not here.store.root.exists()


def test_a_provenance_is_what_its_name_says(ends: tuple[Crossing, Crossing]) -> None:
    there, here = ends
    record = {"python": "3.11"}
    name = there.store.add_provenance(record)
    here.unpack(there.pack([f"provenance/{name}.json"], set()), set(), is_newer=True)
    assert here.store.provenance(name) == record
    path = there.store.root / "provenance" / f"{identity('another')}.json"
    path.write_text(json.dumps(record))
    with pytest.raises(Damaged, match="not what its name says"):
        here.unpack(there.pack([f"provenance/{path.name}"], set()), set(), is_newer=True)


def test_scores_of_several_machines_stand_beside_each_other(
    ends: tuple[Crossing, Crossing],
) -> None:
    there, here = ends
    for end, score in ((there, "latency"), (here, "size")):
        path = end.store.network(KEY)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({score: {"value": 1}}))
    here.unpack(there.pack([f"networks/{KEY}.json"], set()), set(), is_newer=True)
    assert json.loads(here.store.network(KEY).read_text()).keys() == {"latency", "size"}


def test_teachers_and_judges_of_a_cohort_travel_with_it(tmp_path: Path) -> None:
    plan = tiny_plan(
        tmp_path, datasets=["photo_textures"], methods={"hinton": {}}, metrics=["miou"]
    )
    (student,) = student_cells(plan)
    others = set(plan.cells) - {student.key}
    assert len(others) == 2  # a teacher and a segmenter
    cells, here = (student,), Store(tmp_path / "runs")
    job = Job("train", cells, {}, plan.metrics, (), here.root, "cpu", 1, 30.0, "")
    places = set(needed(job, here))
    assert {f"cells/{key}/checkpoint.safetensors" for key in others} <= places
    assert keys_of(job) == set(plan.cells)


@pytest.mark.parametrize(
    ("late", "content"),
    [
        (f"cells/{KEY}/spec.json/more", b"a file below a file"),
        (f"cells/{KEY}/samples", b"a file where a folder is"),
        (f"networks/{KEY}.json", b"[]"),
        (f"networks/{KEY}.json", b'{"latency": NaN}'),
        (f"references/{KEY}.json", b"{"),
    ],
)
def test_nothing_is_kept_of_what_is_partly_wrong(
    ends: tuple[Crossing, Crossing], late: str, content: bytes
) -> None:
    _, here = ends
    (here.store.folder(KEY) / "samples").mkdir(parents=True)
    files_ = {f"cells/{KEY}/spec.json": b"{}", late: content}
    freight = Freight({name: (hashlib.sha256(x).hexdigest(), x) for name, x in files_.items()})
    with pytest.raises(Damaged, match=late):
        here.unpack(freight, {KEY}, is_newer=True)
    assert files(here) == {}


def test_what_is_gone_elsewhere_and_a_folder_here_is_refused(
    ends: tuple[Crossing, Crossing],
) -> None:
    _, here = ends
    (here.store.folder(KEY) / "samples").mkdir(parents=True)
    spec = (hashlib.sha256(b"{}").hexdigest(), b"{}")
    freight = Freight({f"cells/{KEY}/spec.json": spec}, (f"cells/{KEY}/samples",))
    with pytest.raises(Damaged, match=f"cells/{KEY}/samples is gone"):
        here.unpack(freight, {KEY}, is_newer=True)
    assert files(here) == {}


def test_of_a_cell_that_both_ends_forget_only_what_teaches_is_known(
    ends: tuple[Crossing, Crossing],
) -> None:
    there, here = ends
    here.unpack(packed(there), {KEY}, is_newer=True)
    for end in ends:
        end.forget([KEY])
    there.store.resume(KEY).unlink()
    assert packed(there).gone == ()
    again = here.pack(of_cell(here.store, KEY), {KEY})
    names = {place.partition(f"{KEY}/")[2] for place in again.files}
    assert names == {"resume.safetensors", "samples/AtoB-0.png"}


def test_a_score_that_is_there_stays_unless_it_was_measured_again(
    ends: tuple[Crossing, Crossing],
) -> None:
    there, here = ends
    for end, value in ((there, 2), (here, 1)):
        path = end.store.network(KEY)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"latency": {"value": value}}))
    freight = there.pack([f"networks/{KEY}.json"], set())
    for is_newer, value in ((False, 1), (True, 2)):
        here.unpack(freight, set(), is_newer=is_newer)
        assert json.loads(here.store.network(KEY).read_text())["latency"]["value"] == value
