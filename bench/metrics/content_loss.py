"""How far a stylised image has left its content, by the deepest level of a judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bench.metrics._pairs import PairMetric

if TYPE_CHECKING:
    from torch import Tensor


class ContentLoss(PairMetric):
    """Squared differences of relu4_1, centred over space: the papers' sum, mean over pairs.

    The sum grows with the number of pixels, so `mean`, per element, stands beside it; `recoloured`
    is the sum of a content whose pixels have the style's mean and covariance, which takes no
    network. The unchanged content has 0.
    """

    source = "Chiu & Gurari (PCA-KD), CVPR 2022, Figure 6; sum and units: found by its values"
    label = "content loss"
    digits = 0
    headline = "content_loss"

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(params)
        self.sums: list[float] = []
        self.means: list[float] = []
        self.others: list[float] = []

    def score(self, image: Tensor, content: Tensor, style: Tensor) -> None:
        """Compare the deepest level."""
        from bench.metrics._judge import recoloured

        total, elements = self._distance(image, content)
        self.sums.append(total)
        self.means.append(total / elements)
        self.others.append(self._distance(recoloured(content, style), content)[0])

    def each(self) -> dict[str, list[float]]:
        """Return those of every pair: `content_loss`, `mean`, `recoloured`."""
        return {"content_loss": self.sums, "mean": self.means, "recoloured": self.others}

    def _distance(self, image: Tensor, content: Tensor) -> tuple[float, int]:
        from bench.maths.pca import centred

        a, b = (centred(self.judge.levels(x)[-1].double()) for x in (image, content))
        return float((a - b).square().sum()), a.numel()
