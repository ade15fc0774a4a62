"""What wavelet gates let pass, by time: Spectral Diffusion's Figure 9."""

from __future__ import annotations

from collections.abc import Iterator

from bench.errors import PluginError, SuiteError
from bench.metrics._one_step import OneStepMetric

BANDS = ("ll", "lh", "hl", "hh")  # in the order of a gate's four numbers


class Gates(OneStepMetric):
    """Each gate's mean over held-out images with noise, at each of `times`, and its spread.

    A network's hints `gates_downK` and `gates_upK` are the gates between levels K and K + 1,
    [N, 4, 1, 1] in (0, 1). `down1_ll_0100` is the mean over images of the gate of band LL on the
    way down from level 1 at time 100, `down1_ll_0100_spread` the standard deviation (n). Images and
    their noise are the same for all networks. The paper's figure is over the times of sampling;
    these are images as in training. No gate is better than another.
    """

    defaults = {"images": 64, "times": [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 999]}
    source = "Yang et al. (Spectral Diffusion), CVPR 2023, Figure 9; on noised images: ours"
    label = "gates"
    undefined = "the network has no gates"

    def value(self) -> dict[str, float]:
        """Ask the network; nothing where it has no gates."""
        import torch

        assert self.scene.hints is not None
        found: dict[str, float] = {}
        roles = list(self._roles())
        for time in self.params["times"] if roles else ():
            seen = [self.scene.hints(batch, roles) for batch in self.batches(time)]
            for role in roles:
                gates = torch.cat([hints[role] for hints in seen]).double().flatten(1)
                mean, spread = gates.mean(0).tolist(), gates.std(0, correction=0).tolist()
                for band, value, apart in zip(BANDS, mean, spread, strict=True):
                    name = f"{role.removeprefix('gates_')}_{band}_{time:04}"
                    found |= {name: value, f"{name}_spread": apart}
        return found

    def _roles(self) -> Iterator[str]:
        """Yield the gates that the network has, finest level first."""
        assert self.scene.hints is not None
        batch = {name: x[:1] for name, x in next(self.batches(0)).items()}
        for way in ("down", "up"):
            level = 1
            while True:
                role = f"gates_{way}{level}"
                try:
                    self.scene.hints(batch, [role])
                except (PluginError, SuiteError):
                    break
                yield role
                level += 1
