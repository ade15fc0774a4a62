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


PASSED, STORED, SWAPPED = range(3)  # what a pool does with an image


class ImagePool:
    """A history of generated images that the discriminator also sees (Shrivastava et al. 2017).

    As CycleGAN's: until the pool is full each image is stored and returned; from then on, with
    probability one half, a stored image is returned and replaced. Which one is drawn before the
    step from the generator that the caller passes, so that the pool itself has no random state and
    a step is the same operators whatever was drawn.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.images: Tensor | None = None  # [size, C, H, W], allocated with the first batch
        self.count = 0
        self.drawn: Tensor | None = None  # [N, 2] int64 of the next batch: place, what happens

    def draw(self, turn: str, count: int, rng: np.random.Generator, device: torch.device) -> None:
        """Draw what happens to the images of a discriminator's next turn."""
        if turn != "discriminator" or not self.size:
            return
        drawn = torch.tensor([self._draw(rng) for _ in range(count)])
        if self.drawn is None or len(self.drawn) != count:
            self.drawn = torch.zeros_like(drawn, device=device)
        if device.type == "cuda":
            drawn = drawn.pin_memory()  # else the copy would wait for the device
        self.drawn.copy_(drawn, non_blocking=True)

    def _draw(self, rng: np.random.Generator) -> tuple[int, int]:
        if self.count < self.size:
            self.count += 1
            return self.count - 1, STORED
        if rng.random() < 0.5:
            return int(rng.integers(self.size)), SWAPPED
        return 0, PASSED

    def query(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H, W], some of them from the history; detached."""
        images = images.detach()
        if not self.size:
            return images
        assert self.drawn is not None  # before each turn
        if self.images is None:
            self.images = images.new_zeros((self.size, *images.shape[1:]))
        pairs = zip(images, self.drawn, strict=True)
        return torch.stack([_exchanged(self.images, image, drawn) for image, drawn in pairs])

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


def _exchanged(stored: Tensor, image: Tensor, drawn: Tensor) -> Tensor:
    """Do with an image [C, H, W] as was drawn; return what the discriminator sees of it."""
    place, what = drawn[:1], drawn[1]
    old = stored.index_select(0, place)[0]
    stored.index_copy_(0, place, torch.where(what == PASSED, old, image)[None])
    return torch.where(what == SWAPPED, old, image)
