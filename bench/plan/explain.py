"""What pydantic finds wrong with a user's keys is said in one line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bench.errors import unknown


def explain(error: ValidationError, path: str, model: type[BaseModel]) -> list[str]:
    """Say each fault in one line: where, what was found, what is expected or close."""
    lines = []
    places = {fault["loc"] for fault in error.errors()}
    for fault in error.errors():
        if fault["loc"][:1] == ("teacher",) and fault["loc"][1:] in places:
            continue  # inherited from the students' budget
        keys = [str(k) for k in fault["loc"]]
        where = f"{path}: {'.'.join(keys)}" if keys else f"{path}"
        if fault["type"] == "extra_forbidden":
            known = _fields(model, keys[:-1])
            lines.append(
                unknown("key", keys[-1], known, f"{path}: {'.'.join(keys[:-1]) or 'suite'}")
            )
        elif fault["type"] == "missing":
            lines.append(f"{where}: missing.")
        else:
            found = f", found {fault['input']!r}" if not isinstance(fault["input"], dict) else ""
            message = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            lines.append(
                f"{where}: should be {message}{found}."
                if fault["msg"].startswith("Input should")
                else f"{where}: {message}{found}."
            )
    return lines


def _fields(model: type[BaseModel], keys: list[str]) -> Mapping[str, Any]:
    """Return the fields of the model at a path of keys."""
    rest = list(keys)
    while rest:
        annotation = model.model_fields[rest.pop(0)].annotation
        options = (annotation, *get_args(annotation))
        model = next(o for o in options if isinstance(o, type) and issubclass(o, BaseModel))
        if get_origin(annotation) is dict:  # of models, by a name that is the next key
            rest = rest[1:]
    return model.model_fields
