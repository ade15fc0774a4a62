"""What metrics of style transfer share: who judges, and which style each output was to have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bench.contracts.metric import ImageMetric, Scene, Scoring, Setting

if TYPE_CHECKING:
    from torch import Tensor

PUBLISHED = "vgg19"


class PairMetric(ImageMetric):
    """A score of stylised images by the levels of a judge, which knows content and style.

    `judge: random` is VGG-19's layout at (16, 32, 64, 128) with random weights, each level brought
    to unit variance: it needs no file, and its numbers stand beside nobody's. `judge: vgg19` is
    torchvision's, each channel divided by its mean. Both divide by what they find in the first 64
    training images. The papers' judge is the normalised VGG-19 of Caffe's weights.
    """

    defaults = {"judge": "random"}
    choices = {"judge": ("random", PUBLISHED)}
    better = "lower"
    needs = ("target", "style")

    @classmethod
    def scoring(cls, params: Mapping[str, Any], setting: Setting) -> Scoring | None:
        """Return who judges, or that there are no styles."""
        scoring = super().scoring(params, setting)
        if scoring is None:
            return None
        reason = scoring.reason
        if "style" not in setting.dataset.names:
            reason = f"needs pairs of content and style, and {setting.name} has none"
        judge = params["judge"]
        return Scoring({**scoring.protocol, "judge": f"{judge}, on {setting.name}"}, reason)

    @classmethod
    def pretrained(cls, params: Mapping[str, Any]) -> list[str]:
        """Return the judge's file, if it has one."""
        return [PUBLISHED] if params["judge"] == PUBLISHED else []

    @classmethod
    def variants(cls) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the judge that needs a file."""
        yield f"judge: {PUBLISHED}", {"judge": PUBLISHED}

    def open(self, scene: Scene) -> None:
        """Open the judge.

        Raises:
            WeightsError: its file is missing.
        """
        from bench.metrics._judge import judge

        assert scene.dataset is not None  # as `needs` says
        self.scene, self.seen = scene, 0
        self.judge = judge(self.params["judge"], scene.dataset, scene.size, scene.device)

    def add(self, output: Tensor, target: Tensor) -> None:
        """Judge each image by itself, with the style that the data set pairs it with."""
        from bench.metrics._judge import style

        for image, content in zip(output, target, strict=True):
            wanted = style(self.scene, self.seen)
            self.seen += 1
            self.score(image[None], content[None], wanted)

    def score(self, image: Tensor, content: Tensor, style: Tensor) -> None:
        """Take in one output, [1, 3, S, S] in [0, 1], and what it was made of."""
        raise NotImplementedError
