"""What methods find of a teacher and all inputs is found once, and is what each would have found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import PIL
import pytest
import torch
from tiny import (
    plan_without_adversary,
    student_cells,
    tiny_plan,
    train_teachers,
    train_together,
    weights,
)

from bench.contracts.network import Generator
from bench.losses.blocks import EXAMPLES
from bench.maths.pca import Covariance
from bench.plan.cell import Cell
from bench.plan.matrix import Plan
from bench.plugins.registry import Part
from bench.store.layout import Store
from bench.train import decoded, prepared
from bench.train.batches import Batches, normalise
from bench.train.learner import open_task
from bench.train.prepared import Prepared


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many images each batch had that a covariance has taken up from now on."""
    sizes: list[int] = []
    add = Covariance.add

    def counting(self: Covariance, features: torch.Tensor) -> None:
        sizes.append(len(features))
        add(self, features)

    monkeypatch.setattr(Covariance, "add", counting)
    return sizes


def in_cohorts(plan: Plan, store: Store) -> list[Cell]:
    """Train a plan's teachers, then its students seed by seed, as workers do."""
    train_teachers(plan, store)
    cells = student_cells(plan)
    for seed in dict.fromkeys(cell.seed for cell in cells):
        train_together([c for c in cells if c.seed == seed], plan, store)
    return cells


def test_one_pass_serves_all_widths_seeds_and_bases_with_the_bits_of_their_own(
    tmp_path: Path, taken: list[int]
) -> None:
    methods = {"exact": {"method": "pca_kd"}, "descent": {"method": "pca_kd", "basis": "gradient"}}
    budget = {"steps": 2, "batch": 16}
    plan = tiny_plan(tmp_path, methods=methods, widths=[2, 4], seeds=[0, 1], budget=budget)
    shared = Store(tmp_path / "shared")
    cells = in_cohorts(plan, shared)
    images = cells[0].images_per_epoch
    assert sum(taken) == 4 * images  # four hints
    for cell in cells[::3]:
        alone = Store(tmp_path / cell.key)
        train_teachers(plan, alone)
        train_together([cell], plan, alone)
        assert weights(alone, cell) == weights(shared, cell)
        ended = [s.read(cell.key, "end.json")["facts"] for s in (alone, shared)]
        assert ended[0] == ended[1]
    assert len(list((tmp_path / "shared" / "prepared").glob("*.safetensors"))) == 1


def test_a_damaged_file_is_made_again_with_the_same_bits(tmp_path: Path, taken: list[int]) -> None:
    plan = tiny_plan(tmp_path, methods=["pca_kd"], seeds=[0, 1], budget={"steps": 2, "batch": 16})
    store = Store(tmp_path / "store")
    train_teachers(plan, store)
    first, second = student_cells(plan)
    train_together([first], plan, store)
    once = len(taken)
    (file,) = (tmp_path / "store" / "prepared").glob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:-8] + bytes(8))
    train_together([second], plan, store)
    assert len(taken) == 2 * once
    assert file.read_bytes() == whole


def test_each_direction_has_its_own(tmp_path: Path) -> None:
    plan = tiny_plan(
        tmp_path,
        datasets=["grass2brick"],
        architectures=["resnet9"],
        methods=["pca_kd"],
        budget={"steps": 1, "batch": 16},
    )
    in_cohorts(plan, Store(tmp_path / "store"))
    assert len(list((tmp_path / "store" / "prepared").glob("*.safetensors"))) == 2


class Fixed:
    """Finds a number, and counts how often it had to."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, torch.Tensor]:
        self.times += 1
        return {"times": torch.tensor(self.times)}


def test_other_weights_inputs_flags_and_questions_are_computed_anew(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, methods=["pca_kd"])
    (cell,) = student_cells(plan)
    store, inputs = Store(tmp_path / "store"), Batches(cell, open_task(cell)).content
    network: Any = cell.nets.architecture.load()(2, 32, cell.nets.architecture.params)
    compute = Fixed()

    def ask(
        what: str = "it", inputs: object = inputs, teacher: Generator = network, **flags: Any
    ) -> int:
        asked = Prepared(cell, store, torch.device("cpu"), inputs, {"threads": 1} | flags)
        return int(asked.of("pca_kd", "AtoB", teacher)(what, compute)["times"])

    assert [ask(), ask()] == [1, 1]
    assert ask("else") == 2
    assert ask(inputs=[*inputs, 1]) == 3
    assert ask(device="another card") == 4
    with torch.no_grad():
        next(network.parameters()).flatten()[0] += 1
    assert ask() == 5


@dataclass
class Case:
    """Of whom something is asked; a change of it is a change of what is found."""

    cell: Cell
    network: Any
    direction: str = "AtoB"
    codes: str = ""

    def is_there(self, store: Store) -> bool:
        """Ask, and say whether it had been found before."""

        def encode(pixels: Any) -> torch.Tensor:
            return normalise(pixels)

        encode.content = self.codes  # type: ignore[attr-defined]
        inputs = Batches(self.cell, open_task(self.cell), encode=encode).content  # type: ignore[arg-type]
        fresh = Fixed()
        asked = Prepared(self.cell, store, torch.device("cpu"), inputs, {"threads": 1})
        (method,) = self.cell.methods
        asked.of(method.short, self.direction, self.network)("it", fresh)
        return not fresh.times


Patch = pytest.MonkeyPatch


def of_cell(**changes: Any) -> Callable[[Case, Patch], None]:
    def change(case: Case, patch: Patch) -> None:
        case.cell = replace(case.cell, **changes)

    return change


def of_data(**changes: Any) -> Callable[[Case, Patch], None]:
    return lambda case, patch: of_cell(dataset=replace(case.cell.dataset, **changes))(case, patch)


def of_numerics(case: Case, patch: Patch) -> None:
    case.cell = replace(case.cell, numerics={**case.cell.numerics, "precision": "bf16"})


def of_batch(case: Case, patch: Patch) -> None:
    case.cell = replace(case.cell, budget=case.cell.budget.model_copy(update={"batch": 3}))


def of_method(case: Case, patch: Patch) -> None:
    case.cell = replace(case.cell, methods=(replace(case.cell.methods[0], version=99),))


def of_task(case: Case, patch: Patch) -> None:
    case.cell = replace(case.cell, task=replace(case.cell.task, version=99))


def of_file(kind: str) -> Callable[[Case, Patch], None]:
    """Return a change of a plug-in's file."""
    plain = Part.source_hash

    def other(part: Part[Any]) -> str:
        return "another" if part.kind.name == kind else plain(part)

    return lambda case, patch: patch.setattr(Part, "source_hash", other)


