"""Where a span of extracted text stands in the original: page, slide, cell or line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from services.vector.extraction.model import Place
from services.vector.record.database import Connection
from services.vector.record.texts import read_text

_NUMBERED = re.compile(r"(.*?)([A-Z]{0,3}\d+)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Where:
    """page: counted from 1, 0 where there are none. location: for people; empty where nothing is known."""

    page: int = 0
    location: str = ""


def add(connection: Connection, document_key: int, places: Iterable[Place]) -> None:
    """Keeps the places of a new document."""
    connection.executemany(
        "INSERT INTO places (document_key, byte_start, label, page, line) VALUES (?, ?, ?, ?, ?)",
        ((document_key, place.byte_start, place.label, place.page, place.line) for place in places),
    )


def locate(connection: Connection, document_key: int, byte_start: int, byte_end: int) -> Where:
    """Where the bytes from `byte_start` to `byte_end` of a document stand."""
    first = _at(connection, document_key, byte_start)
    if first is None:
        return Where()
    last = _at(connection, document_key, max(byte_start, byte_end - 1)) or first
    return Where(
        first.page,
        _span(
            _shown(connection, document_key, first, byte_start),
            _shown(connection, document_key, last, max(byte_start, byte_end - 1)),
        ),
    )


def _at(connection: Connection, document_key: int, byte: int) -> Place | None:
    row = connection.execute(
        "SELECT byte_start, label, page, line FROM places WHERE document_key = ? AND byte_start <= ?"
        " ORDER BY byte_start DESC LIMIT 1",
        (document_key, byte),
    ).fetchone()
    return None if row is None else Place(*row)


def _shown(connection: Connection, document_key: int, place: Place, byte: int) -> str:
    """A place as text, with the number of its line where lines are counted."""
    if not place.line:
        return place.label
    ends = 0
    if byte > place.byte_start:
        ends = read_text(connection, document_key, place.byte_start, byte).data.count(b"\n")
    line = f"line {place.line + ends}"
    return f"{place.label}, {line}" if place.label else line


def _span(first: str, last: str) -> str:
    """From one place to another: "Sheet1!B2:D9", "page 3-4", "line 7-12"."""
    if first == last:
        return first
    one, other = _NUMBERED.match(first), _NUMBERED.match(last)
    if one and other and one[1] == other[1]:
        return f"{first}{':' if one[1].endswith('!') else '-'}{other[2]}"
    return f"{first} to {last}"
