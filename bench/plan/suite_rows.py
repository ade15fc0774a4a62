"""A suite's rows of data sets and methods, as plug-ins with their parameters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from bench.contracts.dataset import Dataset
from bench.contracts.kinds import DATASET, METHOD, REPORT
from bench.errors import SuiteError, unknown
from bench.plan.display_names import LABEL
from bench.plan.explain import explain
from bench.plan.files import place
from bench.plan.suite import INHERITED, Suite, Teacher
from bench.plan.tuning import Parts, Setting, settings_of
from bench.plugins.registry import Part

if TYPE_CHECKING:
    from bench.contracts.distiller import Distiller
    from bench.contracts.report import Report

Json = dict[str, Any]


def dataset_part(suite: Suite, label: str, row: Json) -> Part[Dataset]:
    """Return a row's data set as it is declared; whether its images are there is not asked."""
    name, params = named(row, "dataset", label)
    part = DATASET.part(name, params, f"{suite.path}: datasets.{label}")
    if not part.params.get("path"):
        return part
    path = str(place(suite, part.params["path"]))
    return replace(part, params={**part.params, "path": path}, path=path)


def named(row: Json, key: str, label: str) -> tuple[str, Json]:
    """Split a row into the plug-in's name, which is the label unless stated, and the rest.

    How the row is shown is none of the plug-in's parameters.
    """
    params = {name: value for name, value in row.items() if name != LABEL}
    return str(params.pop(key, label)), params


class Row(NamedTuple):
    """What a row of `methods` says."""

    parts: Parts  # its summands
    teacher: Teacher | None
    mode: str  # of that teacher; "" for none
    settings: list[Setting]  # of its trials


def method_row(suite: Suite, label: str, row: Json) -> Row:
    """Read a row of methods.

    Raises:
        SuiteError: what it has that it should not have, or lacks.
    """
    where = f"{suite.path}: methods.{label}"
    expression, params = named(row, "method", label)
    own, grid = params.pop("teacher", {}), params.pop("tune", None)
    names = [name.strip() for name in expression.split("+")]
    if len(names) > 1:
        for name in params:
            if name not in names:
                raise SuiteError(unknown("summand", name, names, where))
        given = [params.get(name) or {} for name in names]
        for name, row_of in zip(names, given, strict=True):
            if not isinstance(row_of, dict):
                raise SuiteError(f"{where}: {name}: expected parameters, found {row_of!r}.")
    else:
        given = [params]
    parts = tuple(METHOD.part(n, p, where) for n, p in zip(names, given, strict=True))
    shorts = [part.short for part in parts]
    if len(set(shorts)) < len(shorts):
        raise SuiteError(f"{where}: one method stands twice in the sum.")
    if grid is not None and not suite.tune:
        raise SuiteError(f"{where}: tune: the suite has no `tune` that says how.")
    settings = settings_of(parts, grid, suite.tune, f"{where}.tune") if suite.tune else []
    teacher = _teacher(suite, own, where)
    accepted = [part.declared.teachers for part in parts]
    if not any(accepted):
        return Row(parts, None, "", settings)
    common = [m for m in max(accepted, key=len) if all(m in a for a in accepted if a)]
    if not common:
        raise SuiteError(f"{where}: its summands accept no common kind of teacher.")
    mode = (teacher.mode if teacher else None) or common[0]
    if teacher and teacher.weights is not None:
        mode = _finished(teacher, parts, common, where)
    if mode not in common:
        raise SuiteError(unknown("mode of a teacher for this method", mode, common, where))
    if teacher is None:
        raise SuiteError(f"{where}: this method needs a teacher; give the suite one.")
    _check_company(parts, own, mode, f"{where}.teacher")
    return Row(parts, teacher, mode, settings)


def reports_of(suite: Suite) -> dict[str, Part[Report]]:
    """Return the reports that a suite asks for by name, beside those of the project.

    Raises:
        SuiteError: there is none of a name, or it has no such parameter.
    """
    where = f"{suite.path}: reports"
    return {n: REPORT.part(n, row, f"{where}.{n}") for n, row in suite.reports.items()}


def check_used(suite: Suite, rows: Iterable[Row]) -> None:
    """Refuse what the suite's teacher is asked for and no row has a use for.

    Raises:
        SuiteError: which key.
    """
    online = [parts for parts, _, mode, _ in rows if mode == "online"]
    deeper = [parts for parts in online if any(part.declared.deeper for part in parts)]
    for name, users in (("alternation", online), ("deeper", deeper)):
        if getattr(suite.teacher, name, None) and not users:
            raise SuiteError(f"{suite.path}: teacher.{name}: no method of the suite has one.")


def _finished(
    teacher: Teacher, parts: Sequence[Part[Distiller]], modes: Sequence[str], where: str
) -> str:
    """Return the mode of a teacher that is a file: it never trains.

    Raises:
        SuiteError: the row asks for more than the files have.
    """
    names = " and ".join(part.name for part in parts)
    train = "write `teacher: {weights: null}` in this row to have its teacher trained"
    if teacher.mode not in (None, "frozen"):
        raise SuiteError(
            f"{where}: teacher.mode: a teacher from a file is frozen, not {teacher.mode}; {train}."
        )
    if "frozen" not in modes:
        raise SuiteError(
            f"{where}: {names} trains with its teacher ({', '.join(modes)}), and one from a file "
            f"is frozen; {train}."
        )
    if teacher.discriminator is None and any(part.declared.teacher_judges for part in parts):
        raise SuiteError(
            f"{where}: {names} asks the teacher's discriminator; give its file, too, as "
            "`teacher: {discriminator: FILE}`."
        )
    return "frozen"


def _check_company(parts: Sequence[Part[Distiller]], own: Json, mode: str, where: str) -> None:
    """Refuse turns or a second teacher that a row asks for and cannot have."""
    for name in ("alternation", "deeper"):
        if own.get(name) and mode != "online":
            raise SuiteError(f"{where}: {name}: is for the mode online; this teacher is {mode}.")
    if own.get("deeper") and not any(part.declared.deeper for part in parts):
        names = " and ".join(part.name for part in parts)
        raise SuiteError(f"{where}: deeper: {names} learns from one teacher.")


def _teacher(suite: Suite, own: Json, where: str) -> Teacher | None:
    """Return the suite's teacher, overlaid by what a method's row says."""
    if not own:
        return suite.teacher
    if suite.teacher is None:
        raise SuiteError(f"{where}: teacher: the suite has no teacher to differ from.")
    if not isinstance(own, dict):
        raise SuiteError(f"{where}.teacher: expected keys, as in {{mode: online}}.")
    for name in own:
        if name not in Teacher.model_fields:
            raise SuiteError(unknown("key", name, Teacher.model_fields, f"{where}.teacher"))
    given = dict(own)
    if "weights" in own and own["weights"] is None:  # the discriminator is a file beside them
        given.setdefault("discriminator", None)
    if isinstance(own.get("budget"), dict):
        inherited = suite.budget.model_dump(include=set(INHERITED))
        given["budget"] = inherited | own["budget"]
    try:
        return Teacher.model_validate(suite.teacher.model_dump() | given)
    except ValidationError as error:
        raise SuiteError("\n".join(explain(error, f"{where}.teacher", Teacher))) from error
