"""Word documents (ECMA-376 part 1, WordprocessingML): headings, paragraphs, lists and tables in document
order.

The parts are read directly: only the text, the styles, the lists and the notes are unpacked, a broken picture
or relation does not matter, and a DOCTYPE is refused. Inserted text is read, deleted and hidden text is not,
nor is the prompt of a form field that nobody filled in. Heading levels come from outline levels and the
built-in style names, which are the same in every language of Word. Items and headings have the numbers that
Word shows. A cell that spans rows is repeated in each, and so is one that spans columns which most rows
tell apart. Text boxes, diagrams and alternative texts follow their paragraph, foot- and endnotes the body.
Headers, footers and comments are left out.
"""

import posixpath
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.archive import open_archive
from services.vector.extraction.descriptions import described
from services.vector.extraction.errors import DoctypeError, DocumentUnreadableError
from services.vector.extraction.office.diagrams import DIAGRAMS, Diagrams
from services.vector.extraction.office.formulas import MATH, formula
from services.vector.extraction.office.relations import RELATIONSHIPS, Parts, Relation
from services.vector.extraction.office.symbols import drawn, symbol
from services.vector.extraction.office.word_numbering import WordNumbering
from services.vector.extraction.scripts import joined, noted
from services.vector.extraction.writer import TextWriter, one_line
from services.vector.extraction.xml_tree import within

