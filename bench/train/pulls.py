"""How strongly methods pull at a student beside its original losses."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from bench.train.player import State


def pulls_of(generators: nn.Module, original: State, added: State) -> dict[str, float | None]:
    """Return, by method, the norm of its terms' gradient over that of the original terms."""
    parameters = [p for p in generators.parameters() if p.requires_grad]

    def norm(terms: Iterable[Tensor]) -> float:
        """Return that of their sum; 0 where none of them reaches the generators."""
        pulling = [x for x in terms if x.requires_grad]
        if not pulling:
            return 0.0
        total = torch.stack(pulling).sum()
        found = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
        parts = [g.norm() for g in found if g is not None]
        return float(torch.stack(parts).norm()) if parts else 0.0

    by_method: dict[str, list[Tensor]] = {}
    for name, value in added.items():
        by_method.setdefault(name.partition(".")[0], []).append(value)
    whole = norm(original.values()) if by_method else 0.0
    return {m: norm(terms) / whole if whole else None for m, terms in by_method.items()}
