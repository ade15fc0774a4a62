"""onnxruntime runs an ONNX file; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import ExportError
from bench.onnx.extra import need

PROVIDERS: dict[str, tuple[str, dict[str, str]]] = {  # with options: float32 is no TF32
    "cpu": ("CPUExecutionProvider", {}),
    "cuda": ("CUDAExecutionProvider", {"use_tf32": "0"}),
}

Array = NDArray[np.float32]


class Session:
    """An ONNX file that is ready to run, in float32."""

    def __init__(self, model: bytes | Path, device: str = "cpu", threads: int = 0) -> None:
        """Open a file.

        Args:
            model: its path, or what is in it.
            device: "cpu" or "cuda".
            threads: within an operator; 0: onnxruntime's choice.

        Raises:
            AbsentExtra: onnxruntime is not installed.
            ExportError: it cannot read the file, or does not run on the device.
        """
        need("onnxruntime")
        import onnxruntime

        provider = PROVIDERS[device]
        if provider[0] not in onnxruntime.get_available_providers():
            raise ExportError(
                f"this onnxruntime {onnxruntime.__version__} does not run on {device}."
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        given: Any = model if isinstance(model, bytes) else str(model)
        try:
            self._session = onnxruntime.InferenceSession(given, options, providers=[provider])
        except Exception as error:  # it has a class for each of its codes, and no common one
            where = "this file" if isinstance(model, bytes) else model
            raise ExportError(
                f"{where}: onnxruntime cannot run it: {_first_line(error)}"
            ) from error
        self.names = [given.name for given in self._session.get_inputs()]

    def __call__(self, *inputs: Array) -> Array:
        """Return the first output.

        Raises:
            ExportError: the inputs are none that the network takes.
        """
        try:
            found: Array = self._session.run(None, dict(zip(self.names, inputs, strict=True)))[0]
        except Exception as error:
            shapes = ", ".join(str(x.shape) for x in inputs)
            raise ExportError(f"onnxruntime: inputs {shapes}: {_first_line(error)}") from error
        return found


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
