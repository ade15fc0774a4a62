"""Codes in the place of images: made once per data set, scaled, and turned into images again.

Of every training image and its mirror image the likeliest code is kept, by the autoencoder's
weights and the images' content: `latents/ID.safetensors`. The scale, by which codes of training
images have unit variance over all their values (LDM, section 3.3 and its code's
`scale_by_std`), and each channel's mean and deviation before it stand in `latents/ID.json`.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bench.contracts.dataset import Dataset
from bench.contracts.image import Pixels
from bench.contracts.network import Autoencoder
from bench.errors import Damaged, WeightsError
from bench.plan.cell import Cell, Latents, without_path
from bench.plan.identity import identity
from bench.store.layout import Store, read_json, write_json
from bench.train import checkpoint
from bench.train.batches import normalise
from bench.train.decoded import open_decoded
from bench.train.device import full_precision
from bench.train.player import below, generator
from bench.train.trained import open_networks

BATCH = 16  # images encoded at once
PREFIXES = ("", "first_stage_model", "student0.generator.reconstruct")
"""Under which a file may have the weights: an autoencoder's own, latent diffusion's, a cell's."""


class Codec:
    """An autoencoder at work on the data set of a cell."""

    def __init__(
        self, cell: Cell, store: Store, device: torch.device, say: Callable[[str], None]
    ) -> None:
        """Open it; encode the training images, unless that was done before.

        Raises:
            Damaged: the weights that the plan trained are missing or damaged.
            WeightsError: those of a file are not what they should be.
        """
        assert cell.latents is not None
        self.cell, self.store, self.device = cell, store, device
        latents = cell.latents
        opened = (
            open_file(latents) if latents.file else _open_trained(latents.autoencoder, store, say)
        )
        self.network = opened.requires_grad_(False).eval().to(device)
        dataset, weights = cell.dataset, self.network.state_dict()
        place = [dataset.name, dataset.version, dataset.fingerprint]
        params = without_path(dataset.params)
        self.content = identity([*place, params, cell.size, checkpoint.digest(weights)])
        found = read_json(store.latents(self.content).with_suffix(".json"))
        self.scale = float(found.get("scale") or self._encode_all()[1])

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Return the images, [N, 3, S, S] around [-1, 1], of scaled codes [N, C, s, s]."""
        with full_precision():
            return self.network.decode(codes.float() / self.scale)

    def codes(self) -> Codes:
        """Return the scaled codes of the training images."""
        try:
            return Codes(checkpoint.load(self.store.latents(self.content))[0], self.content)
        except Damaged:
            return Codes(self._encode_all()[0], self.content)

    @torch.no_grad()
    def _encode_all(self) -> tuple[dict[str, Tensor], float]:
        """Encode the training images, and keep that; return the scaled codes, and their scale."""
        digests, parts = [], []
        for pixels in _views(open_decoded(self.cell.dataset), self.cell.size):
            digests += [_digest(image) for image in pixels]
            images = torch.stack([normalise(image) for image in pixels]).to(self.device)
            with full_precision():
                parts.append(self.network.encode(images).cpu())
        codes = torch.cat(parts)
        plain = codes[: len(codes) // 2].double()
        scale = 1 / plain.std(correction=0).item()
        tensors = {"codes": codes * scale, "digests": torch.tensor(digests, dtype=torch.uint8)}
        path = self.store.latents(self.content)
        checkpoint.save(path, tensors, {})
        by_channel = plain.transpose(0, 1).flatten(1)
        means, deviations = by_channel.mean(1), by_channel.std(1, correction=0)
        told = {"scale": scale, "mean": means.tolist(), "std": deviations.tolist()}
        write_json(path.with_suffix(".json"), told | {"images": len(plain)})
        return tensors, scale


class Codes:
    """Scaled codes, found by the images that they stand for."""

    def __init__(self, tensors: dict[str, Tensor], content: str) -> None:
        self.content = content
        self.codes = tensors["codes"]
        digests = tensors["digests"].numpy()
        self.places = {digest.tobytes(): place for place, digest in enumerate(digests)}

    def __call__(self, pixels: Pixels) -> Tensor:
        """[S, S, 3] uint8, a training image or its mirror image -> [C, s, s] float32."""
        return self.codes[self.places[bytes(_digest(pixels))]]


def _open_trained(cell: Cell, store: Store, say: Callable[[str], None]) -> Autoencoder:
    """Return the autoencoder that the plan trained, on the CPU.

    Raises:
        Damaged: its weights are missing or damaged.
    """
    network = cast(Autoencoder, generator(cell.nets, cell.size))
    (direction,) = cell.task.declared.directions
    trained = open_networks(store, cell.key, say=say)
    network.load_state_dict(below(trained, f"student0.generator.{direction}"))
    return network


def open_file(latents: Latents) -> Autoencoder:
    """Return the autoencoder of a file, on the CPU.

    Raises:
        WeightsError: the file cannot be read, has changed, or is of another network.
    """
    cell, path = latents.autoencoder, Path(latents.file)
    network = cast(Autoencoder, generator(cell.nets, cell.size))
    try:
        network.load_state_dict(_read(path, latents.sha256, set(network.state_dict())))
    except RuntimeError as error:
        said = str(error).splitlines()[-1].strip()
        raise WeightsError(f"{path}: of another `width`, or other `params`: {said}") from error
    return network


def _read(path: Path, sha256: str, wanted: set[str]) -> dict[str, Tensor]:
    """Return the wanted weights of a file; nothing in it is run."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            raise WeightsError(f"{path}: has changed since the suite was read; start again.")
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        said = str(error).splitlines()[0]
        raise WeightsError(f"{path}: cannot be read as weights: {said}") from error
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: cannot be read as weights: they have no names.")
    named = [below(state, prefix) if prefix else state for prefix in PREFIXES]
    closest = min(named, key=lambda names: len(wanted - set(names)))
    if missing := sorted(wanted - set(closest)):
        raise WeightsError(
            f"{path}: not the weights of this autoencoder: {len(missing)} are missing, as "
            f"{missing[0]}; set its `width` and `params`."
        )
    return {name: closest[name] for name in wanted}


def _views(dataset: Dataset, size: int) -> Iterator[list[Pixels]]:
    """Yield the training images in batches, then their mirror images."""
    count = dataset.count("train", "A")
    for step in (1, -1):
        for first in range(0, count, BATCH):
            places = range(first, min(first + BATCH, count))
            yield [dataset.read("train", "A", i, size)[:, ::step] for i in places]


def _digest(pixels: Pixels) -> list[int]:
    return list(hashlib.sha256(pixels.tobytes()).digest())
