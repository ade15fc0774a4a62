"""What can go wrong before or beside training, as one tree.

Errors in this tree are for the user: one line that says where, what was found, what was expected
and what to do. The command line prints them without a traceback and exits with `exit_code`.

    DistillbenchError           exit code 2
    ├── SuiteError              a suite file, or an override of it, is wrong
    ├── PluginError             a plug-in file does not obey its contract
    ├── DataError               a data set is missing, misarranged or unreadable
    │   └── AbsentData          it is not on this machine
    ├── WeightsError            pretrained weights are missing or are not what they should be
    ├── FetchError              a download or an archive is broken, wrong or hostile
    ├── StoreError              the store cannot be read or written
    │   ├── Busy                another process is at work on a cell
    │   └── Damaged             a file of the store is not what was written to it
    ├── CountError              an operator has no known number of MACs
    ├── ReportError             rows cannot stand in one table
    ├── ExportError             a student cannot leave as asked, or an export cannot be read
    │   └── AbsentExtra         a package that this needs is not installed
    └── Interrupted             exit code 130: stopped on request; the same command goes on
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DistillbenchError(Exception):
    """An error for the user: its text is the whole message."""

    exit_code = 2

    def __str__(self) -> str:
        """Return the message, with characters that would steer a terminal as escapes."""
        return printable(super().__str__())


class SuiteError(DistillbenchError):
    """A suite file, or an override of it, is wrong."""


class PluginError(DistillbenchError):
    """A plug-in file does not obey its contract."""


class DataError(DistillbenchError):
    """A data set is missing, misarranged or unreadable."""


class AbsentData(DataError):  # noqa: N818 - a state, not an error
    """The folder of a data set is not on this machine."""


class WeightsError(DistillbenchError):
    """Pretrained weights are missing or are not what they should be."""


class FetchError(DistillbenchError):
    """A download or an archive is broken, wrong or hostile."""


class StoreError(DistillbenchError):
    """The store cannot be read or written."""


class Busy(StoreError):  # noqa: N818 - a state, not an error
    """Another process is at work on a cell."""


class Damaged(StoreError):  # noqa: N818 - a state, not an error
    """A file of the store is not what was written to it."""


class CountError(DistillbenchError):
    """An operator has no known number of MACs."""


class ReportError(DistillbenchError):
    """Rows cannot stand in one table."""


class ExportError(DistillbenchError):
    """A student cannot leave as asked, or an export cannot be read."""


class AbsentExtra(ExportError):  # noqa: N818 - a state, not an error
    """A package that this needs is not installed."""


class Interrupted(DistillbenchError):  # noqa: N818 - a state, not an error
    """Stopped on request; the same command goes on where this one stopped."""

    exit_code = 130


def printable(text: str) -> str:
    """Return a text with control characters, and bytes that are no text, as escapes."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )


def unknown(kind: str, name: str, known: Iterable[str], where: str) -> str:
    """Say what was asked for, where, what is close, and what exists."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"{where}: unknown {kind} {name!r}.{hint} Known: {', '.join(options) or 'none'}."
