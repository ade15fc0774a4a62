"""How far a stylised image is from its style, by the covariances of a judge's levels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.metrics._pairs import PairMetric

if TYPE_CHECKING:
    from torch import Tensor

LEVELS = 4


class StyleLoss(PairMetric):
    """Squared differences of covariances, summed over entries and levels, then the mean over pairs.

    Covariances are centred and divided by the number of positions. `level1` to `level4` are the
    parts of the sum, which the deepest rules in the papers' judge. What no table should be without:
    `unchanged` is the sum of the content itself, `recoloured` of a content whose pixels have the
    style's mean and covariance, and `share` the quotient of the sum and `unchanged`.
    """

    source = "Chiu & Gurari (PCA-KD), CVPR 2022, Figure 6; sum and units: found by its values"
    label = "style loss"
    digits = 1
    headline = "style_loss"

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.found: dict[str, list[list[float]]] = {"": [], "unchanged": [], "recoloured": []}

    def score(self, image: Tensor, content: Tensor, style: Tensor) -> None:
        """Compare the covariances of all levels."""
        from bench.metrics._judge import recoloured

        wanted = self._covariances(style)
        images = {"": image, "unchanged": content, "recoloured": recoloured(content, style)}
        for name, other in images.items():
            pairs = zip(self._covariances(other), wanted, strict=True)
            self.found[name].append([float((a - b).square().sum()) for a, b in pairs])

    def each(self) -> dict[str, list[float]]:
        """Return those of every pair, but for `share`."""
        sums = {name: [sum(row) for row in rows] for name, rows in self.found.items()}
        levels = zip(*self.found[""], strict=True)
        return {
            "style_loss": sums[""],
            **{f"level{number}": list(column) for number, column in enumerate(levels, 1)},
            "unchanged": sums["unchanged"],
            "recoloured": sums["recoloured"],
        }

    def value(self) -> dict[str, float]:
        """Return the means over pairs, and `share`, the quotient of two of them."""
        found = super().value()
        return found | {"share": found["style_loss"] / found["unchanged"]}

    def _covariances(self, image: Tensor) -> list[Tensor]:
        from bench.maths.pca import covariances

        return [covariances(level) for level in self.judge.levels(image)]
