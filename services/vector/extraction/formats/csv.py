"""Delimiter-separated values: one line for each row.

Where the first row holds column names, a row reads ``name: value; name: value`` (see table_rows). Empty
cells are left out of such rows. Without names the cells are joined by a bar and keep their
place. The row of names stands first.
"""

import csv
import io
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO, Final

from services.vector.extraction.decoding import decode, normalise
from services.vector.extraction.errors import DocumentTooLargeError
from services.vector.extraction.model import BlockKind
from services.vector.extraction.table_rows import has_names, named_cells
from services.vector.extraction.writer import LINES_EVERY, TextWriter, one_line

# Excel's own limit.
COLUMNS_MAX: Final = 16_384
CELL_MAX: Final = 1024 * 1024
_SAMPLE_ROWS: Final = 50
_SAMPLE: Final = 64 * 1024
_DELIMITERS: Final = ",;\t|"


def read(source: BinaryIO, writer: TextWriter) -> None:
    text = normalise(decode(source.read()))
    delimiter = _delimiter(text[:_SAMPLE])
    try:
        _write(_rows(text, delimiter), writer)
    except csv.Error as error:
        raise DocumentTooLargeError.over(CELL_MAX, "characters in a cell") from error


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The number of the line a row begins in, and its cells."""
    csv.field_size_limit(CELL_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    line = 1
    for row in reader:
        if len(row) > COLUMNS_MAX:
            raise DocumentTooLargeError.over(COLUMNS_MAX, "columns")
        if any(cell.strip() for cell in row):
            yield line, [one_line(cell) for cell in row]
        line = reader.line_num + 1


def _write(rows: Iterator[tuple[int, list[str]]], writer: TextWriter) -> None:
    sample = list(islice(rows, _SAMPLE_ROWS))
    names = sample[0][1] if has_names([row for _, row in sample]) else None
    expected = due = 0
    for line, row in chain(sample, rows):
        # Lines of the text follow lines of the file until a row has several, or an empty one comes between.
        if line != expected or writer.size >= due:
            writer.place("", line=line)
            due = writer.size + LINES_EVERY
        expected = line + 1
        if names is None or row is names:
            writer.row(row)
        else:
            writer.line(BlockKind.TABLE, "; ".join(cell for cell in named_cells(names, row) if cell))


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
