"""What holds of numbers over seeds that all see the same batches, wherever they are shown."""

from __future__ import annotations

PROTOCOL = "shared by all seeds"  # what a score's protocol says under `batches`
SAID = (
    "All seeds see the same batches: spreads, intervals and p are over initial weights and noise, "
    "not over the order of batches."
)
