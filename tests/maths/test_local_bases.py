"""What linear encoders keep of features: against least squares on all positions, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.maths.local_bases import Common, explained, kept, local_bases
from bench.maths.pca import covariances, eigenbasis

C, K = 5, 2


def maps(count: int, seed: int) -> Tensor:
    """Return maps whose channels depend on each other in another way in every image."""
    torch.manual_seed(seed)
    common, own = torch.randn(C, C).double(), torch.randn(count, C, C).double()
    noise = torch.randn(count, C, 36).double()
    return ((2 * common + own) @ noise).view(count, C, 6, 6) + 3


def positions(of: Tensor) -> np.ndarray:
    """Return all positions of all images, centred image by image: [N * HW, C]."""
    x = of.flatten(2)
    return (x - x.mean(2, keepdim=True)).transpose(1, 2).reshape(-1, C).numpy()


def restored(encoder: np.ndarray, x: np.ndarray) -> float:
    """Return the share of positions that least squares restores from what an encoder puts out."""
    code = x @ encoder
    decoder, *_ = np.linalg.lstsq(code, x, rcond=None)
    return float(1 - np.square(code @ decoder - x).sum() / np.square(x).sum())


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_what_an_encoder_keeps_is_what_least_squares_restores(rank: int) -> None:
    """Of an encoder of three channels that may be copies of one another."""
    seen = maps(4, 0)
    torch.manual_seed(1)
    encoder = torch.randn(C, rank).double() @ torch.randn(rank, 3).double()
    wanted = restored(encoder.numpy(), positions(seen))
    assert explained(encoder, covariances(seen).mean(0)) == pytest.approx(wanted, abs=1e-9)


def test_of_all_encoders_the_leading_eigenvectors_keep_most() -> None:
    """Their share is the leading eigenvalues', and no step of a descent from random ones gets by."""
    covariance = covariances(maps(4, 0)).mean(0)
    values = np.linalg.eigvalsh(covariance.numpy())[::-1]
    best = float(values[:K].sum() / values.sum())
    assert explained(eigenbasis(covariance, K), covariance) == pytest.approx(best, abs=1e-9)
    torch.manual_seed(2)
    encoder = torch.randn(C, K, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([encoder], 0.05)
    for _ in range(300):
        seen = covariance @ encoder
        share = (seen @ torch.linalg.inv(encoder.mT @ seen) @ seen.mT).trace() / covariance.trace()
        assert float(share.detach()) <= best + 1e-9
        adam.zero_grad()
        (-share).backward()  # type: ignore[no-untyped-call]
        adam.step()
    assert float(share.detach()) == pytest.approx(best, abs=1e-3)


def test_the_four_shares_are_those_of_numpy_on_all_positions() -> None:
    fit, held_out = maps(6, 0), maps(3, 5)
    found = kept(covariances(fit), covariances(held_out), K)
    x, y = positions(fit), positions(held_out)
    each = [positions(image[None]) for image in held_out]
    own = sum(np.square(z @ np.linalg.svd(z)[2][:K].T).sum() for z in each)
    assert found.own == pytest.approx(own / np.square(y).sum(), abs=1e-9)
    shared = np.linalg.svd(x)[2][:K].T
    assert found.shared == pytest.approx(restored(shared, y), abs=1e-9)
    bases = [np.linalg.svd(positions(image[None]))[2][:K].T for image in fit]
    signs = torch.randint(2, (6, 1, K), generator=torch.Generator().manual_seed(0))
    positive = [basis * np.where(basis.sum(0) < 0, -1, 1) for basis in bases]
    random = [basis * (2 * s.numpy() - 1) for basis, s in zip(positive, signs, strict=True)]
    for share, targets_of in ((found.local, positive), (found.random, random)):
        targets = [
            positions(image[None]) @ basis for image, basis in zip(fit, targets_of, strict=True)
        ]
        encoder, *_ = np.linalg.lstsq(x, np.concatenate(targets), rcond=None)
        assert share == pytest.approx(restored(encoder, y), abs=1e-3)  # the ridge is 1e-4
    assert found.own >= found.shared > found.local
    assert kept(covariances(fit), covariances(held_out), K) == found


def test_images_that_agree_lose_nothing_by_bases_of_their_own() -> None:
    one = covariances(maps(1, 3)).expand(4, -1, -1)
    found = kept(one, one, K)
    for share in (found.shared, found.local):
        assert share == pytest.approx(found.own, abs=1e-6)


def test_images_that_disagree_have_a_fit_between_their_components() -> None:
    """Two images that vary in one channel each: the fit is their sum, and keeps a half."""
    each = torch.diag_embed(torch.tensor([[1.0, 0.01], [0.01, 1.0]]).double())
    common = Common()
    common.add(each, local_bases(each, 1))
    fit = common.fit().squeeze(1)
    torch.testing.assert_close(fit[0], fit[1])
    found = kept(each, each, 1)
    assert found.own == pytest.approx(1 / 1.01)
    assert found.local == pytest.approx(0.5)
