"""Delimiter-separated values: one line for each row.

Where the first row below titles holds column names, a row reads ``name: value; name: value`` (see
table_rows). Empty cells are left out of such rows. Without names the cells are joined by a bar and keep their
place. The row of names stands first. Excel's line ``sep=;`` says what parts the cells and is no text.
"""

import csv
import io
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import BinaryIO, Final

from services.vector.extraction.decoding import decode, normalise
from services.vector.extraction.errors import DocumentTooLargeError
from services.vector.extraction.model import BlockKind
from services.vector.extraction.table_rows import has_names, margin, named_cells, titles
from services.vector.extraction.writer import LINES_EVERY, TextWriter, one_line

# Excel's own limit.
COLUMNS_MAX: Final = 16_384
CELL_MAX: Final = 1024 * 1024
_SAMPLE_ROWS: Final = 50
_SAMPLE: Final = 64 * 1024
_DELIMITERS: Final = ",;\t|"
_SAID: Final = re.compile(r"\"?sep=([^\w\s\"]|\t)\"?(?:\n|$)", re.IGNORECASE)
# A comma that is neither within a number nor one of prose.
_COMMA: Final = re.compile(r"(?<!\d),(?! )|,(?![ \d])")


def read(source: BinaryIO, writer: TextWriter) -> None:
    text = normalise(decode(source.read()))
    said = _SAID.match(text)
    first = said.end() if said else 0
    lines = text[first : first + _SAMPLE].split("\n")[:_SAMPLE_ROWS]
    delimiter = said[1] if said else _delimiter(lines)
    try:
        _write(_rows(text[first:], lines, delimiter, first=2 if said else 1), writer)
    except csv.Error as error:
        raise DocumentTooLargeError.over(CELL_MAX, "characters in a cell") from error


def _rows(text: str, lines: list[str], delimiter: str, first: int) -> Iterator[tuple[int, list[str]]]:
    """The number of the line a row begins in, and its cells; `lines` are a sample, `first` is the number of
    the first line.
    """
    csv.field_size_limit(CELL_MAX)
    blanks = _quotes_after_blanks(lines, delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=blanks)
    line = first
    for row in reader:
        if len(row) > COLUMNS_MAX:
            raise DocumentTooLargeError.over(COLUMNS_MAX, "columns")
        if any(cell.strip() for cell in row):
            yield line, [one_line(cell) for cell in row]
        line = reader.line_num + first


def _write(rows: Iterator[tuple[int, list[str]]], writer: TextWriter) -> None:
    sample = list(islice(rows, _SAMPLE_ROWS))
    cells = [row for _, row in sample]
    head = titles(cells)
    below = cells[head:]
    names = below[0] if has_names(below) else None
    skipped = margin(below)
    expected = due = 0
    for at, (line, row) in enumerate(chain(sample, rows)):
        # Lines of the text follow lines of the file until a row has several, or an empty one comes between.
        if line != expected or writer.size >= due:
            writer.place("", line=line)
            due = writer.size + LINES_EVERY
        expected = line + 1
        if at < head:
            writer.row([cell for cell in row if cell])
        elif names is None:
            writer.row(row)
        elif at == head:
            writer.row(row[skipped:])
        else:
            writer.line(BlockKind.TABLE, "; ".join(cell for cell in named_cells(names, row) if cell))


def _delimiter(lines: list[str]) -> str:
    """The candidate that cuts the first lines into equal numbers of cells, more than one; the comma
    otherwise. Where the comma does so and another as well, it is the other, unless a comma stands as only
    what parts cells does.
    """
    lines = [line for line in lines if line.strip()]
    scores = {candidate: _score(lines, candidate) for candidate in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda candidate: scores[candidate])
    others = [candidate for candidate in _DELIMITERS[1:] if scores[candidate] == scores[best] > 0]
    if best == "," and others and (others[0] != ";" or not any(map(_COMMA.search, lines))):
        return others[0]
    return best


def _score(lines: list[str], delimiter: str) -> float:
    """The share of lines that have the usual number of cells; 0 when that is one."""
    csv.field_size_limit(CELL_MAX)
    blanks = _quotes_after_blanks(lines, delimiter)
    counts = [len(row) for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=blanks)]
    usual = max(set(counts), key=lambda count: (counts.count(count), count), default=1)
    return counts.count(usual) / len(counts) if usual > 1 else 0.0


def _quotes_after_blanks(lines: list[str], delimiter: str) -> bool:
    """Whether cells in quotes have blanks before them. Quotes that do not end with the cell are prose."""
    if delimiter == "\t":
        return False
    cut = re.escape(delimiter)
    begun = re.compile(rf"{cut} +\"")
    whole = re.compile(rf"{cut} +\"(?:[^\"]|\"\")*+\" *(?={cut}|$)")
    found = sum(len(begun.findall(line)) for line in lines)
    return 0 < found == sum(len(whole.findall(line)) for line in lines)
