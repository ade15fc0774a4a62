"""Where distillation changes the spectrum of samples from the same noise: SD's Figure 10."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from PIL import Image

from bench.contracts.report import Figure, Report, Rows, sample_files
from reports._select import finite, places_by_size
from reports._style import Panel, pages

Values = npt.NDArray[np.float64]

GRAY = (0.2989, 0.5870, 0.1140)  # of R, G, B
MOST = 6.0  # dB at the ends of the colours
CAPTION = (
    "Samples of a method against those of the same network without a teacher, from the same noise: "
    "magnitude of the DFT of gray images, mean over the samples that are kept, in dB. The mean "
    "brightness is in the middle, high frequencies lie outside. Red: the method has more, blue: "
    f"less; beyond ± {MOST:g} dB the colours end. One seed, and few samples: a picture, no test."
)


class SDFigure10(Report):
    """One panel per method of a place whose networks have gates."""

    order = 24

    def make(self, rows: Rows) -> Iterator[Figure]:
        """Yield the figure where a control and a method with one seed have samples."""
        if rows.scores.empty:
            return
        scores = finite(rows.scores[rows.scores["metric"] == "gates"])
        panels = []
        for place in places_by_size(rows, scores):
            done = place.entries[place.entries["status"] == "done"]
            controls = done[done["is_control"]]
            for method, group in done[~done["is_control"]].groupby("method", sort=False):
                pairs = controls.merge(group, on="seed", suffixes=("", "_taught"))
                for pair in pairs.sort_values("seed").head(1).itertuples():
                    found = difference(Path(str(pair.samples)), Path(str(pair.samples_taught)))
                    if found is not None:
                        count, decibels = found
                        said = f"{method} against {pair.method}: {count} samples, seed {pair.seed}"
                        draw = partial(_map, decibels=decibels)
                        panels.append(Panel(f"{place.heading}: {said}", (), draw))
        yield from pages(
            "sd_figure_10", "Spectra of samples, method by method", CAPTION, panels, ()
        )


def difference(control: Path, taught: Path) -> tuple[int, Values] | None:
    """Return of how many samples, and 20 log10 of the quotient of their mean magnitudes: [S, S].

    Samples are paired by their names, which are places in the test outputs: equal ones start from
    equal noise. None where two folders have no pair.

    Args:
        control: the folder of samples below the line.
        taught: that of those above it.
    """
    ours, theirs = (sample_files(folder) for folder in (taught, control))
    common = [place for place in ours if place in theirs]
    if not common:
        return None
    above, below = (
        np.mean([_magnitude(found[place]["output"]) for place in common], axis=0)
        for found in (ours, theirs)
    )
    least = max(1e-6 * below.max(), np.finfo(float).tiny)  # were the samples black
    return len(common), 20 * np.log10(np.maximum(above, least) / np.maximum(below, least))


def _magnitude(path: Path) -> Values:
    with Image.open(path, formats=("PNG",)) as image:
        gray = np.asarray(image.convert("RGB"), dtype=np.float64) @ GRAY / 255
    found: Values = np.abs(np.fft.fftshift(np.fft.fft2(gray)))
    return found


def _map(axes: Axes, decibels: Values) -> None:
    side = len(decibels)
    ends = (-0.5, 0.5 - 1 / side)
    shown = axes.imshow(
        decibels,
        cmap="RdBu_r",
        vmin=-MOST,
        vmax=MOST,
        extent=(ends[0], ends[1], ends[1], ends[0]),
        interpolation="nearest",
    )
    beside = axes.inset_axes((1.04, 0.0, 0.06, 1.0))
    axes.figure.colorbar(shown, cax=beside, label="dB")
    beside.tick_params(labelsize=8)
    axes.set(xlabel="cycles per pixel", ylabel="cycles per pixel")
