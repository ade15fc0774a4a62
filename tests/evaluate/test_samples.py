"""The images that are kept of a result: which ones, whose, and that they are what was scored."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tiny import by_method, tiny_plan, train_together

from bench.evaluate.feed import evaluate
from bench.evaluate.generate import SAMPLES, open_students, outputs
from bench.plan.cell import open_dataset
from bench.store.layout import Store

CPU = torch.device("cpu")


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_samples_are_the_first_peers_scored_outputs_at_even_distances(tmp_path: Path) -> None:
    peers = {"hinton": {"teacher": {"mode": "peers", "peers": 2}}}
    plan = tiny_plan(
        tmp_path, methods=peers, metrics=["psnr"], snapshots={"times": 2, "metrics": ["psnr"]}
    )
    store = Store(tmp_path / "runs")
    (cell,) = by_method(plan).values()
    train_together([cell], plan, store)
    assert evaluate(cell, store, plan.metrics, CPU) == {}
    folder = store.folder(cell.key) / "samples"
    of_result = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    assert evaluate(cell, store, plan.metrics, CPU, plan.watched) == {}
    assert not folder.exists()  # of snapshots there are no samples
    folder.mkdir()
    for name, content in of_result.items():
        (folder / name).write_bytes(content)

    first, second = (
        torch.cat([made.output for made in outputs(cell, student, "AtoB", "test")])
        for student in open_students(cell, store, CPU)
    )
    dataset = open_dataset(cell.dataset)
    count = len(first)
    assert len(list(folder.iterdir())) == 3 * SAMPLES  # output, input and target
    for number in range(SAMPLES):
        place = number * count // SAMPLES
        kept = read(folder / f"AtoB-{number}-output.png")
        assert np.array_equal(kept, first[place].mul(255).round().permute(1, 2, 0).byte().numpy())
        assert not np.array_equal(
            kept, second[place].mul(255).round().permute(1, 2, 0).byte().numpy()
        )
        for role, domain in (("input", "A"), ("target", "B")):
            wanted = dataset.read("test", domain, place, cell.size)
            assert np.array_equal(read(folder / f"AtoB-{number}-{role}.png"), wanted)
