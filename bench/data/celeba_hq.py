"""CelebA-HQ: 30,000 photographs of celebrities' faces."""

from __future__ import annotations

from bench.data._folders import Nested


class CelebAHQ(Nested):
    """`path/CelebA-HQ-img/0.jpg` and so on, as CelebAMask-HQ's archive has them: all to train.

    Its makers have no split; latent diffusion trains on 25,000 by a list of its own. So there is no
    test split here, and metrics that need held-out images say so.
    """

    source = "Karras et al. (Progressive GAN), ICLR 2018; images of Lee et al. (CelebAMask-HQ)"
    licence = "CelebA's terms: non-commercial research"
    folders = {"train": "CelebA-HQ-img"}
    counts = {"train": 30_000}
    bring = "Unpack CelebAMask-HQ.zip of https://github.com/switchablenorms/CelebAMask-HQ there"