_PREFIXES: Final = {
    **RELATIONSHIPS,
    **DIAGRAMS,
    **MATH,
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "w",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w",
    "http://schemas.microsoft.com/office/word/2010/wordml": "w14",
    "http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing": "wp",
    "http://purl.oclc.org/ooxml/drawingml/wordprocessingDrawing": "wp",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
}
_MAIN: Final = "word/document.xml"
_OFF: Final = frozenset({"0", "false", "off", "none"})
# Inside a run, or around runs.
_MARKS: Final = {"w:tab": "\t", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-", "w:ptab": "\t"}
_SKIPPED: Final = frozenset(
    {"w:del", "w:moveFrom", "w:instrText", "w:delText", "w:pPr", "mc:Fallback", "w:sdtPr", "w:rt"}
)
# What stands around blocks, rows and cells.
_WRAPPERS: Final = frozenset({"w:sdt", "w:sdtContent", "w:ins", "w:customXml", "w:moveTo"})
_POSITIONS: Final = {"superscript": 1, "subscript": -1}
_NOTE_MARKS: Final = frozenset({"w:footnoteReference", "w:endnoteReference"})
_NOTE_STYLES: Final = frozenset({"footnote reference", "endnote reference"})
_BASED_ON_MAX: Final = 20
# More columns Word does not have.
_COLUMNS_MAX: Final = 63
# Longer text is no name of columns; it is not repeated.
_REPEATED_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class _Style:
    """What matters of a style: 0-based outline level, whether it is a list or the title, the list and level
    whose numbers it shows, the style that says so; raised (1) or lowered (-1) text, the mark of a note.
    """

    outline: int | None = None
    listed: bool = False
    title: bool = False
    list_id: str = ""
    list_level: int | None = None
    list_style: str = ""
    position: int | None = None
    note_mark: bool = False


def read(source: BinaryIO, writer: TextWriter) -> None:
    with open_archive(source, writer.limits) as package:
        parts = Parts(package, _PREFIXES, writer.limits.archive_bytes)
        main = parts.main(_MAIN)
        folder = posixpath.dirname(main)
        body = parts.root(main).find("w:body")
        if body is None:
            raise DocumentUnreadableError.because("the Word document has no body")
        writer.title = parts.title()
        styles = _styles(parts, f"{folder}/styles.xml")
        numbering = WordNumbering(
            _lists(parts, f"{folder}/numbering.xml", writer),
            {name: style.list_id for name, style in styles.items() if style.list_id},
        )
        reader = _Reader(writer, styles, numbering, Diagrams(parts, writer), _relations(parts, main))
        reader.blocks(body)
        for notes in ("footnotes", "endnotes"):
            name = f"{folder}/{notes}.xml"
            if parts.has(name):
                reader.notes(parts.root(name), _relations(parts, name))


def _lists(parts: Parts, name: str, writer: TextWriter) -> Element | None:
    """What defines the lists; without it the text is still good."""
    if not parts.has(name):
        return None
    try:
        return parts.root(name)
    except DoctypeError:
        raise
    except DocumentUnreadableError as error:
        writer.warn(f"the numbers of lists were not read: {error.cause}")
        return None


def _relations(parts: Parts, name: str) -> dict[str, Relation]:
    try:
        return parts.relations(name)
    except DoctypeError:
        raise
    except DocumentUnreadableError:
        return {}


def _styles(parts: Parts, name: str) -> dict[str, _Style]:
    if not parts.has(name):
        return {}
    nodes = {node.get("w:styleId", ""): node for node in parts.root(name).iter("w:style")}
    return {style_id: _style(node, nodes) for style_id, node in nodes.items()}


def _style(node: Element, nodes: dict[str, Element]) -> _Style:
    """A style with what it takes over from the styles it is based on."""
    outline: int | None = None
    list_level: int | None = None
    position: int | None = None
    list_id = list_style = ""
    listed = title = note_mark = False
    for _ in range(_BASED_ON_MAX):
        name = _value(node, "w:name").lower()
        properties = node.find("w:pPr")
        if outline is None:
            outline = _outline(properties)
            if outline is None and name.startswith("heading ") and name[8:].strip().isdecimal():
                outline = int(name[8:]) - 1
        title = title or name == "title"
        note_mark = note_mark or name in _NOTE_STYLES
        if position is None:
            position = _position(node.find("w:rPr"))
        numbering = within(properties, "w:numPr")
        listed = listed or name.startswith("list ") or numbering is not None
        list_level = _list_level(numbering) if list_level is None else list_level
        if not list_id:
            list_id, list_style = _value(numbering, "w:numId"), node.get("w:styleId", "")
        based_on = nodes.get(_value(node, "w:basedOn"))
        if based_on is None:
            break
        node = based_on
    return _Style(
        outline, listed and outline is None, title, list_id, list_level, list_style, position, note_mark
    )


def _list_level(numbering: Element | None) -> int | None:
    level = _value(numbering, "w:ilvl")
    return int(level) if level.isdecimal() and len(level) == 1 else None


def _position(properties: Element | None) -> int | None:
    """Raised, lowered or neither; None where that is not said."""
    value = _value(properties, "w:vertAlign")
    return _POSITIONS.get(value, 0) if value else None


def _value(node: Element | None, name: str) -> str:
    found = node.find(name) if node is not None else None
    return found.get("w:val", "") if found is not None else ""


def _outline(properties: Element | None) -> int | None:
    """0 to 8; level 9 means body text."""
    value = _value(properties, "w:outlineLvl")
    return int(value) if value.isdecimal() and len(value) == 1 and value != "9" else None


class _Reader:
    def __init__(
        self,
        writer: TextWriter,
        styles: dict[str, _Style],
        numbering: WordNumbering,
        diagrams: Diagrams,
        relations: dict[str, Relation],
    ) -> None:
        self._writer = writer
        self._styles = styles
        self._numbering = numbering
        self._diagrams = diagrams
        # Those of the part that is being read.
        self._relations = relations
        # Text boxes, relations to diagrams and alternative texts of the paragraph that is being read; they
        # follow it.
        self._boxes: list[Element] = []
        self._drawn: list[str] = []
        self._described: list[str] = []

    def blocks(self, parent: Element) -> None:
        """Paragraphs and tables below `parent`, through content controls and the like."""
        for node in parent:
            if node.tag == "w:p":
                self._paragraph(node)
            elif node.tag == "w:tbl":
                self._table(node)
            elif node.tag not in _SKIPPED and not _is_prompt(node):
                self.blocks(node)

    def notes(self, root: Element, relations: dict[str, Relation]) -> None:
        self._relations = relations
        for note in root:
            # The separators between body and notes are notes too.
            if note.get("w:type", "normal") == "normal":
                self.blocks(note)

    def _paragraph(self, node: Element) -> None:
        text = self._text(node)
        descriptions, self._described = self._described, []
        properties = node.find("w:pPr")
        style = self._style_of(properties)
        outline = _outline(properties)
        outline = style.outline if outline is None else outline
        numbering = within(properties, "w:numPr")
        label, level = self._label(properties, style, text)
        if outline is None and not style.title:
            text = " ".join([text.rstrip(), *descriptions] if descriptions else [text])
        if not text.strip():
            pass
        elif style.title:
            self._writer.title = self._writer.title or one_line(text)
            self._writer.heading(text, 1)
        elif outline is not None:
            self._writer.heading(f"{label} {text}" if label else text, outline + 1)
        elif style.listed or (numbering is not None and _value(numbering, "w:numId") != "0"):
            self._writer.list_item(text, level, f"{label} " if label else "- ")
        else:
            self._writer.paragraph(text)
        if descriptions and (outline is not None or style.title):
            self._writer.paragraph(" ".join(descriptions))
        self._asides()

    def _asides(self) -> None:
        boxes, self._boxes = self._boxes, []
        diagrams, self._drawn = self._drawn, []
        for box in boxes:
            self.blocks(box)
        for name in diagrams:
            self._diagrams.write(self._relations.get(name), "of the text")

    def _style_of(self, properties: Element | None) -> _Style:
        return self._styles.get(_value(properties, "w:pStyle"), _Style())

    def _label(self, properties: Element | None, style: _Style, text: str) -> tuple[str, int]:
        """What Word shows before a paragraph ("" for a bullet), which is counted, and its level."""
        numbering = within(properties, "w:numPr")
        list_id = _value(numbering, "w:numId") or style.list_id
        level = _list_level(numbering)
        if level is None:
            level = style.list_level
        if level is None:
            level = (
                self._numbering.level_of_style(list_id, style.list_style) if list_id == style.list_id else 0
            )
        if list_id in ("", "0") or (not text.strip() and _is_gone(properties)):
            return "", level
        return self._numbering.count(list_id, level), level

    def _text(self, node: Element) -> str:
        pieces: list[tuple[str, int]] = []
        self._collect(node, pieces)
        return joined(pieces)

    def _collect(
        self, node: Element, pieces: list[tuple[str, int]], position: int = 0, font: str = ""
    ) -> None:
        for child in node:
            tag = child.tag
            if tag in ("w:t", "m:t"):
                pieces.append((drawn(font, child.text or ""), position))
            elif tag in _MARKS:
                pieces.append((_MARKS[tag], 0))
            elif tag == "w:r":
                self._run(child, pieces)
            elif tag in _SHOWN:
                if shown := _SHOWN[tag](child):
                    pieces.append((shown, position))
            elif tag == "w:txbxContent":
                self._boxes.append(child)
            elif tag == "dgm:relIds":
                self._drawn.append(child.get("r:dm", ""))
            elif tag == "wp:docPr":
                self._describe(child)
            elif tag not in _SKIPPED and not _is_prompt(child):
                self._collect(child, pieces, position, font)
                if tag == "w:p":
                    pieces.append(("\n", 0))

    def _run(self, run: Element, pieces: list[tuple[str, int]]) -> None:
        properties = run.find("w:rPr")
        if _is_on(properties, "w:vanish"):
            return
        style = self._styles.get(_value(properties, "w:rStyle"), _Style())
        own = _position(properties)
        position = (style.position or 0) if own is None else own
        fonts = within(properties, "w:rFonts")
        font = fonts.get("w:ascii", "") if fonts is not None else ""
        if not style.note_mark and not any(child.tag in _NOTE_MARKS for child in run):
            self._collect(run, pieces, position, font)
            return
        mark: list[tuple[str, int]] = []
        self._collect(run, mark, 0, font)
        pieces.append(noted(pieces, "".join(text for text, _ in mark)))

    def _describe(self, properties: Element) -> None:
        description = described(properties.get("descr"))
        if description and properties.get("hidden", "0") in _OFF:
            self._described.append(description)

    def _table(self, table: Element) -> None:
        rows: list[list[_Cell]] = []
        inner: list[Element] = []
        above: dict[int, str] = {}
        for row in _through(table, "w:tr"):
            cells: list[_Cell] = []
            column = _columns(within(row, "w:trPr"), "w:gridBefore", 0)
            for cell in _through(row, "w:tc"):
                properties = cell.find("w:tcPr")
                merge = within(properties, "w:vMerge")
                goes_on = merge is not None and merge.get("w:val", "continue") == "continue"
                text = self._cell(cell, inner, numbered=not goes_on)
                if goes_on and not text:
                    text = above.get(column, "")
                above[column] = text
                width = max(1, _columns(properties, "w:gridSpan", 1))
                cells.append(_Cell(text, column, column + width))
                column += width
            rows.append(cells)
        self._writer.table(_aligned(rows))
        for table_inside in inner:
            self._table(table_inside)
        self._asides()

    def _cell(self, cell: Element, inner: list[Element], *, numbered: bool) -> str:
        """The cell's paragraphs on one line; a table in it follows as a table of its own."""
        parts: list[str] = []
        for node in cell:
            if node.tag == "w:tbl":
                inner.append(node)
            elif node.tag == "w:p":
                text = self._text(node)
                if numbered:
                    properties = node.find("w:pPr")
                    parts.append(self._label(properties, self._style_of(properties), text)[0])
                parts += [text, *self._described]
                self._described = []
            elif node.tag in _WRAPPERS and not _is_prompt(node):
                parts.append(self._cell(node, inner, numbered=numbered))
            elif node.tag not in _SKIPPED and not _is_prompt(node):
                parts.append(self._text(node))
        return one_line(" ".join(parts))


@dataclass(frozen=True, slots=True)
class _Cell:
    """Its text, and the columns of the grid where it begins and ends."""

    text: str
    begin: int
    end: int


def _aligned(rows: list[list[_Cell]]) -> Iterator[list[str]]:
    """The rows with a cell in every column, so that what stands below one name belongs to it.

    Forms are drawn on grids of which each row uses other lines; the columns that count are those which half
    of the rows tell apart.
    """
    wide = [cells for cells in rows if len(cells) > 1]
    told: Counter[int] = Counter()
    for cells in wide:
        told.update({edge for cell in cells for edge in (cell.begin, cell.end)})
    columns = sorted(edge for edge, count in told.items() if edge and 2 * count >= len(wide))
    for cells in rows:
        line: list[str] = []
        for cell in cells:
            begin, end = bisect_right(columns, cell.begin), bisect_right(columns, cell.end)
            line += [""] * (begin - len(line))
            count = end - begin if len(cells) > 1 else 1
            line.append(cell.text)
            line += [cell.text if len(cell.text) <= _REPEATED_MAX else ""] * (count - 1)
        yield line


def _through(parent: Element, tag: str) -> Iterator[Element]:
    """Children of that tag, also inside content controls and insertions; a prompt leaves its cell empty."""
    for node in parent:
        if node.tag == tag:
            yield node
        elif node.tag in _WRAPPERS:
            found = _through(node, tag)
            yield from map(_emptied, found) if _is_prompt(node) else found


def _emptied(cell: Element) -> Element:
    empty = Element(cell.tag)
    empty.extend(cell.findall("w:tcPr"))
    return empty


def _columns(properties: Element | None, name: str, usual: int) -> int:
    value = _value(properties, name)
    return min(int(value), _COLUMNS_MAX) if value.isdecimal() and len(value) < 4 else usual


def _is_on(properties: Element | None, name: str) -> bool:
    found = properties.find(name) if properties is not None else None
    return found is not None and found.get("w:val", "true").lower() not in _OFF


def _is_gone(properties: Element | None) -> bool:
    """Whether the end of a paragraph is deleted, moved or hidden; without text it does not show."""
    mark = within(properties, "w:rPr")
    return mark is not None and (
        any(mark.find(name) is not None for name in ("w:del", "w:moveFrom")) or _is_on(mark, "w:vanish")
    )


def _is_prompt(node: Element) -> bool:
    """Whether it is a content control that asks to be filled in."""
    if node.tag != "w:sdt":
        return False
    return _is_on(node.find("w:sdtPr"), "w:showingPlcHdr")


def _symbol(node: Element) -> str:
    code = node.get("w:char", "")
    try:
        return symbol(node.get("w:font", ""), int(code[:8], 16))
    except ValueError:
        return ""


def _form_value(field: Element) -> str:
    """What a form field of the older kind shows that is no text: its check mark, or the entry chosen."""
    box = within(field, "w:ffData", "w:checkBox")
    if box is not None:
        checked = "w:checked" if box.find("w:checked") is not None else "w:default"
        return "☒" if _is_on(box, checked) else "☐"
    choice = within(field, "w:ffData", "w:ddList")
    if choice is None:
        return ""
    entries = [entry.get("w:val", "") for entry in choice.findall("w:listEntry")]
    chosen = _value(choice, "w:result") or _value(choice, "w:default") or "0"
    at = int(chosen) if chosen.isdecimal() and len(chosen) < 4 else 0
    return entries[at] if at < len(entries) else ""


# What stands for text without being any.
_SHOWN: Final[dict[str, Callable[[Element], str]]] = {
    "w:sym": _symbol,
    "w:fldChar": _form_value,
    "m:oMath": formula,
}
