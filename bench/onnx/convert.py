"""A network becomes an ONNX file."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.onnx.extra import need

FREE = {0: "batch", 2: "height", 3: "width"}  # dimensions of images that a file may leave open


class FirstOutput(nn.Module):
    """A network of this project, whose first result alone is of interest."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return what the network puts out, without the hints that training asks it for."""
        output: Tensor = self.network(*inputs)[0]
        return output


@contextlib.contextmanager
def exporting() -> Iterator[None]:
    """Let torch's exporters work: without gradients, their warnings, or a mix of TF32 flags.

    They ask for the older of torch's two switches of TF32, which raises where the newer one says
    otherwise (`bench/train/device.py` sets it). Nothing that is traced on a CPU depends on either.
    """
    backends: Any = torch.backends
    before = backends.fp32_precision
    is_set = before != "none"
    if is_set:
        backends.fp32_precision = "tf32"  # as the older switch has it
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of libraries, about themselves
            yield
    finally:
        if is_set:
            parts = (backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)
            for part in parts:  # an exporter has set them one by one
                part.fp32_precision = "none"
            backends.fp32_precision = before


def open_shapes(inputs: int) -> tuple[Any, ...]:
    """Return how torch's exporters are told that sizes of `FirstOutput`'s inputs stay open."""
    return (tuple(dict.fromkeys(FREE, torch.export.Dim.DYNAMIC) for _ in range(inputs)),)


def convert(
    network: nn.Module,
    inputs: tuple[Tensor, ...],
    names: Sequence[str] = (),
    is_open: bool = False,
) -> bytes:
    """Return a network as an ONNX file: float32, in the mode in which it is, on the CPU.

    Nothing in it says where or when it was made: equal networks give equal files.

    Args:
        network: puts out a tensor, and hints that are left out.
        inputs: to be traced with; with `is_open` of unequal sizes, none of them 1.
        names: of the inputs and of the output; none: torch's own.
        is_open: whether batch, height and width of the images [N, C, H, W] stay open.

    Raises:
        AbsentExtra: onnx or onnxscript is not installed.
        RuntimeError: torch cannot convert the network; of several other kinds too.
    """
    need("onnx", "onnxscript")
    with exporting():
        program = torch.onnx.export(
            FirstOutput(network),
            inputs,
            dynamo=True,
            dynamic_shapes=open_shapes(len(inputs)) if is_open else None,
            input_names=list(names[:-1]) or None,
            output_names=list(names[-1:]) or None,
            verbose=False,
        )
    assert program is not None
    _forget(program.model)
    model = program.model_proto
    del model.graph.value_info[:]
    if is_open:
        for value in (*model.graph.input, *model.graph.output):
            for place, name in FREE.items():
                value.type.tensor_type.shape.dim[place].dim_param = name
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _forget(model: Any) -> None:
    """Drop what names files and lines of this machine."""
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
        node.doc_string = None
