"""Delimiter-separated values: one line for each row.

Where the first row holds column names, a row reads ``name: value; name: value``, so that a passage cut out
of the table still says what its values are, which is what lexical and dense search need. Empty cells are
left out of such rows. Without names the cells are joined by a bar and keep their place. The row of names
stands first.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO, Final

from services.vector.extraction.decoding import decode, normalise
from services.vector.extraction.errors import DocumentTooLargeError
from services.vector.extraction.model import BlockKind
from services.vector.extraction.writer import TextWriter, one_line

# Excel's own limit.
COLUMNS_MAX: Final = 16_384
CELL_MAX: Final = 1024 * 1024
_SAMPLE_ROWS: Final = 50
_SAMPLE: Final = 64 * 1024
_DELIMITERS: Final = ",;\t|"
_NAME: Final = re.compile(r"[^\W\d][^;:!?\n]{0,63}$")
_NUMBER: Final = re.compile(r"[-+(]?[$€£]?\d[\d.,' /:T+-]{0,30}%?\)?$")
_IDENTIFIER: Final = re.compile(r"[a-z][a-z0-9_.-]*$|[A-Z][A-Z0-9_]*$")
_USUAL: Final = frozenset(
    {
        "id", "no", "name", "title", "date", "time", "year", "month", "day", "city", "country", "state",
        "region", "address", "email", "phone", "description", "type", "kind", "category", "status", "price",
        "amount", "quantity", "total", "value", "unit", "currency", "text", "question", "answer", "url",
        "link", "label", "language", "code", "number", "count", "score", "author", "company", "first",
        "last", "from", "to", "key", "comment", "notes", "sku", "product", "item",
    }
)  # fmt: skip


def read(source: BinaryIO, writer: TextWriter) -> None:
    text = normalise(decode(source.read()))
    delimiter = _delimiter(text[:_SAMPLE])
    try:
        _write(_rows(text, delimiter), writer)
    except csv.Error as error:
        raise DocumentTooLargeError.over(CELL_MAX, "characters in a cell") from error


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(CELL_MAX)
    for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
        if len(row) > COLUMNS_MAX:
            raise DocumentTooLargeError.over(COLUMNS_MAX, "columns")
        if any(cell.strip() for cell in row):
            yield [one_line(cell) for cell in row]


def _write(rows: Iterator[list[str]], writer: TextWriter) -> None:
    sample = list(islice(rows, _SAMPLE_ROWS))
    names = sample[0] if _has_names(sample) else None
    if names is None:
        for row in chain(sample, rows):
            writer.row(row)
        return
    writer.row(names)
    for row in chain(sample[1:], rows):
        writer.line(BlockKind.TABLE, _named_row(names, row))


def _named_row(names: Sequence[str], row: Sequence[str]) -> str:
    pairs = zip(chain(names, ("",) * (len(row) - len(names))), row, strict=False)
    return "; ".join(f"{name}: {value}" if name else value for name, value in pairs if value)


def _delimiter(sample: str) -> str:
    """The candidate that cuts the first lines into equal numbers of cells, more than one; the comma
    otherwise.
    """
    lines = [line for line in sample.split("\n")[:_SAMPLE_ROWS] if line.strip()]
    best, best_score = ",", 0.0
    for candidate in _DELIMITERS:
        counts = [len(row) for row in _counted(lines, candidate)]
        usual = max(set(counts), key=lambda count: (counts.count(count), count), default=1)
        score = counts.count(usual) / len(counts) if usual > 1 and counts else 0.0
        if score > best_score:
            best, best_score = candidate, score
    return best


def _counted(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(CELL_MAX)
    yield from csv.reader(lines, delimiter=delimiter)


def _has_names(sample: list[list[str]]) -> bool:
    """Whether the first row names the columns.

    Its cells must be distinct and look like names; and either a column is numbers below a name that is
    none, or the names are written as identifiers, or one of them is a usual column name.
    """
    if len(sample) < 2 or len(sample[0]) < 2:
        return False
    head, body = sample[0], sample[1:]
    named = [cell for cell in head if cell]
    if len(named) < max(2, len(head) - 1) or len(set(named)) < len(named):
        return False
    if sum(1 for cell in named if _NAME.match(cell)) < 0.9 * len(named) or any(
        _NUMBER.match(cell) for cell in named
    ):
        return False
    for place, cell in enumerate(head):
        values = [row[place] for row in body if place < len(row) and row[place]]
        if cell in values:
            return False
        if cell and values and sum(1 for value in values if _NUMBER.match(value)) >= 0.8 * len(values):
            return True
    if all(_IDENTIFIER.match(cell) for cell in named):
        return True
    return any(word in _USUAL for cell in named for word in re.split(r"[\W_]+", cell.lower()))
