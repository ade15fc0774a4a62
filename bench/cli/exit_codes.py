"""The exit codes of every command, which its `--help` ends with."""

from __future__ import annotations

import click

USUAL = "0, all is well; 2, the input is wrong; 130, interrupted."
OWN = {
    "run": "0, every cell is done or skipped; 1, some failed, diverged or could not be scored; "
    "2, the input is wrong and nothing was trained; 130, interrupted: the same command goes on.",
    "status": "0, no cell failed or diverged, though some may be missing; 1, some did; "
    "2, the input is wrong; 130, interrupted.",
    "merge": "0, all is in one store; 1, with findings: what contradicts, or is damaged, stayed; "
    "2, the input is wrong, or the disk is full; 130, interrupted: the same command goes on.",
    "report": "0, the report is written, even if MLflow lacks it; 2, the input is wrong; "
    "130, interrupted.",
    "sync": "0, MLflow is up to date; 2, it is not, or the input is wrong; 130, interrupted.",
    "verify": "0, the same bits; 1, some differ, or have not ended; 2, the input is wrong; "
    "130, interrupted.",
    "compare": "0, whatever the verdict; 2, the input is wrong, or there is no pair of runs; "
    "130, interrupted.",
    "gate": "0, passed or accepted; 1, failed; 2, no verdict, or the input is wrong; "
    "130, interrupted.",
}


def say_codes(command: click.Command, name: str) -> None:
    """Have a command's help end with its exit codes; those of a group are its commands'."""
    if isinstance(command, click.Group):
        for inner, below in command.commands.items():
            say_codes(below, f"{name} {inner}")
    else:
        command.epilog = f"Exit codes: {OWN.get(name, USUAL)}"
