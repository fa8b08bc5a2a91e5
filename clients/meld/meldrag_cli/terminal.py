"""What a command says: to a person, or to a program when it asks for JSON."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from meldrag_cli.failures import Failure

# Wider than any line: what goes into a file or another program is not folded.
_UNBOUNDED = 100_000

# Documents and models write text; a terminal would obey what is a command to it, or show it in another order.
_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text without anything that a terminal takes for a command; tabs and line ends stay."""
    return _COMMANDS.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def line(text: str, most: int = 0) -> str:
    """Text as one clean line, shortened to `most` characters when that is not 0."""
    flat = clean(" ".join(text.split()))
    return flat if not most or len(flat) <= most else f"{flat[: most - 1].rstrip()}…"


def document(value: Any) -> str:
    """JSON in one line; safe to be shown in a terminal."""
    text = json.dumps(value, ensure_ascii=False)
    return _COMMANDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Terminal:
    """Standard output and standard error of a command.

    as_json: one JSON document, or one a line, on standard output, and errors as JSON on standard error.
    """

    def __init__(
        self, *, as_json: bool = False, out: IO[str] | None = None, err: IO[str] | None = None
    ) -> None:
        self.as_json = as_json
        self.out = _console(out or sys.stdout)
        self.err = _console(err or sys.stderr)

    @property
    def live(self) -> bool:
        """Whether a person reads along while text is written."""
        return self.out.is_terminal and not self.as_json

    @property
    def bars(self) -> Console | None:
        """Where progress may be drawn; None where nobody would see it, or it would get into the output."""
        if self.live:
            return self.out
        return self.err if self.err.is_terminal and not self.out.is_terminal else None

    def say(self, text: str = "", style: str = "") -> None:
        """A line for people; nothing when JSON is wanted."""
        if not self.as_json:
            self.out.print(Text(clean(text), style=style), soft_wrap=True)

    def say_pieces(self, pieces: Iterable[tuple[str, str]]) -> None:
        """A line for people in pieces of text, each with its style; nothing when JSON is wanted."""
        if not self.as_json:
            self.out.print(Text.assemble(*((clean(text), style) for text, style in pieces)), soft_wrap=True)

    def write(self, text: str) -> None:
        """Text without a line end, at once."""
        self.out.file.write(clean(text))
        self.out.file.flush()

    def note(self, text: str) -> None:
        """A remark beside the output, on standard error; nothing when JSON is wanted."""
        if not self.as_json:
            self.err.print(Text(clean(text), style="dim"), soft_wrap=True)

    def give(self, value: Any) -> None:
        """A JSON document, in a line of its own; nothing for people."""
        if self.as_json:
            self.out.file.write(f"{document(value)}\n")
            self.out.file.flush()

    def table(self, columns: Mapping[str, str], rows: list[list[str]]) -> None:
        """A table for people. columns: title and justification ("left", "right") of each."""
        if self.as_json:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title, justify in columns.items():
            table.add_column(title, justify="right" if justify == "right" else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(line(cell)) for cell in row))
        self.out.print(table)

    def fail(self, failure: Failure) -> None:
        """Tells why a command ends: with the reason, and the request's id for whoever reads the logs."""
        if self.as_json:
            self.err.file.write(f"{document({'error': failure.problem})}\n")
            self.err.file.flush()
            return
        self.err.print(Text(f"meld: {clean(failure.detail)}", style="red"), soft_wrap=True)
        named = f"reason {failure.reason}"
        if request_id := failure.problem.get("request_id"):
            named += f", request {request_id}"
        self.err.print(Text(f"  {clean(named)}", style="dim"), soft_wrap=True)


def _console(file: IO[str]) -> Console:
    terminal = file.isatty()
    return Console(
        file=file,
        force_terminal=terminal,
        width=None if terminal else _UNBOUNDED,
        highlight=False,
        markup=False,
        emoji=False,
    )
