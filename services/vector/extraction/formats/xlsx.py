"""Workbooks (ECMA-376 part 1, SpreadsheetML): sheet by sheet, a line for each row.

Values are what Excel last computed, dates as ISO 8601, percentages as such, other numbers with all their
digits and with what their format puts beside them ("5 kg"); a formula that was never computed stands as its
text. Where the first row of a run of rows, below titles, names the columns, the others read
``name: value``. A short text of a merged cell is repeated in the rows that it stands beside and above the
columns that it names. Text boxes follow the rows of their sheet. Each cell keeps its place ("Prices!B7"), a
box that of the cell at its corner; in very large books each row does ("Prices!A7:D7"). Hidden sheets,
comments and charts are left out; a warning names the sheets that are hidden.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.archive import open_archive
from services.vector.extraction.errors import DoctypeError, DocumentTooLargeError, DocumentUnreadableError
from services.vector.extraction.office.number_formats import NumberFormat
from services.vector.extraction.office.relations import RELATIONSHIPS, Parts
from services.vector.extraction.office.sheet_boxes import read_boxes
from services.vector.extraction.table_rows import has_names, margin, named_cells, titles
from services.vector.extraction.writer import CELL_SEPARATOR, TextWriter
from services.vector.extraction.xml_tree import children, parse_each

_PREFIXES: Final = {
    **RELATIONSHIPS,
    "http://schemas.openxmlformats.org/spreadsheetml/2006/main": "x",
    "http://purl.oclc.org/ooxml/spreadsheetml/main": "x",
}
_MAIN: Final = "xl/workbook.xml"
# Excel's own limits.
COLUMNS_MAX: Final = 16_384
ROWS_MAX: Final = 1_048_576
_SAMPLE_ROWS: Final = 50
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})(\d{1,7})$")
# Built-in number formats of dates and times, and of percentages (ECMA-376 part 1, 18.8.30).
_DATES: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_PERCENTAGES: Final = frozenset({9, 10})
# Those of money, of which a file need not hold the code.
_MONEY: Final = dict.fromkeys(("5", "6", "7", "8", "42", "44"), "$#,##0.00")
# What a format code shows as it is or leaves room for, colours, languages and conditions.
_LITERAL: Final = re.compile(r'"[^"]*"|[\\_*].|\[[^\]]*\]')
# Spans of time, which do not begin again after a day.
_SPAN: Final = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
_BUILT_IN_SPAN: Final = 46
# A control character, which XML cannot hold, or the mark of one itself (ST_Xstring, 22.9.2.19).
_ESCAPED: Final = re.compile(r"_x(00[01][0-9A-Fa-f]|005[Ff])_")
_DAYS_MAX: Final = 2_958_466
# Found without a parser: they follow the rows, and must be known before these are read.
_MERGED: Final = re.compile(
    rb"<(?:\w{1,32}:)?mergeCell\s[^<>]{0,64}?ref\s?=\s?[\"']([A-Z]{1,3})(\d{1,7}):([A-Z]{1,3})(\d{1,7})[\"']"
)
# Of merged cells that many rows are looked at. What is longer is a note rather than the name of a group.
_MERGED_ROWS_MAX: Final = 100_000
_MERGED_TEXT_MAX: Final = 100

Row = list[tuple[str, str]]


def read(source: BinaryIO, writer: TextWriter) -> None:
    with open_archive(source, writer.limits) as package:
        parts = Parts(package, _PREFIXES, writer.limits.archive_bytes)
        main = parts.main(_MAIN)
        book = parts.root(main)
        relations = parts.relations(main)
        by_kind = {relation.kind: relation.target for relation in relations.values()}
        properties = book.find("x:workbookPr")
        values = _Values(
            _shared(parts, by_kind.get("sharedStrings"), writer),
            _Formats(parts, by_kind.get("styles")),
            from_1904=properties is not None and properties.get("date1904") in ("1", "true"),
        )
        sheets = children(book, "x:sheets", "x:sheet")
        if not sheets:
            raise DocumentUnreadableError.because("the workbook has no sheets")
        writer.title = parts.title()
        for sheet in sheets:
            name = sheet.get("name", "")
            relation = relations.get(sheet.get("r:id", ""))
            if sheet.get("state", "visible") != "visible":
                writer.warn(f"sheet {name} is hidden and was not read")
            elif relation is None:
                writer.warn(f"sheet {name} is missing in the file")
            elif relation.kind == "worksheet":
                writer.place(name)
                # A heading alone is no text: an empty sheet leaves nothing.
                read = _Sheet(writer, name, values)
                read.rows(parts.data(relation.target), heading=name)
                for part in parts.relations(relation.target).values():
                    if part.kind == "drawing":
                        read.boxes(parts.data(part.target))


def _shared(parts: Parts, name: str | None, writer: TextWriter) -> list[str]:
    """The strings that cells refer to."""
    strings: list[str] = []
    size = 0

    def keep(node: Element, _: int) -> None:
        nonlocal size
        text = _rich(node)
        size += len(text)
        if size > writer.limits.text_bytes:
            raise DocumentTooLargeError.over(writer.limits.text_bytes, "bytes of text")
        strings.append(text)

    if name is not None:
        parse_each(parts.data(name), _PREFIXES, "x:si", keep)
    return strings


def _rich(node: Element) -> str:
    """Its runs of text, without phonetic hints."""
    parts = [node.findtext("x:t") or ""]
    parts += [run.findtext("x:t") or "" for run in node.findall("x:r")]
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), "".join(parts))


class _Formats:
    """Which cell styles show a date, a span of time or a percentage, and what they add to a number."""

    def __init__(self, parts: Parts, name: str | None) -> None:
        self.dates: set[int] = set()
        self.spans: set[int] = set()
        self.percentages: set[int] = set()
        self.added: dict[int, NumberFormat] = {}
        root = parts.root(name) if name is not None else None
        if root is None:
            return
        codes = {
            node.get("numFmtId", ""): node.get("formatCode", "")
            for node in children(root, "x:numFmts", "x:numFmt")
        }
        added = {number: NumberFormat(code) for number, code in (_MONEY | codes).items()}
        for place, style in enumerate(children(root, "x:cellXfs", "x:xf")):
            number = style.get("numFmtId", "0")
            code = _LITERAL.sub("", codes.get(number, "")).partition(";")[0].lower()
            known = int(number) if number.isdecimal() and len(number) < 6 else 0
            if known == _BUILT_IN_SPAN or _SPAN.search(codes.get(number, "")):
                self.spans.add(place)
            elif known in _DATES or (code != "general" and re.search(r"[ymdhs]", code)):
                self.dates.add(place)
            else:
                if known in _PERCENTAGES or "%" in code:
                    self.percentages.add(place)
                if number in added and added[number].adds:
                    self.added[place] = added[number]


class _Values:
    """What a cell shows."""

    def __init__(self, shared: list[str], formats: _Formats, *, from_1904: bool) -> None:
        self._shared = shared
        self._formats = formats
        self._epoch = datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 30)  # noqa: DTZ001 # no zone

    def shown(self, cell: Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            inline = cell.find("x:is")
            return "" if inline is None else _rich(inline)
        value = cell.findtext("x:v")
        if value is None:
            formula = cell.findtext("x:f")
            return f"={formula}" if formula else ""
        if kind == "s":
            place = int(value) if value.isdecimal() and len(value) < 9 else -1
            return self._shared[place] if 0 <= place < len(self._shared) else ""
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE"
        return self._number(value, cell.get("s", "0")) if kind == "n" else value

    def _number(self, value: str, style: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return value
        place = int(style) if style.isdecimal() and len(style) < 6 else 0
        if place in self._formats.dates and 0 <= number < _DAYS_MAX:
            return self._moment(number)
        if place in self._formats.spans and abs(number) < _DAYS_MAX:
            seconds = round(abs(number) * 86_400)
            sign = "-" if number < 0 else ""
            return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        if place in self._formats.percentages:
            plain = f"{number * 100:.12g}%"
        else:
            plain = f"{number:.15g}" if abs(number) < 1e15 else value
        added = self._formats.added.get(place)
        return added.shown(number, plain.lstrip("-")) if added is not None else plain

    def _moment(self, days: float) -> str:
        # Excel counts a 29 February 1900, so what is before it is a day nearer to the epoch.
        early = self._epoch.year < 1900 and 1 <= days < 60
        moment = self._epoch + timedelta(days=early, seconds=round(days * 86_400))
        if days < 1:
            return f"{moment:%H:%M:%S}"
        return f"{moment:%Y-%m-%d}" if days == int(days) else f"{moment:%Y-%m-%d %H:%M:%S}"


class _Merged:
    """Which cells are parts of others. `below`: the columns in which a row has such a part at the left, each
    with the first cell, which has the text; `columns`: the width, by the first cell; `texts`: what was read.
    """

    def __init__(self, data: bytes) -> None:
        self.below: dict[int, list[tuple[int, str]]] = {}
        self.columns: dict[str, int] = {}
        self.texts: dict[str, str] = {}
        self._rows = 0
        for match in _MERGED.finditer(data):
            self._add(*(part.decode("ascii") for part in match.groups()))

    def keep(self, place: str, text: str) -> None:
        """The text of a cell, if it is the first of merged ones."""
        if place in self.columns:
            self.texts[place] = text

    def _add(self, left: str, top: str, right: str, bottom: str) -> None:
        rows = int(bottom) - int(top)
        if not 0 <= rows <= _MERGED_ROWS_MAX - self._rows - 1:
            return
        self._rows += rows + 1
        column = _column(left)
        self.columns[left + top] = _column(right) - column + 1
        for row in range(int(top) + 1, int(bottom) + 1):
            self.below.setdefault(row, []).append((column, left + top))


class _Sheet:
    """One sheet. Rows are written as soon as it is known whether the first of their run names the columns."""

    def __init__(self, writer: TextWriter, name: str, values: _Values) -> None:
        self._writer = writer
        self._name = name
        self._values = values
        self._heading = ""
        self._merged = _Merged(b"")
        self._row_number = 0
        # The rows of a run that wait for that decision, and the names once they are known.
        self._waiting: list[Row] = []
        self._decided = False
        self._names: list[str] | None = None

    def rows(self, data: bytes, heading: str) -> None:
        self._heading = heading
        self._merged = _Merged(data)
        parse_each(data, _PREFIXES, "x:row", self._row)
        self._end_run()

    def boxes(self, data: bytes) -> None:
        """The texts of a drawing, after the rows."""
        try:
            for cell, text in read_boxes(data):
                self._begin()
                self._writer.place(f"{self._name}!{_letters(cell[0])}{cell[1] + 1}" if cell else self._name)
                self._writer.paragraph(text)
        except DoctypeError:
            raise
        except DocumentUnreadableError as error:
            # No reason to lose the cells.
            self._writer.warn(f"text boxes of sheet {self._name} were not read: {error.cause}")

    def _begin(self) -> None:
        """The name of the sheet stands before its first text."""
        if self._heading:
            self._writer.heading(self._heading, 1)
            self._heading = ""

    def _row(self, node: Element, _: int) -> None:
        given = node.get("r", "")
        number = int(given) if given.isdecimal() and len(given) < 8 else self._row_number + 1
        if number != self._row_number + 1:
            self._end_run()
        self._row_number = number
        if number > ROWS_MAX:
            raise DocumentTooLargeError.over(ROWS_MAX, "rows")
        row = list(self._cells(node, number))
        if not row:
            # Cells that are merged with some above leave no gap.
            if number not in self._merged.below:
                self._end_run()
            return
        if self._decided:
            self._write(row)
            return
        self._waiting.append(row)
        if len(self._waiting) >= _SAMPLE_ROWS:
            self._decide()

    def _cells(self, node: Element, row: int) -> Iterator[tuple[str, str]]:
        """Text and place of each cell up to the last one with text; where there is none both are empty."""
        given = 0
        for at, text in self._texts(node, row):
            for _ in range(given, at):
                yield "", ""
            given = at + 1
            yield text, f"{self._name}!{_letters(at)}{row}"

    def _texts(self, node: Element, row: int) -> list[tuple[int, str]]:
        """Column and text of each cell that has one; none where all are parts of merged cells."""
        column = 0
        found: list[tuple[int, str]] = []
        for cell in node.findall("x:c"):
            reference = _REFERENCE.match(cell.get("r", ""))
            at = _column(reference[1]) if reference else column
            if at >= COLUMNS_MAX:
                raise DocumentTooLargeError.over(COLUMNS_MAX, "columns")
            column = at + 1
            text = self._values.shown(cell)
            if text.strip():
                found.append((at, text))
                if self._merged.columns and len(text) <= _MERGED_TEXT_MAX:
                    self._merged.keep(f"{_letters(at)}{row}", text)
        covered = self._merged.below.get(row)
        if found and covered:
            # At the right of all others it is a note, not the name of a group.
            last, own = found[-1][0], {at for at, _ in found}
            texts = {
                at: self._merged.texts.get(first) for at, first in covered if at < last and at not in own
            }
            found = sorted([*found, *((at, text) for at, text in texts.items() if text)])
        return found

    def _decide(self) -> None:
        self._decided = True
        self._begin()
        rows, self._waiting = self._waiting, []
        sample = [[text.strip() for text, _ in row] for row in rows]
        head = titles(sample)
        for row in rows[:head]:
            self._write([cell for cell in row if cell[0].strip()])
        rows, sample = rows[head:], sample[head:]
        named = has_names(sample)
        wide = rows[0] if named or len(rows) == 1 else self._widened(rows[0], rows[1])
        if wide != rows[0]:
            self._write(wide)
            rows, sample = rows[1:], sample[1:]
            named = has_names(sample)
        if named:
            skipped = margin(sample)
            self._write(rows[0][skipped:])
            self._names, rows = sample[0], rows[1:]
        for row in rows:
            self._write(row)

    def _widened(self, row: Row, below: Row) -> Row:
        """The row with the text of a merged cell above each of its columns, where there are several below it:
        then it names groups of columns, and the names may stand in the next row.
        """
        wide = list(row)
        for at, (text, label) in enumerate(row):
            width = self._merged.columns.get(label.rpartition("!")[2], 1)
            end = min(at + width, len(below))
            if len(text) <= _MERGED_TEXT_MAX and sum(1 for cell, _ in below[at:end] if cell) > 1:
                wide += [("", "")] * (end - len(wide))
                wide[at + 1 : end] = [(text, "")] * (end - at - 1)
        return wide

    def _write(self, row: Row) -> None:
        if self._writer.coarse:
            labels = [label for text, label in row if text.strip()]
            first, last = labels[0], labels[-1]
            cells = first if first == last else f"{first}:{last.rpartition('!')[2]}"
            row = [(text, cells if label == first else "") for text, label in row]
        if self._names is None:
            self._writer.cells(row, CELL_SEPARATOR)
            return
        named = named_cells(self._names, [" ".join(text.split()) for text, _ in row])
        shown = [(text, label) for text, (_, label) in zip(named, row, strict=True) if text]
        self._writer.cells(shown, "; ")

    def _end_run(self) -> None:
        if self._waiting:
            self._decide()
        self._decided, self._names = False, None
        self._writer.end_block()


def _column(letters: str) -> int:
    """From 0."""
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def _letters(column: int) -> str:
    """The letters of a column, counted from 0."""
    name = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        name = chr(65 + rest) + name
    return name
