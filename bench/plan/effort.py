"""How much effort a cell is beside others of its suite: before anything is built or timed."""

from __future__ import annotations

from bench.contracts.width import channels
from bench.plan.cell import Cell, Nets
from bench.plan.learning_rate import schedule_of


def effort(cell: Cell) -> float:
    """Return how long a cell should train beside others, in no unit: images, pixels and channels.

    A convolution costs its pixels times the square of its channels. Architectures are taken as
    alike, and a frozen teacher as free, because a cohort shares its pass. Cells that are given
    train for nothing.
    """
    if cell.given:
        return 0.0
    images = sum(stage.steps * stage.budget.batch for stage in schedule_of(cell).stages)
    players = cell.peers * _channels(cell.nets) + sum(map(_channels, cell.mentors))
    return float(images * cell.side**2 * players)


def _channels(nets: Nets) -> float:
    """Return the mean square of a generator's and a discriminator's base channels, added."""
    found = channels(nets.width)
    return sum(c * c for c in found) / len(found) + nets.discriminator_width**2
