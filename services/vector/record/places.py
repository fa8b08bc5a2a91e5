"""Where a span of extracted text stands in the original: page, slide, cell or line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from services.vector.extraction.model import Place
from services.vector.record.database import Connection
from services.vector.record.texts import read_text

_TIMES = re.compile(r"(.*?)([\d:]+)–([\d:]+)", re.DOTALL)
_REGION = re.compile(r"(.*?)region (\d+),(\d+) (\d+)×(\d+)", re.DOTALL)
# Of the lines of one passage.
_REGIONS_MAX = 1_000
# A cell of a sheet, or some of a row: "Prices!B7", "Prices!B7:D7".
_CELLS = re.compile(r"(.*!)([A-Z]{1,3})(\d{1,7})(?::([A-Z]{1,3})(\d{1,7}))?", re.DOTALL)
# More than the cells of the longest passage.
_CELLS_MAX = 10_000
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


def are(connection: Connection, document_key: int, places: Sequence[Place]) -> bool:
    """Whether these, in order, are the places of a document."""
    held = connection.execute(
        # As bytes: SQLite hands out no text that is not UTF-8.
        "SELECT byte_start, CAST(label AS BLOB), page, line FROM places WHERE document_key = ?"
        " ORDER BY byte_start",
        (document_key,),
    ).fetchall()
    return held == [(place.byte_start, place.label.encode(), place.page, place.line) for place in places]


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
    ends = (
        _shown(connection, document_key, first, byte_start),
        _shown(connection, document_key, last, max(byte_start, byte_end - 1)),
    )
    shown = _region(connection, document_key, first, last) or _cells(
        connection, document_key, first, last, ends
    )
    return Where(first.page, shown or _span(*ends))


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


def _cells(
    connection: Connection, document_key: int, first: Place, last: Place, ends: tuple[str, str]
) -> str:
    """The range that holds every cell from one place to another one; of several sheets those of the first and
    of the last. Empty where neither place is a cell.

    A row may be wider than the one that a passage begins or ends in. ends: both places as text.
    """
    if not _CELLS.fullmatch(first.label) and not _CELLS.fullmatch(last.label):
        return ""
    rows = connection.execute(
        "SELECT label FROM places WHERE document_key = ? AND byte_start BETWEEN ? AND ?"
        " ORDER BY byte_start LIMIT ?",
        (document_key, first.byte_start, last.byte_start, _CELLS_MAX),
    )
    sheets = [list(labels) for _, labels in groupby([*(label for (label,) in rows), last.label], _sheet)]
    begin, end = _range(sheets[0]) or ends[0], _range(sheets[-1]) or ends[1]
    return begin if len(sheets) == 1 else _span(begin, end)


def _sheet(label: str) -> str:
    """What the places of one sheet have in common, its heading among them: "Prices!"."""
    cell = _CELLS.fullmatch(label)
    return cell[1] if cell else f"{label}!"


def _range(labels: Sequence[str]) -> str:
    """The smallest range that holds these cells of one sheet; empty for none."""
    cells = [cell for label in labels if (cell := _CELLS.fullmatch(label))]
    if not cells:
        return ""
    # Fewer letters are further to the left.
    columns = sorted((len(letters), letters) for cell in cells for letters in (cell[2], cell[4] or cell[2]))
    numbers = sorted(int(number) for cell in cells for number in (cell[3], cell[5] or cell[3]))
    corners = f"{columns[0][1]}{numbers[0]}", f"{columns[-1][1]}{numbers[-1]}"
    return cells[0][1] + (corners[0] if corners[0] == corners[1] else ":".join(corners))


def _span(first: str, last: str) -> str:
    """From one place to another: "page 3-4", "line 7-12", "00:12–00:31"; empty where one is not known."""
    if first == last:
        return first
    if not first or not last:
        return ""
    begin, end = _TIMES.fullmatch(first), _TIMES.fullmatch(last)
    if begin and end and begin[1] == end[1]:
        return f"{begin[1]}{begin[2]}–{end[3]}"
    one, other = _NUMBERED.match(first), _NUMBERED.match(last)
    if one and other and one[1] == other[1]:
        return f"{first}-{other[2]}"
    return f"{first} to {last}"
