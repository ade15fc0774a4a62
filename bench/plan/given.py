"""What someone else made: teachers and rows of `methods` that are files, and are not trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError, model_validator

from bench.contracts.width import NO_WIDTH, Width
from bench.errors import AbsentData, SuiteError, unknown
from bench.plan.cell import Cell, Given
from bench.plan.display_names import LABEL
from bench.plan.explain import explain
from bench.plan.files import beside, place, sha256_of
from bench.plan.matrix import Entry
from bench.plan.result_files import direction_of, images_given, place_of
from bench.plan.suite import Model, Suite, Teacher
from bench.plan.values import Files, GivenWidth

if TYPE_CHECKING:
    from bench.contracts.task import Task

ROLE = "given"
KINDS = ("weights", "images")  # keys by one of which a row says that it was not trained here

EXPORTED = "model.safetensors"  # in the folder of a student that `distillbench export` wrote

Make = Callable[[str, str, Width, int, Given], Cell]
"""(data set, architecture, width, width of the discriminator, what is given) -> its cell."""


class Theirs(Model):
    """A row of `methods` that was not trained here: files with `{seed}` or `{dataset}` in them."""

    weights: Files | None = None
    images: Files | None = None  # folders, of one direction or several
    pattern: str = ""  # of the images' names, as in *_fake_B.png
    dataset: str | None = None  # default: the suite's, if it has one
    architecture: str | None = None  # default: the matrix's, if it has one
    width: GivenWidth | None = None  # of weights; default: the suite's, if it has one

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.weights) == bool(self.images):
            raise ValueError("give either weights or images")
        if self.weights is not None and self.pattern:
            raise ValueError("pattern is for images")
        if self.images is not None and self.width is not None:
            raise ValueError("width is for weights; images have none")
        return self


def is_given(row: Mapping[str, Any]) -> bool:
    """Say whether a row of `methods` was not trained here."""
    return "method" not in row and any(kind in row for kind in KINDS)


def given_row(suite: Suite, label: str, row: Mapping[str, Any]) -> Theirs:
    """Read a row of `methods` that was not trained here.

    Raises:
        SuiteError: a key or value is wrong.
    """
    where = f"{suite.path}: methods.{label}"
    given = {name: x for name, x in row.items() if name != LABEL}
    for name in given:
        if name not in Theirs.model_fields:
            raise SuiteError(unknown("key", name, Theirs.model_fields, where))
    try:
        return Theirs.model_validate(given)
    except ValidationError as error:
        raise SuiteError("\n".join(explain(error, where, Theirs))) from error


def places_of(
    suite: Suite, label: str, row: Theirs, tasks: Mapping[str, type[Task]], make: Make
) -> Iterator[Entry]:
    """Yield the places of such a row: one per seed if its files have a `{seed}`, else one in all.

    Args:
        suite: whose row it is.
        label: the row's name.
        row: what it says.
        tasks: data set -> its task.
        make: makes the cells.

    Raises:
        SuiteError: it does not say of which data set, architecture or width it is; a file is not
            there; some files are of a seed and others of none, or two seeds have the same.
    """
    where = f"{suite.path}: methods.{label}"
    names = _texts(row.weights or row.images or {})
    several = row.dataset is None and all("{dataset}" in name for name in names)
    datasets = list(tasks) if several else [_one("dataset", row.dataset, list(tasks), where)]
    architecture = row.architecture or _one("architecture", None, list(suite.architectures), where)
    width: Width = NO_WIDTH
    if row.weights is not None:
        width = row.width or _one("width", None, suite.widths, where)
    has_seeds = "{seed}" in names[0]
    if any(("{seed}" in name) != has_seeds for name in names):
        raise SuiteError(
            f"{where}: write {{seed}} into all of {', '.join(names)}, or into none: one that "
            "is the same for every seed has no spread."
        )
    for dataset in datasets:
        seen: dict[tuple[str, str], int] = {}  # what is given, of which direction -> its seed
        for seed in suite.seeds if has_seeds else suite.seeds[:1]:
            known = {"dataset": dataset, "seed": str(seed)}
            if row.weights is not None:
                files = by_direction(row.weights, tasks[dataset], f"{where}.weights")
                given = weights_given(suite, {"generator": files}, known, f"{where}.weights")
                cell = make(dataset, architecture, width, 0, given)
            else:
                nobody = make(dataset, architecture, suite.widths[0], 0, Given("images", {}, {}))
                try:
                    cell = _with_images(suite, nobody, row, known, where)
                except AbsentData:  # which image is whose, and so the key, nobody can tell
                    at = (dataset, architecture, label, width, 0, seed, ROLE)
                    yield Entry(*at, None, f"the images of {dataset} are not on this machine")
                    continue
            _check_differs(cell, seed, seen, where)
            yield Entry(dataset, architecture, label, width, 0, seed, ROLE, cell)


def _check_differs(cell: Cell, seed: int, seen: dict[tuple[str, str], int], where: str) -> None:
    """Refuse files that another seed has too: they would feign a spread.

    Raises:
        SuiteError: which file, and whose else.
    """
    assert cell.given is not None
    for name, sha256 in cell.given.sha256.items():
        other = seen.setdefault((name, sha256), seed)
        if other != seed:
            raise SuiteError(
                f"{where}: {cell.given.files[name]}: of seed {seed}, has the contents of seed "
                f"{other}: copies have no spread. Give each seed its own, or leave {{seed}} out."
            )


def _with_images(
    suite: Suite, cell: Cell, row: Theirs, known: Mapping[str, str], where: str
) -> Cell:
    """Return a cell with the images of a row, which are looked at before anything is trained.

    Raises:
        SuiteError: which direction they are of is not said, or there is none such.
        DataError: a test image has no output, or two, or one of another size.
        AbsentData: the test images are not on this machine.
    """
    folders = row.images if isinstance(row.images, dict) else {None: row.images}
    places = {}
    for name, folder in folders.items():
        direction = direction_of(cell, name, f"{where}.images")
        places[direction] = place_of(place(suite, _filled(str(folder), known)), row.pattern)
    return replace(cell, given=images_given(cell, places))


def teacher_place(
    suite: Suite,
    teacher: Teacher,
    dataset: str,
    task: type[Task],
    architecture: str,
    judge_width: int,
    make: Make,
) -> Entry:
    """Return the place of a teacher from files; without a discriminator among them it has none.

    Raises:
        SuiteError: there is not one file for each direction, or one is not there; one file would
            teach several data sets; a discriminator is given where the task has none.
    """
    where = f"{suite.path}: teacher.weights"
    networks = {"generator": by_direction(teacher.weights or {}, task, where)}
    if teacher.discriminator is not None:
        judging = f"{suite.path}: teacher.discriminator"
        if not judge_width:
            raise SuiteError(
                f"{judging}: the task of {dataset} has no discriminator; leave it out."
            )
        networks["discriminator"] = by_direction(teacher.discriminator, task, judging)
    if len(suite.datasets) > 1:
        for network, files in networks.items():
            for name in files.values():
                if "{dataset}" not in name:
                    key = "weights" if network == "generator" else network
                    raise SuiteError(
                        f"{suite.path}: teacher.{key}: {name} would teach {dataset} and every "
                        "other data set of the suite; write {dataset} into the name."
                    )
    given = weights_given(suite, networks, {"dataset": dataset}, where)
    widths = teacher.width, judge_width if teacher.discriminator else 0
    cell = make(dataset, architecture, *widths, given)
    return Entry(dataset, architecture, "teacher", *widths, 0, "teacher", cell)


def by_direction(files: Files, task: type[Task], where: str) -> dict[str, str]:
    """Return a file for each direction of a task.

    Raises:
        SuiteError: there is not one for each.
    """
    directions = list(task.directions)
    if isinstance(files, str):
        if len(directions) > 1:
            said = ", ".join(f"{d}: FILE" for d in directions)
            raise SuiteError(f"{where}: one file, but {len(directions)} directions: {{{said}}}.")
        return {directions[0]: files}
    for name in files:
        if name not in directions:
            raise SuiteError(unknown("direction", name, directions, where))
    if lacking := [d for d in directions if d not in files]:
        raise SuiteError(f"{where}: {lacking[0]}: missing; there has to be a file for each.")
    return files


def weights_given(
    suite: Suite, networks: Mapping[str, Mapping[str, str]], known: Mapping[str, str], where: str
) -> Given:
    """Return what weights are given: network -> direction -> file, as the suite names it.

    Args:
        suite: its files are relative to it.
        networks: "generator", or "discriminator" too.
        known: what stands for `{NAME}` in a file's name.
        where: whose they are.

    Raises:
        SuiteError: a file is not there.
    """
    files: dict[str, Path] = {}
    for network, by_direction in networks.items():
        for direction, name in by_direction.items():
            name = _filled(name, known)
            folder = place(suite, name)
            name = str(Path(name) / EXPORTED) if (folder / EXPORTED).is_file() else name
            files[f"{network}.{direction}"] = beside(suite, name, where)
    hashes = {name: sha256_of(path) for name, path in files.items()}
    return Given("weights", hashes, {name: str(path) for name, path in files.items()})


def _filled(name: str, known: Mapping[str, str]) -> str:
    """Return a name with `{seed}` and the like replaced by what they stand for."""
    for placeholder, value in known.items():
        name = name.replace(f"{{{placeholder}}}", value)
    return name


def _texts(files: Files) -> list[str]:
    return [files] if isinstance(files, str) else list(files.values())


def _one(axis: str, stated: Any, known: list[Any], where: str) -> Any:
    """Return what a row states on an axis, or the only value that there is.

    Raises:
        SuiteError: there is no such value, or there are several.
    """
    if stated is not None:
        if stated not in known:
            raise SuiteError(unknown(axis, str(stated), map(str, known), where))
        return stated
    if len(known) > 1:
        said = ", ".join(map(str, known))
        raise SuiteError(f"{where}: {axis}: missing; the suite has {said}: say of which it is.")
    return known[0]
