"""Diffusion's equations against values of diffusers' schedulers and of closed forms.

Reference values were computed in float64 from the equations and agree with diffusers 0.42.1 to
1.1e-6: `DDIMScheduler` with steps_offset 1, set_alpha_to_one False, clip_sample False.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.maths.diffusion import (
    BOTH,
    CLEAN,
    CLIPS,
    NEVER,
    Step,
    alpha_bars,
    averaging,
    ddim_steps,
    ddim_times,
    noised,
)

LDM = ("scaled linear", 0.0015, 0.0195, 1000)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (LDM, [0.9985, 0.8231170375773269, 0.11492200085532281, 1.4230397519201791e-4]),
        (
            ("linear", 1e-4, 0.02, 1000),
            [0.9999, 0.8951415908975365, 0.07779665836502389, 4.035829765375676e-05],
        ),
    ],
)
def test_schedules_are_ldms_and_ddpms(
    given: tuple[str, float, float, int], expected: list[float]
) -> None:
    found = alpha_bars(*given)
    assert found.dtype == torch.float64
    assert found[[0, 100, 500, 999]].tolist() == pytest.approx(expected, rel=1e-12)
    assert (found.diff() < 0).all()


def test_ldms_grid_of_200_steps_ends_at_the_first_alpha() -> None:
    pairs = ddim_times(1000, 200, 1, 0)
    assert (pairs[:2], pairs[-2:]) == ([(996, 991), (991, 986)], [(6, 1), (1, 0)])
    assert len(pairs) == 200
    assert ddim_times(1000, 20, 0, CLEAN)[-1] == (0, CLEAN)
    assert ddim_times(1000, 3, 0, CLEAN) == [(666, 333), (333, 0), (0, CLEAN)]


DDIM = {  # (t, eta) -> three of the 384 values, and the sum of all squares
    (996, 0): (0.17190407910111505, 0.5632008461535226, 0.138563784510486, 428.7569797838464),
    (996, 1): (-0.020717458765017127, 0.5818209706397929, 0.42178085527369125, 473.60302899691015),
    (501, 0): (0.14532045129366544, 0.5279254288644439, 0.12923954240712374, 403.7574622579907),
    (501, 1): (0.01296569249318763, 0.5329888984435558, 0.3103309887241316, 424.2339038108123),
    (6, 0): (0.16491021981781726, 0.5389079532532571, 0.13260420660886985, 391.85324446084223),
    (6, 1): (0.15029117475914597, 0.5547953531390093, 0.17940012200752437, 395.477622725228),
    (1, 0): (0.13866970108525586, 0.5144457077968263, 0.12581963157231002, 388.4575414964416),
    (1, 1): (0.1270072938280796, 0.5211299680722756, 0.1526807198354113, 389.892350555637),
}  # fmt: skip


@pytest.mark.parametrize(("time", "eta"), DDIM)
def test_a_step_of_ddim_is_the_reference_step(time: int, eta: int) -> None:
    rng = np.random.default_rng(0)
    x, noise, fresh = (torch.from_numpy(rng.standard_normal((2, 3, 8, 8))) for _ in range(3))
    pairs = ddim_times(1000, 200, 1, 0)
    steps = ddim_steps(alpha_bars(*LDM).tolist(), pairs, float(eta), NEVER)
    found = steps[[now for now, _ in pairs].index(time)](x, noise, fresh)
    values = [*found.flatten()[[0, 100, 383]].tolist(), float(found.square().sum())]
    assert values == pytest.approx(list(DDIM[time, eta]), rel=1e-9)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("clip", CLIPS)
def test_every_step_is_diffusers_step(eta: float, clip: str) -> None:
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(
        beta_schedule="scaled_linear", beta_start=0.0015, beta_end=0.0195,
        steps_offset=1, set_alpha_to_one=False, clip_sample=clip != NEVER,
    )  # fmt: skip
    theirs.set_timesteps(50)
    pairs = ddim_times(1000, 50, 1, 0)
    assert theirs.timesteps.tolist() == [now for now, _ in pairs]
    rng = np.random.default_rng(2)
    steps = ddim_steps(alpha_bars(*LDM).tolist(), pairs, eta, clip)
    for (now, _), step in zip(pairs, steps, strict=True):
        x, noise, fresh = (torch.from_numpy(rng.standard_normal((1, 3, 4, 4))) for _ in range(3))
        given = {"eta": eta, "variance_noise": fresh if eta else None}
        given["use_clipped_model_output"] = clip == BOTH
        expected = theirs.step(noise, now, x, **given).prev_sample
        torch.testing.assert_close(step(x, noise, fresh), expected, rtol=0, atol=2e-5)


def test_whoever_knows_the_noise_gets_the_image_back() -> None:
    rng = np.random.default_rng(1)
    image, noise = (torch.from_numpy(rng.uniform(-1, 1, (2, 3, 4, 4))) for _ in range(2))
    bars = alpha_bars(*LDM)
    x = noised(image, noise, bars[[999, 999]])
    pairs = [(999, 700), (700, 41), (41, CLEAN)]
    for step in ddim_steps(bars.tolist(), pairs, 0.0, BOTH):
        x = step(x, noise)
    torch.testing.assert_close(x, image, rtol=0, atol=1e-9)


def test_noising_takes_each_image_to_its_own_time() -> None:
    images, noise = torch.full((2, 1, 1, 1), 2.0), torch.full((2, 1, 1, 1), 10.0)
    found = noised(images, noise, torch.tensor([0.64, 0.36], dtype=torch.float64))
    assert found.dtype == torch.float32
    assert found.flatten().tolist() == pytest.approx([1.6 + 6, 1.2 + 8])


def test_cutting_is_of_the_clean_image_and_perhaps_of_the_noise() -> None:
    x, noise = torch.tensor([3.0]), torch.tensor([1.0])
    never, image, both = (Step(0.25, 0.81, 0.0, clip)(x, noise).item() for clip in CLIPS)
    clean = (3 - 0.75**0.5) / 0.5
    assert never == pytest.approx(0.9 * clean + 0.19**0.5)
    assert image == pytest.approx(0.9 + 0.19**0.5)
    assert both == pytest.approx(0.9 + 0.19**0.5 * (3 - 0.5) / 0.75**0.5)
    with pytest.raises(ValueError, match="needs fresh noise"):
        Step(0.25, 0.81, 1.0, NEVER)(x, noise)


def test_an_average_is_short_sighted_first() -> None:
    """diffusers' EMAModel has these at its optimisation steps 11, 101 and 1001."""
    found = [averaging(step, 0.9999) for step in (10, 100, 1000)]
    assert found == pytest.approx([11 / 20, 101 / 110, 1001 / 1010])
    assert averaging(10**6, 0.9999) == 0.9999
    assert averaging(1789, 0.995) < 0.995 == averaging(1791, 0.995)
