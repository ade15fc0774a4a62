"""An export runs in torch, with the weights that lie in it."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.contracts.kinds import NETWORK
from bench.contracts.network import Generator
from bench.errors import ExportError, SuiteError
from bench.export.settings import Settings, checked
from bench.fetch.naming import state_of
from bench.fetch.tensors import read_tensors
from bench.train.device import autocast, configure

WEIGHTS = ("model.safetensors", "model.pth")  # the first that is there is read


class TorchEngine:
    """The network of an export, in its suite's precision; not compiled, nor channels last."""

    def __init__(self, folder: Path, settings: Settings, device: str, threads: int) -> None:
        """Open the network.

        Raises:
            ExportError: there are no weights, or they are not what was exported; or the network
                is not one of this project.
            WeightsError: they are another network's.
            SuiteError: there is no such device.
        """
        numerics = {"precision": settings.precision, "compile": False}
        configure(device, threads, numerics)
        name = next((n for n in WEIGHTS if n in settings.files), WEIGHTS[0])
        path = checked(folder, name, settings)
        self.device, self.numerics = torch.device(device), numerics
        self.network = build(path, settings).to(self.device)

    @torch.no_grad()
    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """[N, 3, H, W] in [-1, 1] -> what the network makes of them, the same."""
        inputs = torch.from_numpy(images).to(self.device)
        with autocast(self.device, self.numerics):
            made: Tensor = self.network(inputs)[0]
        found: NDArray[np.float32] = made.float().cpu().numpy()
        return found


def build(path: Path, settings: Settings) -> Generator:
    """Return the network of an export with the weights of a file, in evaluation mode.

    Raises:
        ExportError: the network is not one of this project, whose code alone is run.
        WeightsError: the file cannot be read, or its weights are another network's.
    """
    name = settings.network
    if not NETWORK.is_ours(name):
        raise ExportError(
            f"network {name!r} is not one of distillbench's, and an export brings no code: "
            "run its model.onnx, with --engine onnxruntime."
        )
    try:
        part = NETWORK.part(name, settings.params, "this export")
    except SuiteError as error:
        raise ExportError(str(error)) from error
    whole = settings.model_copy(update={"params": part.params})
    return opened(cast(type[Generator], part.load()), path, whole)


def opened(network: type[Generator], path: Path, settings: Settings) -> Generator:
    """Return a network of a class with the settings and the weights of an export.

    Raises:
        WeightsError: the file cannot be read, or its weights are another network's.
    """
    made = network(settings.width, settings.size, settings.params)
    made.load_state_dict(state_of(made, read_tensors(path), str(path)).state)
    return made.eval().requires_grad_(False)
