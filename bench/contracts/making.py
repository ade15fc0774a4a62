"""How test outputs may be made, where a task leaves it to the suite's `outputs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.errors import SuiteError, unknown

EVAL, BATCH_STATISTICS, AS_TRAINED = MODES = (
    "eval",
    "batch statistics",
    "batch statistics and dropout",
)
"""In which mode a network makes them. The second gives batch norms the statistics of the one image
that is made; the third leaves dropout live as well, with draws that are seeded image by image. The
last is Pix2Pix's own test (Isola et al., CVPR 2017, section 3.2)."""

ROUNDED, TRUNCATED = ROUNDINGS = ("rounded", "truncated")
"""How they get the 8 bits of an image file. The second is what the code of CycleGAN and Pix2Pix, of
GAN Compression and of all that descend from them does (`tensor2im`)."""


def check_making(outputs: Mapping[str, Any], where: str) -> None:
    """Refuse modes and roundings that there are not, and numbers below 0.

    Raises:
        SuiteError: which one, and what there is; `where` heads the message.
    """
    modes = outputs.get("modes", [EVAL])
    if not modes or len(set(map(str, modes))) < len(modes):
        raise SuiteError(f"{where}: modes: a list of one mode or several, each once: {modes}.")
    rounding = outputs.get("rounding", ROUNDED)
    for name, value in outputs.items():
        if isinstance(value, float) and not value >= 0:
            raise SuiteError(f"{where}: {name}: should be at least 0, found {value}.")
    for name, values, known in (("mode", modes, MODES), ("rounding", [rounding], ROUNDINGS)):
        for value in values:
            if value not in known:
                raise SuiteError(unknown(name, str(value), known, where))
