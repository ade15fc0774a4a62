"""Whether the pretrained networks that a metric needs are on this machine."""

from __future__ import annotations

from bench.contracts.metric import Metric
from bench.fetch import weights
from bench.plugins.registry import Part


def missing_weights(metric: Part[Metric]) -> str:
    """Return why a metric cannot be had on this machine; "" where it can."""
    needed = metric.declared.pretrained(metric.params)
    missing = [name for name in needed if weights.look(name)[0] != "here"]
    if not missing:
        return ""
    names = " ".join(missing)
    return (
        f"{metric.name} needs weights that are not here: "
        f"`distillbench fetch {names}` brings them or says where to put them"
    )
