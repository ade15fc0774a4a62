"""The campaign's undisturbed runs, made once per process, and its figures, printed at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from campaign import Undisturbed, undisturbed

Count = Callable[..., None]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Undisturbed]:
    """Return a configuration's undisturbed run; it is made when it is first asked for."""
    found: dict[str, Undisturbed] = {}

    def of(place: str) -> Undisturbed:
        if place not in found:
            found[place] = undisturbed(place, tmp_path_factory.mktemp(place))
        return found[place]

    return of


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """Count what the campaign did, for its last lines."""
    return lambda what, number=1: record_property(f"count {what}", number)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what was done, summed over all cases."""
    counts = Counter[str]()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name.startswith("count ") and report.when == "call":
                    counts[name.removeprefix("count ")] += value
    for name in sorted(counts):
        terminalreporter.write_line(f"{counts[name]:6} {name}")
