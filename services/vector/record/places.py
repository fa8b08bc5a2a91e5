"""Where a span of extracted text stands in the original: page, slide, cell or line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from services.vector.extraction.model import Place
from services.vector.record.database import Connection
from services.vector.record.texts import read_text

_TIMES = re.compile(r"(.*?)([\d:]+)–([\d:]+)", re.DOTALL)
_REGION = re.compile(r"(.*?)region (\d+),(\d+) (\d+)×(\d+)", re.DOTALL)
# Of the lines of one passage.
_REGIONS_MAX = 1_000
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


def placed(connection: Connection, document_keys: Iterable[int]) -> set[int]:
    """Those of the documents that have places at all."""
    rows = connection.execute(
        "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM places WHERE document_key = value)",
        (json.dumps(sorted(document_keys)),),
    )
    return {key for (key,) in rows}


def locate(connection: Connection, document_key: int, byte_start: int, byte_end: int) -> Where:
    """Where the bytes from `byte_start` to `byte_end` of a document stand."""
    first = _at(connection, document_key, byte_start)
    if first is None:
        return Where()
    last = _at(connection, document_key, max(byte_start, byte_end - 1)) or first
    region = _region(connection, document_key, first, last)
    return Where(
        first.page,
        region
        or _span(
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


def _region(connection: Connection, document_key: int, first: Place, last: Place) -> str:
    """The region of a page that holds all from one region to another one of it; empty where they are none."""
    ends = _REGION.fullmatch(first.label), _REGION.fullmatch(last.label)
    if not ends[0] or not ends[1] or ends[0][1] != ends[1][1]:
        return ""
    rows = connection.execute(
        "SELECT label FROM places WHERE document_key = ? AND byte_start BETWEEN ? AND ? LIMIT ?",
        (document_key, first.byte_start, last.byte_start, _REGIONS_MAX),
    )
    boxes = [
        [int(side) for side in box.groups()[1:]] for (label,) in rows if (box := _REGION.fullmatch(label))
    ]
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[0] + box[2] for box in boxes), max(box[1] + box[3] for box in boxes)
    return f"{ends[0][1]}region {left},{top} {right - left}×{bottom - top}"


def _span(first: str, last: str) -> str:
    """From one place to another: "Sheet1!B2:D9", "page 3-4", "line 7-12", "00:12–00:31"."""
    if first == last:
        return first
    begin, end = _TIMES.fullmatch(first), _TIMES.fullmatch(last)
    if begin and end and begin[1] == end[1]:
        return f"{begin[1]}{begin[2]}–{end[3]}"
    one, other = _NUMBERED.match(first), _NUMBERED.match(last)
    if one and other and one[1] == other[1]:
        return f"{first}{':' if one[1].endswith('!') else '-'}{other[2]}"
    return f"{first} to {last}"
