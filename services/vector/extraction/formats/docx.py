"""Word documents (ECMA-376 part 1, WordprocessingML): headings, paragraphs, lists and tables in document
order.

The parts are read directly: only the text, the styles and the notes are unpacked, a broken picture or
relation does not matter, and a DOCTYPE is refused. Inserted text is read, deleted and hidden text is not.
Heading levels come from outline levels and the built-in style names, which are the same in every language
of Word. A cell that spans rows is repeated in each. Foot- and endnotes follow the body. Headers, footers
and comments are left out.
"""

import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.archive import open_archive, read_member
from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.writer import TextWriter, one_line
from services.vector.extraction.xml_tree import parse_xml

_PREFIXES: Final = {
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main": "w",
    "http://purl.oclc.org/ooxml/wordprocessingml/main": "w",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
    "http://schemas.openxmlformats.org/officeDocument/2006/math": "m",
    "http://purl.oclc.org/ooxml/officeDocument/math": "m",
    "http://purl.org/dc/elements/1.1/": "dc",
}
_RELATIONS: Final = "_rels/.rels"
_MAIN: Final = "word/document.xml"
_OFF: Final = frozenset({"0", "false", "off", "none"})
# Inside a run, or around runs.
_MARKS: Final = {"w:tab": "\t", "w:br": "\n", "w:cr": "\n", "w:noBreakHyphen": "-", "w:ptab": "\t"}
_SKIPPED: Final = frozenset(
    {"w:del", "w:moveFrom", "w:instrText", "w:delText", "w:pPr", "mc:Fallback", "w:sdtPr", "w:rt"}
)
_BASED_ON_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class _Style:
    """What matters of a paragraph style: 0-based outline level, and whether it is a list or the title."""

    outline: int | None = None
    listed: bool = False
    title: bool = False


def read(source: BinaryIO, writer: TextWriter) -> None:
    with open_archive(source, writer.limits) as package:
        main = _main_part(package)
        folder = posixpath.dirname(main)
        body = _part(package, main, writer).find("w:body")
        if body is None:
            raise DocumentUnreadableError.because("the Word document has no body")
        writer.title = _core_title(package, writer)
        reader = _Reader(writer, _styles(package, f"{folder}/styles.xml", writer))
        reader.blocks(body)
        for notes in ("footnotes", "endnotes"):
            name = f"{folder}/{notes}.xml"
            if name in package.namelist():
                reader.notes(_part(package, name, writer))


def _part(package: zipfile.ZipFile, name: str, writer: TextWriter) -> Element:
    return parse_xml(read_member(package, name, writer.limits.archive_bytes), _PREFIXES)


def _main_part(package: zipfile.ZipFile) -> str:
    """The part that the package's relations call its office document."""
    names = set(package.namelist())
    if _RELATIONS in names:
        for relation in parse_xml(read_member(package, _RELATIONS, 1024 * 1024), {}):
            if relation.get("Type", "").endswith("/officeDocument"):
                target = posixpath.normpath(relation.get("Target", "").lstrip("/"))
                if target in names:
                    return target
    return _MAIN


def _core_title(package: zipfile.ZipFile, writer: TextWriter) -> str | None:
    if "docProps/core.xml" not in package.namelist():
        return None
    return _part(package, "docProps/core.xml", writer).findtext("dc:title")


def _styles(package: zipfile.ZipFile, name: str, writer: TextWriter) -> dict[str, _Style]:
    if name not in package.namelist():
        return {}
    nodes = {node.get("w:styleId", ""): node for node in _part(package, name, writer).iter("w:style")}
    return {style_id: _style(node, nodes) for style_id, node in nodes.items()}


def _style(node: Element, nodes: dict[str, Element]) -> _Style:
    """A style with what it takes over from the styles it is based on."""
    outline: int | None = None
    listed = title = False
    for _ in range(_BASED_ON_MAX):
        name = _value(node, "w:name").lower()
        properties = node.find("w:pPr")
        if outline is None:
            outline = _outline(properties)
            if outline is None and name.startswith("heading ") and name[8:].strip().isdecimal():
                outline = int(name[8:]) - 1
        title = title or name == "title"
        listed = (
            listed
            or name.startswith("list ")
            or (properties is not None and properties.find("w:numPr") is not None)
        )
        based_on = nodes.get(_value(node, "w:basedOn"))
        if based_on is None:
            break
        node = based_on
    return _Style(outline, listed and outline is None, title)


