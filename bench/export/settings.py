"""What `config.json` of an export says; read and written without torch."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import ExportError

NAME = "config.json"

Side = Annotated[int, Field(gt=0, le=2**14)]  # pixels
Channels = Annotated[int, Field(gt=0, le=2**16)]


class Settings(BaseModel):
    """An export: which network, what it takes and gives, where it is from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    distillbench: Literal[1] = 1  # version of this file
    network: str  # a file in bench/nets/, or a user's `module:Class`
    width: Channels | tuple[Channels, ...]
    size: Side  # image side in training, in pixels
    params: dict[str, Any]  # of the network
    layout: str  # whose names the tensors have
    parameters: int  # how many numbers it has learnt
    multiple: Side  # height and width have to be multiples of it
    least: Side  # and no less than this
    open_sizes: bool = True  # whether model.onnx takes any batch, height and width
    channels: Literal["RGB"] = "RGB"
    input: Literal["float32 [N, 3, H, W], x = pixel / 127.5 - 1"] = (
        "float32 [N, 3, H, W], x = pixel / 127.5 - 1"
    )
    output: Literal["float32 [N, 3, H, W], pixel = (y + 1) * 127.5"] = (
        "float32 [N, 3, H, W], pixel = (y + 1) * 127.5"
    )
    rounding: Literal["rounded", "truncated"]  # of a pixel to 8 bits
    resize: str  # how the suite's images got their size
    mode: Literal["eval"] = "eval"
    precision: Literal["fp32", "tf32", "bf16", "fp16"]  # in which the suite's images were made
    task: str
    direction: str
    source: str  # what inputs show
    target: str  # what outputs show
    dataset: str
    fingerprint: str  # of the data set
    suite: str
    method: str
    seed: int
    key: str  # of the cell
    files: dict[str, str]  # name -> sha256 of each file with weights


def sha256(content: bytes) -> str:
    """Return the digest of a file's content."""
    return hashlib.sha256(content).hexdigest()


def text_of(settings: Settings) -> bytes:
    """Return `config.json`."""
    return (
        json.dumps(settings.model_dump(mode="json"), indent=1, ensure_ascii=False).encode() + b"\n"
    )


def read(folder: Path) -> Settings:
    """Read the settings of an export.

    Raises:
        ExportError: the folder is no export; the message names what is wrong in it.
    """
    path = folder / NAME
    try:
        return Settings.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise ExportError(
            f"{folder}: no export: it has no {NAME}; `distillbench export` writes one."
        ) from error
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ExportError(f"{path}: {where or 'JSON'}: {first['msg']}.") from error


def checked(folder: Path, name: str, settings: Settings) -> Path:
    """Return a file with weights, once its content is known to be what was written.

    Raises:
        ExportError: it is not there, or is another's.
    """
    path = folder / name
    if name not in settings.files or not path.is_file():
        there = ", ".join(sorted(settings.files)) or "none"
        raise ExportError(f"{folder}: no {name}; this export holds {there}.")
    if sha256(path.read_bytes()) != settings.files[name]:
        raise ExportError(f"{path}: not what was exported: its sha256 is not that of {NAME}.")
    return path
