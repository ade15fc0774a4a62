"""Mean intersection over union: does the generated photograph show what the labels say?

Planning imports this file, so torch is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.contracts.kinds import SEGMENTER
from bench.contracts.metric import ImageMetric, Judge, Scene, Scoring, Setting
from bench.errors import SuiteError

if TYPE_CHECKING:
    from torch import Tensor

    from bench.contracts.dataset import Dataset
    from bench.contracts.segmenter import Segmenter

TRAINED = "trained"  # `segmenter`: a small one that the plan trains
LR = 1e-3  # of its training


class MIoU(ImageMetric):
    """IoU per class from one confusion matrix over all images, and the mean over classes.

    A class that neither the labels nor the predictions contain has no IoU and does not count. A
    mean over images of per-image values is another metric. Pixels labelled 255 are left out.

    `segmenter` is a file in `bench/segmenters/`, or `trained`: a small network that the plan
    trains on the data set's own real pairs for `steps` steps; then the score's protocol names its
    cell. Scores by different segmenters are different quantities. Logits are resized to
    the labels, which the data set gives at a size of their own (Cityscapes as its makers give it:
    2048 x 1024 pixels, with `drn_d_105` the papers' protocol) or at that of the images; the
    protocol states it. A segmenter itself is judged on the real photographs.
    """

    defaults = {"segmenter": TRAINED, "steps": 1000, "width": 16, "batch": 8}
    source = "Cordts et al. (Cityscapes), CVPR 2016, section 4.1"
    label = "mIoU"
    presets = ("paper", "offline")
    digits = 4
    better = "higher"
    needs = ("labels",)
    headline = "miou"
    one_by_one = False

    @classmethod
    def scoring(cls, params: Mapping[str, Any], setting: Setting) -> Scoring | None:
        """Return by which segmenter photographs are judged, or why they cannot be."""
        for name in ("steps", "width", "batch"):
            if params[name] < 1:
                raise SuiteError(f"miou: {name}: should be at least 1: {params[name]}.")
        dataset, palette = setting.dataset, setting.dataset.labels
        height, width = dataset.label_size or (setting.size, setting.size)
        protocol: dict[str, Any] = {"labels": f"{width} x {height}"}
        if not palette:
            return Scoring(protocol, f"needs labels, and {setting.name} has none")
        if setting.task.makes == "labels":
            return Scoring(protocol | {"output": "none: the real images", "segmenter": "itself"})
        if not setting.source:
            return Scoring(protocol, "judges photographs made from labels, not from noise")
        if dataset.label_domain != setting.source:
            return Scoring(protocol, "judges photographs, and these are label maps")
        if params["segmenter"] == TRAINED:
            if dataset.label_domain != "A":
                return Scoring(protocol, "a segmenter is trained only where A holds the label maps")
            return Scoring(protocol, judge=_judge(params, dataset))
        published = SEGMENTER.declaration(params["segmenter"], "miou")
        protocol["segmenter"] = f"{published.name} {published.version}"
        foreign = [name for name in palette if name not in published.says.classes]
        lacks = (
            f"{published.name} does not know {foreign[0]!r} of {setting.name}" if foreign else ""
        )
        return Scoring(protocol, lacks)

    @classmethod
    def pretrained(cls, params: Mapping[str, Any]) -> list[str]:
        """Return what a published segmenter needs."""
        if params["segmenter"] == TRAINED:
            return []
        return list(SEGMENTER.declaration(params["segmenter"], "miou").says.weights)

    @classmethod
    def variants(cls) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield every published segmenter."""
        for name in SEGMENTER.names():
            yield f"segmenter: {name}", {"segmenter": name}

    def open(self, scene: Scene) -> None:
        """Open the segmenter, and the labels of the images.

        Raises:
            StoreError: the plan trains the segmenter, and it has not been trained.
            WeightsError: it is a published one, and its weights are missing.
        """
        assert scene.dataset is not None  # as `needs` says
        self.dataset, self.size, self.device = scene.dataset, scene.size, scene.device
        self.split = scene.split
        self.seen = 0
        self.begin(tuple(scene.dataset.labels))
        if scene.judge is not None:
            self.predict = _by_logits(scene.judge())
        else:
            cls = SEGMENTER.load(self.params["segmenter"], "miou")
            self.predict = _by_name(cls(scene.device), self.classes)

    def begin(self, classes: tuple[str, ...]) -> None:
        """Start to count, for labels that are places in `classes`."""
        self.classes = classes
        side = len(classes) + 1  # the last is for what the segmenter sees and the labels lack
        self.confusion = np.zeros((side, side), dtype=np.int64)

    def add(self, output: Tensor, target: Tensor) -> None:
        """Segment the next photographs and hold them against their labels."""
        labels = self._labels(self.seen, len(output))
        self.seen += len(output)
        height, width = labels.shape[1:]
        self.count(self.predict(output, (height, width)), labels)

    def count(self, predicted: Tensor, labels: Tensor) -> None:
        """Count the pixels of every pair of classes: [N, H, W] int64 each; 255 is no label."""
        side = len(self.confusion)
        known = labels < side - 1
        pairs = (labels[known] * side + predicted[known]).cpu().numpy()
        self.confusion += np.bincount(pairs, minlength=side**2).reshape(side, side)

    def value(self) -> dict[str, float]:
        """Return `miou`, and `iou_CLASS` of each class that occurs."""
        common = self.confusion.diagonal().astype(np.float64)
        union = self.confusion.sum(0) + self.confusion.sum(1) - common
        found = {
            f"iou_{name}": float(common[i] / union[i])
            for i, name in enumerate(self.classes)
            if union[i]
        }
        return {"miou": sum(found.values()) / len(found), **found}

    def _labels(self, first: int, count: int) -> Tensor:
        """Return the classes of the next images, [N, h, w], at the size of the labels."""
        import torch

        from bench.maths.labels import read_labels

        read, palette, void = self.dataset.label_map, self.dataset.labels, self.dataset.void
        maps = (read(self.split, i, self.size) for i in range(first, first + count))
        images = (torch.from_numpy(m.transpose(2, 0, 1)[None] / np.float32(255)) for m in maps)
        return torch.cat([read_labels(image, palette, void) for image in images]).to(self.device)


def _judge(params: Mapping[str, Any], dataset: Dataset) -> Judge:
    """Return the segmenter that the plan trains.

    Its key has always named a discriminator, though none is built; it still does, so that a
    segmenter that was trained stays trained.
    """
    palette = {name: list(colour) for name, colour in dataset.labels.items()}
    return Judge(
        role="segmenter",
        task="segmentation",
        task_params={"palette": palette, "void": [list(colour) for colour in dataset.void]},
        network="small_segmenter",
        network_params={"classes": len(palette)},
        width=params["width"],
        steps=params["steps"],
        batch=params["batch"],
        lr=LR,
        discriminator="patchgan",
    )


Predict = Callable[["Tensor", tuple[int, int]], "Tensor"]
"""[N, 3, H, W] in [0, 1] and a size (h, w) -> [N, h, w] int64, a class per pixel of that size."""


def _by_logits(network: Callable[[Tensor], Tensor]) -> Predict:
    """Return what a trained segmenter sees."""
    from bench.maths.labels import largest

    def predict(images: Tensor, size: tuple[int, int]) -> Tensor:
        return largest(network(images.mul(2).sub(1)), size)

    return predict


def _by_name(segmenter: Segmenter, classes: tuple[str, ...]) -> Predict:
    """Return what a published segmenter sees, as places in `classes`; what they lack comes last."""
    import torch

    table = torch.full((len(segmenter.classes),), len(classes))
    places = torch.tensor([segmenter.classes.index(name) for name in classes])
    table[places] = torch.arange(len(classes))

    def predict(images: Tensor, size: tuple[int, int]) -> Tensor:
        found: Tensor = table.to(images.device)[segmenter(images, size)]
        return found

    return predict
