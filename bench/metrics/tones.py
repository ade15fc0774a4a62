"""Which tones a network makes, and how pure: what Spectral Diffusion's Figure 4 shows.

Planning imports this file, so torch is imported nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.contracts.metric import ImageMetric, Scene, Scoring, Setting
from bench.errors import SuiteError

if TYPE_CHECKING:
    from torch import Tensor

Values = npt.NDArray[np.float64]


class Tones(ImageMetric):
    """Share of a signal's power that lies off the frequencies of the data, mean over signals.

    Of the first row and channel of each image, in [-1, 1], without its mean. A signal belongs to
    the frequency of the data's where it is strongest: `share_KK` is the share of signals of
    frequency KK, `real_share_KK` that of the data, `purity_KK` the mean share of the power at KK in
    signals of it, 1 for a pure tone; there is none where no signal is of it. `out_KK` and `real_KK`
    are mean amplitudes at KK = 1 ... S / 2, 2 |DFT| / S, of which a pure tone has 1 at one place:
    the paper's figure.
    """

    source = "Yang et al. (Spectral Diffusion), CVPR 2023, Figure 4; shares and purity: ours"
    label = "power off the tones"
    digits = 3
    better = "lower"
    needs = ("tone",)
    headline = "tones"

    @classmethod
    def scoring(cls, params: Mapping[str, Any], setting: Setting) -> Scoring | None:
        """Return that there are tones, or that there are none.

        Raises:
            SuiteError: images are too small for the tones.
        """
        scoring = super().scoring(params, setting)
        if scoring is None:
            return None
        if "tone" not in setting.dataset.names:
            return scoring._replace(reason=f"needs tones, and {setting.name} has none")
        highest = max(setting.dataset.params["frequencies"])
        if 2 * highest >= setting.size:
            raise SuiteError(
                f"{setting.name}: a size of {setting.size} holds frequencies below "
                f"{setting.size / 2:g}, not {highest}."
            )
        return scoring

    def open(self, scene: Scene) -> None:
        """Look at the data's own signals."""
        assert scene.dataset is not None  # as `needs` says
        data, size = scene.dataset, scene.size
        self.tones: list[int] = data.params["frequencies"]
        count = data.count("train", "A")
        rows = [data.read("train", "A", index, size)[0, :, 0] for index in range(count)]
        self.real, self.made = np.array(rows) / 127.5 - 1, list[Values]()

    def add(self, output: Tensor, target: Tensor) -> None:
        """Take in signals."""
        self.made.append(2 * output[:, 0, 0].double().cpu().numpy() - 1)

    def each(self) -> dict[str, list[float]]:
        """Return every signal's power off the tones."""
        off = 1 - self._parts(np.concatenate(self.made)).sum(1)
        return {"tones": off.tolist()}

    def value(self) -> dict[str, float]:
        """Return the mean, and what there is of each frequency."""
        made, found = np.concatenate(self.made), super().value()
        parts = self._parts(made)
        strongest, real = parts.argmax(1), self._parts(self.real).argmax(1)
        for place, tone in enumerate(self.tones):
            mine = strongest == place
            found[f"share_{tone:02}"] = float(mine.mean())
            found[f"real_share_{tone:02}"] = float((real == place).mean())
            if mine.any():
                found[f"purity_{tone:02}"] = float(parts[mine, place].mean())
        for name, signals in (("out", made), ("real", self.real)):
            for place, amplitude in enumerate(_amplitudes(signals).mean(0), 1):
                found[f"{name}_{place:02}"] = float(amplitude)
        return found

    def _parts(self, signals: Values) -> Values:
        """[N, S] -> [N, tones]: the share of each signal's power at each tone; 0 of a flat one."""
        power = np.abs(np.fft.fft(signals)) ** 2
        power[:, 0] = 0.0
        at = np.array(self.tones)
        whole = np.maximum(power.sum(1, keepdims=True), np.finfo(float).tiny)
        found: Values = (power[:, at] + power[:, -at]) / whole
        return found


def _amplitudes(signals: Values) -> Values:
    """[N, S] -> [N, S // 2] at the frequencies 1, 2, ...; Nyquist's has twice its own."""
    found: Values = 2 * np.abs(np.fft.rfft(signals))[:, 1:] / signals.shape[1]
    return found
