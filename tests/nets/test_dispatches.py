"""A network's backward pass copies nothing that its layers could have written anew."""

from collections import Counter

import pytest
import torch

from bench.contracts.kinds import NETWORK

COPIES = {"AsStridedBackward0", "CopySlices"}  # what autograd adds for changes of a view in place


def _translators():
    for name in NETWORK.names():
        says = NETWORK.declaration(name, name).says
        if says.role in ("generator", "discriminator") and "norm" in says.defaults:
            for norm in says.choices["norm"]:
                yield pytest.param(name, norm, id=f"{name}-{norm}")


@pytest.mark.parametrize(("name", "norm"), list(_translators()))
def test_no_activation_changes_a_view_in_place(name, norm):
    """Instance norm returns a view; an activation in place would cost two copies per layer."""
    cls = NETWORK.load(name, name)
    params = {**cls.defaults, "norm": norm}
    if cls.role == "discriminator":
        found, _ = cls(2, 3, params)(torch.zeros(1, 3, 64, 64))
    else:
        found = [cls(2, 64, params)(torch.zeros(1, 3, 64, 64))[0]]
    assert not COPIES & set(_nodes([output.grad_fn for output in found]))


def _nodes(waiting):
    seen, names = set(), Counter()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            names[node.name()] += 1
            waiting += [above for above, _ in node.next_functions]
    return names
