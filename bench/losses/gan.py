"""The adversarial game's common parts: losses and image pool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

LOSSES = ("lsgan", "vanilla", "hinge")


def discriminator_loss(kind: str, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Return half the sum of the losses on real and on fake, summed over scales: [].

    Args:
        kind: "lsgan" (Mao et al. 2017, targets 1 and 0), "vanilla" (binary cross entropy on
            logits, Goodfellow et al. 2014) or "hinge" (Lim & Ye 2017).
        real: logits of each scale, unbounded, any shape.
        fake: as `real`.
    """
    return 0.5 * sum(
        (_on_real(kind, r) + _on_fake(kind, f) for r, f in zip(real, fake, strict=True)),
        start=torch.zeros((), device=real[0].device),
    )


def fake_loss(kind: str, fake: Sequence[Tensor]) -> Tensor:
    """Return the discriminator's loss on generated images alone, summed over scales: [].

    Args:
        kind: as for `discriminator_loss`, which takes half of this.
        fake: logits of each scale, unbounded, any shape.
    """
    return torch.stack([_on_fake(kind, f) for f in fake]).sum()


def generator_loss(kind: str, fake: Sequence[Tensor]) -> Tensor:
    """Return how far the generator is from fooling the discriminator, summed over scales: [].

    The non-saturating form throughout; for "hinge" it is minus the mean logit.
    """
    losses = [-f.mean() if kind == "hinge" else _on_real(kind, f) for f in fake]
    return torch.stack(losses).sum()


def _on_real(kind: str, logits: Tensor) -> Tensor:
    if kind == "lsgan":
        return (logits - 1).square().mean()
    return F.softplus(-logits).mean() if kind == "vanilla" else F.relu(1 - logits).mean()


def _on_fake(kind: str, logits: Tensor) -> Tensor:
    if kind == "lsgan":
        return logits.square().mean()
    return F.softplus(logits).mean() if kind == "vanilla" else F.relu(1 + logits).mean()


class ImagePool:
    """A history of generated images that the discriminator also sees (Shrivastava et al. 2017).

    As CycleGAN's: until the pool is full each image is stored and returned; from then on, with
    probability one half, a stored image is returned and replaced. Which one is drawn from the
    generator that the caller passes, so that the pool itself has no random state.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: Tensor | None = None  # [size, C, H, W], allocated with the first batch
        self.count = 0

    def query(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W], some of them from the history; detached."""
        images = images.detach()
        if self.size == 0:
            return images
        if self.images is None:
            self.images = images.new_zeros((self.size, *images.shape[1:]))
        return torch.stack([self._swap(image, self.images, rng) for image in images])

    def _swap(self, image: Tensor, stored: Tensor, rng: np.random.Generator) -> Tensor:
        if self.count < self.size:
            stored[self.count] = image
            self.count += 1
        elif rng.random() < 0.5:
            place = int(rng.integers(self.size))
            old = stored[place].clone()
            stored[place] = image
            return old
        return image

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs."""
        if self.images is None:
            return {}
        return {"images": self.images, "count": torch.tensor(self.count)}

    def load(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Take up a saved state."""
        if state:
            self.images = state["images"].to(device)
            self.count = int(state["count"])
