"""An export runs in onnxruntime, without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import ExportError
from bench.export.settings import Settings, checked
from bench.onnx.session import Session

FILE = "model.onnx"


class OnnxEngine:
    """The `model.onnx` of an export."""

    def __init__(self, folder: Path, settings: Settings, device: str, threads: int) -> None:
        """Open the file.

        Raises:
            AbsentExtra: onnxruntime is not installed.
            ExportError: the file is not there, is not what was exported, or cannot be run.
        """
        path = checked(folder, FILE, settings)
        self.size = 0 if settings.open_sizes else settings.size
        self.session = Session(path, device, threads)

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """[N, 3, H, W] in [-1, 1] -> what the network makes of them, the same.

        Raises:
            ExportError: the file is of one size, and these images have another.
        """
        if not self.size:
            return self.session(images)
        if images.shape[2:] != (self.size, self.size):
            raise ExportError(
                f"this {FILE} takes images of {self.size} x {self.size} px alone: "
                f"add --size {self.size}."
            )
        return np.concatenate([self.session(image[None]) for image in images])
