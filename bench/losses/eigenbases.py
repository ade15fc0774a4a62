"""A method's eigenbases of its teacher's hints: derived once, kept in buffers, told as facts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.contracts.distiller import Distiller, Found, Inputs
from bench.errors import DataError
from bench.maths.pca import Covariance, centred, eigenbasis, learned_basis, residual

ENOUGH = 0.85  # of the variance: from here PCA-KD takes a layer's number of channels


class Sums(Protocol):
    """What is added up over maps."""

    def add(self, features: Tensor, /) -> None:
        """Take up the maps of some images: [N, C, H, W], any range."""

    def state(self) -> dict[str, Tensor]:
        """Return all that was taken up."""

    def load(self, state: Mapping[str, Tensor], /) -> None:
        """Go on from what another had taken up."""


class EigenbasisDistiller(Distiller):
    """A distiller that sees each hint of the student in the teacher's principal components.

    Its parameter `basis` is "exact", the eigenvectors of the covariance of all inputs, or
    "gradient", the descent of PCA-KD's own loss by its `lr` and `epochs`.

    Source: Chiu & Gurari (PCA-KD), CVPR 2022, eq. 4-6.
    """

    def make_room(self, role: str, teacher: int, student: int) -> None:
        """Register the buffers of one hint, of so many channels of the teacher and the student."""
        self.register_buffer(f"basis_{role}", torch.zeros(teacher, student))
        self.register_buffer(f"mev_{role}", torch.zeros(teacher, dtype=torch.float64))
        self.register_buffer(f"kept_{role}", torch.zeros((), dtype=torch.float64))

    def sums(self, role: str) -> dict[str, Sums]:
        """Return what is to be added up of a hint: `covariance`, and more, whose names tell all."""
        return {"covariance": Covariance()}

    def look(
        self, inputs: Iterable[Inputs], maps: Callable[[Inputs], Mapping[str, Tensor]]
    ) -> None:
        """Derive the bases of all hints over all inputs.

        Args:
            inputs: gone through once, or not at all.
            maps: returns the teacher's hints of a batch.

        Raises:
            DataError: a hint is constant over space in every image.
        """
        sums = {(role, name): x for role in self.hints for name, x in self.sums(role).items()}

        def add_up() -> Found:
            for batch in inputs:
                found = maps(batch)
                for (role, _), each in sums.items():
                    each.add(found[role])
            states = {place: each.state().items() for place, each in sums.items()}
            return {f"{r} {n} {slot}": x for (r, n), state in states.items() for slot, x in state}

        found = self.recall(", ".join(f"{role} {name}" for role, name in sums), add_up)
        for (role, name), each in sums.items():
            each.load({slot: found[f"{role} {name} {slot}"] for slot in each.state()})
        for role in self.hints:
            seen = sums[role, "covariance"]
            assert isinstance(seen, Covariance)
            self.derive(role, seen)

    def derive(self, role: str, seen: Covariance) -> None:
        """Find the basis of one hint from its covariance over all inputs.

        Raises:
            DataError: the hint is constant over space in every image.
        """
        covariance = seen.mean()
        variance = covariance.trace()
        if variance == 0:
            raise DataError(f"pca_kd: the teacher's hint {role!r} is constant on every input.")
        components = eigenbasis(covariance, len(covariance))
        basis = self.basis(role)
        count = basis.shape[1]
        if self.params["basis"] == "exact":
            basis.copy_(components[:, :count])
        else:
            steps = self.params["epochs"] * seen.batches
            basis.copy_(learned_basis(covariance, count, steps, self.params["lr"]))
        self.get_buffer(f"mev_{role}").copy_(seen.explained(components))
        lost = residual(covariance, basis.double())
        self.get_buffer(f"kept_{role}").copy_(1 - lost / variance)

    def basis(self, role: str) -> Tensor:
        """Return W of a hint, [C_t, C_s]."""
        return self.get_buffer(f"basis_{role}")

    def distance(self, role: str, mine: Tensor, theirs: Tensor) -> Tensor:
        """Return mean (W f_s - f_t)^2 of centred features: a scalar."""
        basis = self.basis(role)
        return F.mse_loss(F.conv2d(centred(mine), basis[:, :, None, None]), centred(theirs))

    def facts(self) -> Mapping[str, Any]:
        """Return hint -> `mev`, `mcev`, `channels_85`, `kept`."""
        return {role: self.facts_of(role) for role in self.hints}

    def facts_of(self, role: str) -> dict[str, Any]:
        """Return what was found out of one hint, as JSON values."""
        mev = self.get_buffer(f"mev_{role}")
        mcev = mev.cumsum(0)
        return {
            "mev": [round(x, 6) for x in mev.tolist()],
            "mcev": [round(x, 6) for x in mcev.tolist()],
            "channels_85": int((mcev < ENOUGH).sum()) + 1,
            "kept": round(self.get_buffer(f"kept_{role}").item(), 6),
        }
