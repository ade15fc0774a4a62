"""The formats in which a student may leave: each is written, opened again and compared."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save as save_safetensors
from torch import Tensor

from bench.contracts.network import Generator
from bench.errors import ExportError
from bench.export.by_torch import opened
from bench.export.settings import Settings
from bench.fetch.naming import to_original
from bench.onnx.convert import FirstOutput, convert, exporting, open_shapes
from bench.onnx.session import Session

BOUND = 1e-4  # of outputs in [-1, 1], between a network and what a format makes of it

Run = Callable[[Tensor], Tensor]


class Format(NamedTuple):
    """How a network becomes a file, and a file a function of images again."""

    file: str
    write: Callable[[Generator, Tensor, bool], bytes]  # network, images, whether sizes stay open
    open: Callable[[Path, Settings, type[Generator]], Run]
    bound: float = BOUND


def difference(run: Run, network: Generator, probes: Sequence[Tensor]) -> float:
    """Return by how much outputs differ at most, from those of a network; NaN counts as infinite.

    Raises:
        ExportError: an output has another shape.
    """
    largest = 0.0
    for images in probes:
        with torch.no_grad():
            expected, found = network(images)[0], run(images)
        if found.shape != expected.shape:
            shapes = tuple(found.shape), tuple(expected.shape)
            raise ExportError(f"an output of shape {shapes[0]} in place of {shapes[1]}.")
        gap = (found - expected).abs().max().item()
        largest = max(largest, gap if gap == gap else float("inf"))
    return largest


def _tensors(network: Generator) -> dict[str, Tensor]:
    """Return the weights by the names of the official code."""
    state = {name: x.detach().cpu().contiguous() for name, x in network.state_dict().items()}
    return to_original(network, state)


def _write_safetensors(network: Generator, images: Tensor, is_open: bool) -> bytes:
    content: bytes = save_safetensors(_tensors(network), {"format": "pt"})
    return content


def _write_pth(network: Generator, images: Tensor, is_open: bool) -> bytes:
    file = io.BytesIO()
    torch.save(_tensors(network), file)
    return file.getvalue()


def _write_onnx(network: Generator, images: Tensor, is_open: bool) -> bytes:
    return convert(network, (images,), ("image", "translated"), is_open)


def _write_torchscript(network: Generator, images: Tensor, is_open: bool) -> bytes:
    file = io.BytesIO()
    with exporting():
        trace: Any = torch.jit.trace
        torch.jit.save(trace(FirstOutput(network), (images,), check_trace=False), file)
    return file.getvalue()


def _write_torch_export(network: Generator, images: Tensor, is_open: bool) -> bytes:
    file = io.BytesIO()
    shapes = open_shapes(1) if is_open else None
    with exporting():
        program = torch.export.export(FirstOutput(network), (images,), dynamic_shapes=shapes)
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)  # which names files of this machine
        torch.export.save(program, file)
    return file.getvalue()


def _open_weights(path: Path, settings: Settings, kind: type[Generator]) -> Run:
    network = opened(kind, path, settings)
    return lambda images: network(images)[0]


def _open_onnx(path: Path, settings: Settings, kind: type[Generator]) -> Run:
    session = Session(path)
    return lambda images: torch.from_numpy(session(images.numpy()))


def _open_torchscript(path: Path, settings: Settings, kind: type[Generator]) -> Run:
    with exporting():
        load: Any = torch.jit.load
        run: Run = load(str(path))
    return run


def _open_torch_export(path: Path, settings: Settings, kind: type[Generator]) -> Run:
    with exporting():
        run: Run = torch.export.load(path).module()
    return run


FORMATS = {
    "safetensors": Format("model.safetensors", _write_safetensors, _open_weights, 0.0),
    "pth": Format("model.pth", _write_pth, _open_weights, 0.0),
    "onnx": Format("model.onnx", _write_onnx, _open_onnx),
    "torchscript": Format("model.torchscript.pt", _write_torchscript, _open_torchscript),
    "torch-export": Format("model.pt2", _write_torch_export, _open_torch_export),
}