def of_network(name: str, value: Any) -> Callable[[Case, Patch], None]:
    return lambda case, patch: patch.setattr(case.network, name, value)


def of_networks_file(case: Case, patch: Patch) -> None:
    patch.setattr(prepared, "fingerprint", lambda path: "another")


def of_code(module: Any, package: str) -> Callable[[Case, Patch], None]:
    plain = decoded.code_of

    def other(*packages: str) -> str:
        return plain(*packages) + "another" * (package in packages)

    return lambda case, patch: patch.setattr(module, "code_of", other)


def of_library(name: str) -> Callable[[Case, Patch], None]:
    def change(case: Case, patch: Patch) -> None:
        plain = metadata.version
        patch.setattr(metadata, "version", lambda n: "99" if n == name else plain(n))
        decoded._version.cache_clear()

    return change


def of_attribute(name: str, value: Any) -> Callable[[Case, Patch], None]:
    return lambda case, patch: setattr(case, name, value)


CHANGES = {
    "numerics": of_numerics,
    "method's version": of_method,
    "method's file": of_file("method"),
    "network's version": of_network("version", 99),
    "network's parameters": of_network("params", {"blocks": 99}),
    "network's width": of_network("width", 99),
    "network's file": of_networks_file,
    "direction": of_attribute("direction", "BtoA"),
    "data's version": of_data(version=99),
    "data's fingerprint": of_data(fingerprint="another"),
    "data's parameters": of_data(params={"another": 1}),
    "data's file": of_file("dataset"),
    "size": of_cell(size=64),
    "codes": of_attribute("codes", "another"),
    "task's version": of_task,
    "task's file": of_file("task"),
    "batch": of_batch,
    "Pillow": lambda case, patch: patch.setattr(PIL, "__version__", "99"),
    "scikit-image": of_library("scikit-image"),
    "SciPy": of_library("scipy"),
    **{f"code of {name}": of_code(decoded, name) for name in ("contracts", "data", "maths")},
    **{
        f"code of {name} that looks": of_code(prepared, name)
        for name in ("losses", "maths", "nets")
    },
}


@pytest.fixture
def _versions() -> Iterator[None]:
    yield
    decoded._version.cache_clear()


@pytest.mark.usefixtures("_versions")
@pytest.mark.parametrize("name", CHANGES)
def test_whatever_decides_what_is_found_is_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (cell,) = student_cells(tiny_plan(tmp_path, methods=["pca_kd"]))
    network: Any = cell.nets.architecture.load()(2, 32, cell.nets.architecture.params)
    case, store = Case(cell, network), Store(tmp_path / "store")
    assert [case.is_there(store), case.is_there(store)] == [False, True]
    CHANGES[name](case, monkeypatch)
    assert [case.is_there(store), case.is_there(store)] == [False, True]


def test_inputs_are_those_of_all_seeds_unless_something_is_drawn_with_them(tmp_path: Path) -> None:
    images = tiny_plan(tmp_path, methods=["none"], seeds=[0, 1])
    noisy = {"datasets": ["photo_crops"], "architectures": ["ldm_unet"], "widths": [32], "size": 32}
    noise = plan_without_adversary(tmp_path, noisy | {"methods": ["none"], "seeds": [0, 1]})
    for plan, is_one in ((images, True), (noise, False)):
        cells = student_cells(plan)
        first, second = (Batches(cell, open_task(cell)).content for cell in cells)
        assert (first == second) is is_one


def test_levels_of_a_source_are_looked_at_once_for_all_seeds_and_methods_of_a_kind(
    tmp_path: Path, taken: list[int]
) -> None:
    methods = {
        "own": {"method": "pca_kd_style", "start": "closed_form"},
        "paper": {"method": "pca_kd_style", "basis": "gradient", "epochs": 1},
        "local": {"method": "pca_kd_style", "bases": "image"},
    }
    suite = {
        "datasets": ["style_photos"],
        "architectures": ["pca_vgg"],
        "widths": [[3, 4, 5, 6]],
        "size": 32,
        "budget": {"steps": 1, "batch": 64},
        "teacher": {"architecture": "random_vgg", "width": [4, 6, 8, 10], "budget": {"steps": 1}},
        "metrics": ["params"],
    }
    plan = plan_without_adversary(tmp_path, suite | {"methods": methods, "seeds": [0, 1]})
    shared = Store(tmp_path / "shared")
    cells = in_cohorts(plan, shared)
    looks = [
        size for size in taken if size != EXAMPLES
    ]  # which a start in closed form is fitted on
    assert sum(looks) == 2 * 4 * cells[0].images_per_epoch  # global bases, and local ones
    for cell in cells[:3]:
        alone = Store(tmp_path / cell.key)
        train_teachers(plan, alone)
        train_together([cell], plan, alone)
        assert weights(alone, cell) == weights(shared, cell)
