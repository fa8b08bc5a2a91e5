"""Where a span stands, from the places that are kept."""

import sqlite3
from collections.abc import Sequence

import pytest

from services.vector.extraction.model import Place
from services.vector.record import places
from services.vector.record.places import Where


def located(kept: Sequence[Place], start: int, end: int, text: bytes = b"") -> Where:
    connection = sqlite3.connect(":memory:")
    connection.execute(
        "CREATE TABLE places (document_key, byte_start, label, page, line,"
        " PRIMARY KEY (document_key, byte_start))"
    )
    connection.execute("CREATE TABLE texts (document_key, byte_start, byte_end, piece)")
    connection.execute("INSERT INTO texts VALUES (1, 0, ?, ?)", (len(text), text))
    places.add(connection, 1, kept)
    places.add(connection, 2, [Place(0, "of another document")])
    return places.locate(connection, 1, start, end)


PAGES = (Place(0, "page 1", 1), Place(10, "page 2", 2), Place(20, "report.pdf, page 1", 1))
CELLS = (Place(0, "S!A1"), Place(5, "S!B1"), Place(10, "S!AB12"), Place(15, "T!A1"))
# A heading, rows of another width, a row with one place for all its cells, and the next sheet.
SHEETS = (
    Place(0, "S"),
    Place(5, "S!B1"),
    Place(10, "S!AA2"),
    Place(15, "S!C3"),
    Place(20, "S!A4:AB4"),
    Place(25, "T"),
    Place(30, "T!C9"),
    Place(35, "T!A10"),
    Place(40, ""),
)

SAID = (Place(0, "00:12–00:17"), Place(5, "00:17–00:31"), Place(10, "a.vtt, 1:02:03–1:02:04"))
SEEN = (
    Place(0, "page 1, region 10,50 40×20", 1),
    Place(5, "page 1, region 5,80 90×20", 1),
    Place(10, "page 1, region 12,110 10×20", 1),
    Place(15, "page 2, region 0,0 9×9", 2),
    Place(20, "page 2", 2),
)


@pytest.mark.parametrize(
    ("kept", "span", "expected"),
    [
        ((), (0, 5), Where()),
        ((Place(5, "later"),), (0, 9), Where()),
        (PAGES, (3, 9), Where(1, "page 1")),
        (PAGES, (3, 10), Where(1, "page 1")),
        (PAGES, (3, 11), Where(1, "page 1-2")),
        (PAGES, (12, 30), Where(2, "page 2 to report.pdf, page 1")),
        (CELLS, (5, 9), Where(0, "S!B1")),
        (CELLS, (0, 12), Where(0, "S!A1:AB12")),
        (CELLS, (12, 17), Where(0, "S!AB12 to T!A1")),
        (SHEETS, (5, 16), Where(0, "S!B1:AA3")),
        (SHEETS, (15, 21), Where(0, "S!A3:AB4")),
        (SHEETS, (20, 22), Where(0, "S!A4:AB4")),
        (SHEETS, (0, 7), Where(0, "S!B1")),
        (SHEETS, (0, 16), Where(0, "S!B1:AA3")),
        (SHEETS, (10, 36), Where(0, "S!A2:AB4 to T!A9:C10")),
        (SHEETS, (10, 26), Where(0, "S!A2:AB4 to T")),
        (SHEETS, (30, 45), Where(0, "")),
        (PAGES, (15, 15), Where(2, "page 2")),
        (SAID, (0, 5), Where(0, "00:12–00:17")),
        (SAID, (0, 9), Where(0, "00:12–00:31")),
        (SAID, (5, 12), Where(0, "00:17–00:31 to a.vtt, 1:02:03–1:02:04")),
        (SEEN, (1, 4), Where(1, "page 1, region 10,50 40×20")),
        (SEEN, (1, 12), Where(1, "page 1, region 5,50 90×80")),
        (SEEN, (5, 17), Where(1, "page 1, region 5,80 90×20 to page 2, region 0,0 9×9")),
        (SEEN, (15, 25), Where(2, "page 2, region 0,0 9×9 to page 2")),
    ],
)
def test_from_the_first_place_to_the_last(
    kept: Sequence[Place], span: tuple[int, int], expected: Where
) -> None:
    assert located(kept, *span) == expected


def test_lines_are_counted_from_the_place_on() -> None:
    text = "ä\nb\n\nc\nd".encode()
    kept = [Place(0, "", 0, 1), Place(6, "", 0, 4)]
    assert located(kept, 0, 2, text).location == "line 1"
    assert located(kept, 3, 4, text).location == "line 2"
    assert located(kept, 0, len(text), text).location == "line 1-5"
    assert located([Place(0, "a.md", 0, 1)], 3, 9, text).location == "a.md, line 2-5"