def _value(node: Element | None, name: str) -> str:
    found = node.find(name) if node is not None else None
    return found.get("w:val", "") if found is not None else ""


def _outline(properties: Element | None) -> int | None:
    """0 to 8; level 9 means body text."""
    value = _value(properties, "w:outlineLvl")
    return int(value) if value.isdecimal() and len(value) == 1 and value != "9" else None


class _Reader:
    def __init__(self, writer: TextWriter, styles: dict[str, _Style]) -> None:
        self._writer = writer
        self._styles = styles
        # Text boxes of the paragraph that is being read; their text follows it.
        self._boxes: list[Element] = []

    def blocks(self, parent: Element) -> None:
        """Paragraphs and tables below `parent`, through content controls and the like."""
        for node in parent:
            if node.tag == "w:p":
                self._paragraph(node)
            elif node.tag == "w:tbl":
                self._table(node)
            elif node.tag not in _SKIPPED:
                self.blocks(node)

    def notes(self, root: Element) -> None:
        for note in root:
            # The separators between body and notes are notes too.
            if note.get("w:type", "normal") == "normal":
                self.blocks(note)

    def _paragraph(self, node: Element) -> None:
        text = self._text(node)
        boxes, self._boxes = self._boxes, []
        properties = node.find("w:pPr")
        style = self._styles.get(_value(properties, "w:pStyle"), _Style())
        outline = _outline(properties)
        outline = style.outline if outline is None else outline
        numbering = properties.find("w:numPr") if properties is not None else None
        if not text.strip():
            pass
        elif style.title:
            self._writer.title = self._writer.title or one_line(text)
            self._writer.heading(text, 1)
        elif outline is not None:
            self._writer.heading(text, outline + 1)
        elif style.listed or (numbering is not None and _value(numbering, "w:numId") != "0"):
            level = _value(numbering, "w:ilvl")
            self._writer.list_item(text, int(level) if level.isdecimal() and len(level) == 1 else 0)
        else:
            self._writer.paragraph(text)
        for box in boxes:
            self.blocks(box)

    def _text(self, node: Element) -> str:
        parts: list[str] = []
        self._collect(node, parts)
        return "".join(parts)

    def _collect(self, node: Element, parts: list[str]) -> None:
        for child in node:
            tag = child.tag
            if tag in ("w:t", "m:t"):
                parts.append(child.text or "")
            elif tag in _MARKS:
                parts.append(_MARKS[tag])
            elif tag == "w:txbxContent":
                self._boxes.append(child)
            elif tag not in _SKIPPED and not (tag == "w:r" and _is_hidden(child)):
                self._collect(child, parts)
                if tag == "w:p":
                    parts.append("\n")

    def _table(self, table: Element) -> None:
        rows: list[list[str]] = []
        inner: list[Element] = []
        above: dict[int, str] = {}
        for row in _through(table, "w:tr"):
            cells: list[str] = []
            column = 0
            for cell in _through(row, "w:tc"):
                properties = cell.find("w:tcPr")
                text = self._cell(cell, inner)
                merge = properties.find("w:vMerge") if properties is not None else None
                if merge is not None and merge.get("w:val", "continue") == "continue" and not text:
                    text = above.get(column, "")
                above[column] = text
                cells.append(text)
                span = _value(properties, "w:gridSpan")
                column += int(span) if span.isdecimal() and 0 < len(span) < 4 else 1
            rows.append(cells)
        boxes, self._boxes = self._boxes, []
        self._writer.table(rows)
        for table_inside in inner:
            self._table(table_inside)
        for box in boxes:
            self.blocks(box)

    def _cell(self, cell: Element, inner: list[Element]) -> str:
        """The cell's paragraphs on one line; a table in it follows as a table of its own."""
        parts: list[str] = []
        for node in cell:
            if node.tag == "w:tbl":
                inner.append(node)
            elif node.tag not in _SKIPPED:
                parts.append(self._text(node))
        return one_line(" ".join(parts))


def _through(parent: Element, tag: str) -> Iterator[Element]:
    """Children of that tag, also inside content controls and insertions."""
    for node in parent:
        if node.tag == tag:
            yield node
        elif node.tag in ("w:sdt", "w:sdtContent", "w:ins", "w:customXml", "w:moveTo"):
            yield from _through(node, tag)


def _is_hidden(run: Element) -> bool:
    properties = run.find("w:rPr")
    vanish = properties.find("w:vanish") if properties is not None else None
    return vanish is not None and vanish.get("w:val", "true").lower() not in _OFF
