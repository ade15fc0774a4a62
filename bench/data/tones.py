"""Pure tones of a few frequencies, some of them rare: Spectral Diffusion's one-dimensional data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.contracts.dataset import Dataset, fingerprint
from bench.contracts.image import Pixels
from bench.errors import DataError, SuiteError


class Tones(Dataset):
    """A alone: signals cos(2 pi k x), each frequency k as often as its probability says.

    An image of side S holds one signal, at x = 0, 1/S, ... (S - 1)/S, in every row and channel, at
    8 bits: gratings to look at, of which a task for signals reads a row. A split has `signals` of
    them, in shares rounded to whole signals; all splits are alike. The paper's frequencies and
    probabilities could not be read: the defaults are ours, a long tail towards high frequencies, so
    that rare and high are one and the same. Other `probabilities` part them.
    """

    defaults = {
        "frequencies": [3, 5, 7, 9, 11],
        "probabilities": [0.5, 0.25, 0.15, 0.07, 0.03],
        "signals": 300,
    }
    source = "Yang et al. (Spectral Diffusion), CVPR 2023, Figure 4; frequencies and shares: ours"
    licence = "none needed: computed"
    task = "signals"
    size = 64
    domains = ("A",)
    names = ("tone",)

    def __init__(self, params: Mapping[str, Any]) -> None:
        """Check the parameters.

        Raises:
            SuiteError: they are no frequencies, or no probabilities of each of them.
        """
        super().__init__(params)
        tones, shares = params["frequencies"], params["probabilities"]
        if (
            not tones
            or any(type(k) is not int or k < 1 for k in tones)
            or len(set(tones)) < len(tones)
        ):
            raise SuiteError(f"tones: frequencies: different whole numbers from 1 on: {tones}.")
        are_numbers = all(type(p) in (int, float) and p > 0 for p in shares)
        if len(shares) != len(tones) or not are_numbers or abs(sum(shares) - 1) > 1e-6:
            raise SuiteError(
                f"tones: probabilities: {len(tones)} numbers above 0 whose sum is 1, one per "
                f"frequency: {shares}."
            )
        self.ends = np.rint(np.cumsum(shares) * params["signals"]).astype(int)
        if (np.diff(self.ends, prepend=0) < 1).any():
            raise SuiteError(
                f"tones: {params['signals']} signals are too few for one of each frequency."
            )

    def fingerprint(self) -> str:
        """Hash the parameters: they are all that signals are made from."""
        return fingerprint(json.dumps(dict(self.params), sort_keys=True))

    def count(self, split: str, domain: str) -> int:
        """Return the number of signals."""
        return int(self.params["signals"]) if domain == "A" else 0

    def read(self, split: str, domain: str, index: int, size: int) -> Pixels:
        """Return one signal, as an image."""
        row = 127.5 * (1 + self.signal(self.frequency(index), size))
        return np.broadcast_to(row.round().astype(np.uint8)[None, :, None], (size, size, 3)).copy()

    def frequency(self, index: int) -> int:
        """Return the frequency of a signal: those of one follow each other."""
        return int(self.params["frequencies"][np.searchsorted(self.ends, index, side="right")])

    def signal(self, frequency: int, size: int) -> npt.NDArray[np.float64]:
        """Return a tone: [size] in [-1, 1].

        Raises:
            DataError: so few samples cannot hold it.
        """
        if 2 * frequency >= size:
            raise DataError(
                f"tones: {size} samples hold frequencies below {size / 2:g}, not {frequency}."
            )
        tone: npt.NDArray[np.float64] = np.cos(2 * np.pi * frequency * np.arange(size) / size)
        return tone
