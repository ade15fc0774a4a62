"""A network's width: its base channels, one number or as many as an architecture has levels."""

from __future__ import annotations

Width = int | tuple[int, ...]

NO_WIDTH = 0  # of images that came without a network
NOTHING = "—"  # what rows have in its place


def channels(width: Width) -> tuple[int, ...]:
    """Return a width as a tuple, of one number or several."""
    return width if isinstance(width, tuple) else (width,)


def channels_of(said: object) -> tuple[int, ...]:
    """Return the channels of a width as rows have it: 16, or "10-20-58-64"; for sorting."""
    return tuple(int(number) for number in str(said).split("-"))


def said_width(width: Width) -> str:
    """Return a width as text: "16", or "10-20-58-64"; a dash for none."""
    if width == NO_WIDTH:
        return NOTHING
    return "-".join(map(str, channels(width)))
