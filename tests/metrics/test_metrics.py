"""Metrics against worked examples, other libraries and reference values computed elsewhere."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import pywt
import torch
from skimage.metrics import peak_signal_noise_ratio
from tiny import keeps

from bench.check.examples import questions
from bench.check.question import Question
from bench.contracts.kinds import METRIC, NETWORK
from bench.contracts.metric import ImageMetric, NetworkMetric

JUDGES = {n: METRIC.load(n, "test") for n in METRIC.names()}
SHOWING = {"gates"}  # what ranks nothing: its values have no better side
ASKED = [
    pytest.param(question, id=f"{name}-{question.said}")
    for name in JUDGES
    for question in questions(METRIC.part(name, {}, "test"))
]
ON_NETWORKS = [n for n, cls in JUDGES.items() if issubclass(cls, NetworkMetric)]


def metric(name: str) -> Any:
    return METRIC.load(name, "test")(METRIC.declaration(name, "test").fields["defaults"])


def score(name: str, output: torch.Tensor, target: torch.Tensor) -> dict[str, float]:
    made: ImageMetric = metric(name)
    made.add(output, target)
    return made.value()


@pytest.mark.parametrize("question", ASKED)
def test_a_metric_keeps_its_contract(question: Question) -> None:
    """What `distillbench check` asks of a user's own."""
    keeps(question)


@pytest.mark.parametrize("name", list(JUDGES))
def test_a_metric_says_its_label_direction_and_headline(name: str) -> None:
    told = METRIC.declaration(name, "test")
    assert told.says.label
    assert told.says.better in (("",) if name in SHOWING else ("higher", "lower"))


@pytest.mark.parametrize("name", ON_NETWORKS)
def test_a_network_metric_gives_finite_numbers_and_its_headline(name: str) -> None:
    if "gpu" in METRIC.declaration(name, "test").fields["needs"]:
        pytest.skip("needs a GPU")
    params = {"norm": "instance"}
    network = NETWORK.load("resnet9", "test")(2, 32, params)
    made = metric(name)
    made.params = {**made.params, "warmup": 1, "runs": 3, "batch": 2, "sizes": [[64, 32], [33, 47]]}
    found = made.measure(network, torch.device("cpu"))
    assert all(np.isfinite(v) and v > 0 for v in found.values())
    headline = METRIC.declaration(name, "test").fields["headline"] or name
    assert headline in found or name == "latency_by_size"
    if name == "latency":
        assert found["latency_q1"] <= found["latency"] <= found["latency_q3"]


def reference_pair(case: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the deterministic image pairs whose scores were computed independently."""
    r = np.random.default_rng(1000 + case)
    y, x = np.mgrid[0:64, 0:64].astype(float)
    base = np.empty((64, 64, 3))
    for c in range(3):
        base[..., c] = 128 + 60 * np.sin(x * (0.11 + 0.03 * c) + case)
        base[..., c] += 50 * np.cos(y * (0.07 + 0.02 * c) - c)
    a = np.clip(base + r.integers(-20, 21, base.shape), 0, 255).astype(np.uint8)
    wide = a.astype(int)
    b = {
        0: lambda: wide,
        1: lambda: wide + 10,
        2: lambda: wide + r.integers(-25, 26, a.shape),
        3: lambda: wide[::4, ::4].repeat(4, 0).repeat(4, 1),
        4: lambda: 255 - wide,
    }[case]()
    return a, np.clip(b, 0, 255).astype(np.uint8)


REFERENCE = {  # case: (sha256 of a, of b, PSNR dB pooled over RGB, SSIM mean over RGB), float64
    1: ("cc81ceee8f33", "77314dd89ea9", 28.1488092511, 0.9917066841),
    2: ("0a02cd498744", "eccd0ffff7e2", 24.7670483942, 0.7039361126),
    3: ("b06271c7da20", "7bce597817ca", 21.9378971514, 0.4490276300),
    4: ("223c81eeee16", "ee824e0f9a7a", 6.8420804852, -0.5595968228),
}


@pytest.mark.parametrize("case", REFERENCE)
def test_psnr_and_ssim_equal_reference_values_computed_elsewhere(case: int) -> None:
    a, b = reference_pair(case)
    digests = [hashlib.sha256(image.tobytes()).hexdigest()[:12] for image in (a, b)]
    assert tuple(digests) == REFERENCE[case][:2], "the images are not those of the reference"
    tensors = [torch.from_numpy(i.transpose(2, 0, 1)[None] / 255) for i in (a, b)]
    assert score("psnr", *tensors)["psnr"] == pytest.approx(REFERENCE[case][2], abs=1e-8)
    assert score("ssim", *tensors)["ssim"] == pytest.approx(REFERENCE[case][3], abs=1e-8)


def test_psnr_is_skimages_per_image() -> None:
    torch.manual_seed(1)
    output, target = torch.rand(2, 5, 3, 16, 16)
    expected = [
        peak_signal_noise_ratio(t.numpy(), o.numpy(), data_range=1)
        for o, t in zip(output, target, strict=True)
    ]
    assert score("psnr", output, target)["psnr"] == pytest.approx(np.mean(expected), rel=1e-6)


def test_band_errors_are_pywavelets() -> None:
    torch.manual_seed(2)
    output, target = torch.rand(2, 3, 3, 32, 32, dtype=torch.float64)
    found = score("band_error", output, target)
    of_output, of_target = (
        pywt.wavedec2(x.numpy(), "haar", mode="zero", level=3) for x in (output, target)
    )
    assert list(found)[:4] == ["LL3", "LH3", "HL3", "HH3"]
    assert len(found) == 10
    expected = {"LL3": (of_output[0], of_target[0])}
    for level, (a, b) in zip(
        (3, 2, 1), zip(of_output[1:], of_target[1:], strict=True), strict=True
    ):
        expected |= {
            f"{n}{level}": p
            for n, p in zip(("LH", "HL", "HH"), zip(a, b, strict=True), strict=True)
        }
    for band, (a, b) in expected.items():
        assert found[band] == pytest.approx(np.abs(a - b).sum() / np.abs(b).sum(), rel=1e-10), band


def test_bands_are_named_by_the_axis_they_filter() -> None:
    """Stripes that alternate along the width are high along the width: HL."""
    stripes = torch.tensor([0.25, 0.75]).repeat(16).expand(1, 3, 32, 32)
    found = score("band_error", torch.full((1, 3, 32, 32), 0.5), stripes)
    assert found["HL1"] == pytest.approx(1.0)
    assert np.isnan(found["LH1"])  # the ground truth has none of this band: no score
    assert np.isnan(found["HL2"])
    assert found["LL3"] == pytest.approx(0.0, abs=1e-7)
