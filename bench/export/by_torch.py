"""An export runs in torch, with the weights that lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from bench.contracts.kinds import NETWORK
from bench.contracts.network import Generator
from bench.errors import ExportError, SuiteError
from bench.export.settings import Settings, checked
from bench.train.device import autocast, configure

WEIGHTS = ("model.safetensors", "model.pth")  # the first that is there is read


class TorchEngine:
    """The network of an export, computing as `distillbench run` does."""

    def __init__(self, folder: Path, settings: Settings, device: str, threads: int) -> None:
        """Open the network.

        Raises:
            ExportError: there are no weights, they are not what was exported, or not of its
                network; or its network is not one of this project.
            SuiteError: there is no such device.
        """
        numerics = {"precision": settings.precision, "compile": False}
        configure(device, threads, numerics)
        name = next((n for n in WEIGHTS if n in settings.files), WEIGHTS[0])
        state = read_weights(checked(folder, name, settings))
        self.device, self.numerics = torch.device(device), numerics
        self.network = build(settings, state).to(self.device)

    @torch.no_grad()
    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """[N, 3, H, W] in [-1, 1] -> what the network makes of them, the same."""
        inputs = torch.from_numpy(images).to(self.device)
        with autocast(self.device, self.numerics):
            made: Tensor = self.network(inputs)[0]
        found: NDArray[np.float32] = made.float().cpu().numpy()
        return found


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file with weights, on the CPU.

    Raises:
        ExportError: it cannot be read.
    """
    try:
        if path.suffix == ".safetensors":
            found = load_safetensors(path.read_bytes())
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        raise ExportError(f"{path}: cannot be read: {str(error).partition('.')[0]}.") from error
    if not isinstance(found, dict) or not all(isinstance(x, Tensor) for x in found.values()):
        raise ExportError(f"{path}: holds something else than tensors by name.")
    return found


def build(settings: Settings, state: Mapping[str, Tensor]) -> Generator:
    """Return the network of an export with its weights, in evaluation mode.

    Raises:
        ExportError: the network is not one of this project, whose code alone is run, or the
            weights are another network's.
    """
    name = settings.network
    if ":" in name:
        raise ExportError(
            f"network {name!r} is not one of distillbench's, and an export brings no code: "
            "run its model.onnx, with --engine onnxruntime."
        )
    try:
        part = NETWORK.part(name, settings.params, "this export")
    except SuiteError as error:
        raise ExportError(str(error)) from error
    network = cast(type[Generator], part.load())(settings.width, settings.size, part.params)
    fill(network, state)
    return network.eval().requires_grad_(False)


def fill(network: Generator, state: Mapping[str, Tensor]) -> None:
    """Give a network the weights of a file.

    Raises:
        ExportError: they are another network's; the message names the first that does not fit.
    """
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        said = " ".join(str(error).split())[:300]
        raise ExportError(f"these weights do not fit the network: {said}") from error
