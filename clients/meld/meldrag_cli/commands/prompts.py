"""What a person is asked, on standard error so that the output stays what it is."""

from __future__ import annotations

import sys

import typer

from meldrag_cli.failures import RefusedFailure, UsageFailure
from meldrag_cli.terminal import Terminal

_MOST_LINE = 16 << 10


def confirm(terminal: Terminal, question: str) -> None:
    """Asks a person. Raises UsageFailure where there is none, RefusedFailure for a no."""
    if not terminal.live:
        raise UsageFailure("NOT_CONFIRMED", f"{question} Say --yes; there is nobody to ask.")
    if not typer.confirm(question):
        raise RefusedFailure("NOT_CONFIRMED", "nothing was done")


def word(label: str, *, secret: bool = False, twice: bool = False) -> str:
    """A word that a person types, or the next line of standard input where nobody does.

    secret: it is not shown. Raises UsageFailure where nothing comes.
    """
    if sys.stdin.isatty():
        typed: str = typer.prompt(label, hide_input=secret, confirmation_prompt=twice, err=True)
        return typed
    line = sys.stdin.readline(_MOST_LINE).removesuffix("\n").removesuffix("\r")
    if not line:
        raise UsageFailure(
            "INPUT_MISSING", f"{label}: nobody is there to type it, and standard input is at its end"
        )
    return line
