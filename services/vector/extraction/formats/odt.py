"""OpenDocument texts (OASIS OpenDocument 1.3): headings, paragraphs, lists and tables in document order.

Items and headings have the numbers that their styles give them. A cell that spans rows or columns is read
once. Deleted text, comments and hidden sections are left out; notes, text of shapes and alternative texts
follow the paragraph they belong to.
"""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.archive import open_archive, read_member
from services.vector.extraction.descriptions import described
from services.vector.extraction.errors import DoctypeError, DocumentUnreadableError
from services.vector.extraction.numbering import Counters
from services.vector.extraction.office.open_styles import OpenStyles, number
from services.vector.extraction.scripts import joined
from services.vector.extraction.writer import TextWriter, one_line
from services.vector.extraction.xml_tree import parse_xml, within

_PREFIXES: Final = {
    "urn:oasis:names:tc:opendocument:xmlns:office:1.0": "office",
    "urn:oasis:names:tc:opendocument:xmlns:text:1.0": "text",
    "urn:oasis:names:tc:opendocument:xmlns:table:1.0": "table",
    "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0": "draw",
    "urn:oasis:names:tc:opendocument:xmlns:style:1.0": "style",
    "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0": "svg",
    "urn:org:documentfoundation:names:experimental:office:xmlns:loext:1.0": "loext",
    "http://www.w3.org/XML/1998/namespace": "xml",
    "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0": "manifest",
    "http://purl.org/dc/elements/1.1/": "dc",
}
_CONTENT: Final = "content.xml"
_STYLES: Final = "styles.xml"
_MANIFEST: Final = "META-INF/manifest.xml"
_SKIPPED: Final = frozenset(
    {
        "text:tracked-changes",
        "office:annotation",
        "office:annotation-end",
        "text:sequence-decls",
        "text:ruby-text",
        "text:number",
        "svg:title",
        "svg:desc",
    }
)
_MARKS: Final = {"text:tab": "\t", "text:line-break": "\n"}
# What holds drawn things; all else that is drawn has its own text.
_FRAMES: Final = frozenset({"draw:frame", "draw:g", "draw:a"})
# An empty cell or row is often said to be repeated to the end of the sheet.
_REPEATED_MAX: Final = 200
_SPACES_MAX: Final = 1_000


def read(source: BinaryIO, writer: TextWriter) -> None:
    with open_archive(source, writer.limits) as package:
        names = package.namelist()
        size_max = writer.limits.archive_bytes
        if _MANIFEST in names:
            manifest = parse_xml(read_member(package, _MANIFEST, size_max), _PREFIXES)
            if next(manifest.iter("manifest:encryption-data"), None) is not None:
                raise DocumentUnreadableError.because("encrypted: a password is needed")
        if "meta.xml" in names:
            meta = parse_xml(read_member(package, "meta.xml", size_max), _PREFIXES)
            title = within(meta, "office:meta", "dc:title")
            writer.title = title.text if title is not None else None
        content = parse_xml(read_member(package, _CONTENT, size_max), _PREFIXES)
        body = within(content, "office:body", "office:text")
        if body is None:
            raise DocumentUnreadableError.because("the OpenDocument file has no text body")
        _Reader(writer, OpenStyles(content, *_styles(package, writer))).blocks(body)


def _styles(package: zipfile.ZipFile, writer: TextWriter) -> list[Element]:
    """The part of the styles; without it the text is still good."""
    if _STYLES not in package.namelist():
        return []
    try:
        return [parse_xml(read_member(package, _STYLES, writer.limits.archive_bytes), _PREFIXES)]
    except DoctypeError:
        raise
    except DocumentUnreadableError as error:
        writer.warn(f"the styles were not read: {error.cause}")
        return []


@dataclass(frozen=True, slots=True)
class _Item:
    """A paragraph, heading or table in a list. label: the number it shows; marker: what its line begins
    with.
    """

    node: Element
    depth: int
    label: str = ""
    marker: str = "- "


class _Reader:
    def __init__(self, writer: TextWriter, styles: OpenStyles) -> None:
        self._writer = writer
        self._styles = styles
        # Boxes, notes and alternative texts of the paragraph that is being read; they follow it.
        self._aside: list[Element] = []
        self._described: list[str] = []
        # Where lists have got to, by their names and by their styles.
        self._named: dict[str, Counters] = {}
        self._last: dict[str, Counters] = {styles.outline: Counters()}

    def blocks(self, parent: Element) -> None:
        for node in parent:
            if node.tag == "text:h":
                self._heading(node, self._outline_label(node))
            elif node.tag == "text:p":
                self._paragraph(node)
            elif node.tag == "text:list":
                self._list(node)
                self._writer.end_block()
            elif node.tag == "table:table":
                self._table(node)
            elif node.tag not in _SKIPPED and node.get("text:display") != "none":
                self.blocks(node)
                self._describe(node)
                self._writer.paragraph(" ".join(self._descriptions()))

    def _heading(self, node: Element, label: str) -> None:
        text = self._text(node)
        if text.strip():
            self._writer.heading(f"{label} {text}" if label else text, _outline_level(node))
        self._writer.paragraph(" ".join(self._descriptions()))
        self._asides()

    def _outline_label(self, node: Element) -> str:
        """The number of a heading that is in no list."""
        given, outline = _given_number(node), self._styles.outline
        if node.get("text:is-list-header") == "true" or self._styles.list_of(node) not in (None, outline):
            return given
        counters, level = self._last[outline], _outline_level(node) - 1
        start = number(node.get("text:start-value"))
        if node.get("text:restart-numbering") == "true":
            counters.begin(level, 1 if start is None else start)
        label = counters.count(self._styles.levels(outline), level)
        return given or label

    def _paragraph(self, node: Element) -> None:
        text = self._text(node)
        self._writer.paragraph(self._with_descriptions(text))
        self._asides()

    def _descriptions(self) -> list[str]:
        descriptions, self._described = self._described, []
        return descriptions

    def _with_descriptions(self, text: str) -> str:
        descriptions = self._descriptions()
        return " ".join([text.rstrip(), *descriptions]) if descriptions else text

    def _describe(self, drawn: Element) -> None:
        texts = [found.text for name in ("svg:title", "svg:desc") if (found := drawn.find(name)) is not None]
        told = dict.fromkeys(text for text in texts if text and described(text))
        if told:
            self._described.append(described(": ".join(told)))

    def _asides(self) -> None:
        aside, self._aside = self._aside, []
        for node in aside:
            self.blocks(node)

    def _list(self, node: Element) -> None:
        for item in self._items(node):
            if item.node.tag == "table:table":
                self._table(item.node)
            elif item.node.tag == "text:h":
                self._heading(item.node, item.label)
            else:
                text = self._with_descriptions(self._text(item.node))
                self._writer.list_item(text, item.depth, item.marker)
        self._asides()

    def _items(
        self, node: Element, depth: int = 0, style: str = "", going: Counters | None = None
    ) -> Iterator[_Item]:
        style = node.get("text:style-name", style)
        counters = self._counters(node, style) if going is None else going
        for item in node:
            if item.tag not in ("text:list-item", "text:list-header"):
                continue
            start = number(item.get("text:start-value"))
            if start is not None:
                counters.begin(depth, start)
            counted = item.tag == "text:list-header"
            marker = "- "
            for child in item:
                if child.tag in ("text:p", "text:h"):
                    label = ""
                    if not counted:
                        levels = self._styles.levels(style or self._styles.list_of(child) or "")
                        label = counters.count(levels, depth)
                        label = _given_number(item) or _given_number(child) or label
                        marker = f"{label} " if label else "- "
                        counted = True
                    yield _Item(child, depth, label, marker)
                    # What follows in a numbered item is no item of its own.
                    marker = "" if marker != "- " else marker
                elif child.tag == "text:list":
                    yield from self._items(child, depth + 1, style, counters)
                elif child.tag == "table:table":
                    yield _Item(child, depth)

    def _counters(self, node: Element, style: str) -> Counters:
        """Where a list begins to count: anew, or after the one that it says it goes on."""
        counters: Counters | None = None
        if style == self._styles.outline or node.get("text:continue-numbering") == "true":
            counters = self._last.get(style)
        counters = self._named.get(node.get("text:continue-list", ""), counters)
        if counters is None:
            counters = Counters()
        self._last[style] = counters
        name = node.get("xml:id")
        if name:
            self._named[name] = counters
        return counters

    def _table(self, table: Element) -> None:
        rows: list[list[str]] = []
        inner: list[Element] = []
        for row in _rows(table):
            cells: list[str] = []
            for cell in row:
                if cell.tag == "table:table-cell":
                    cells += [self._cell(cell, inner)] * _repeated(cell, "table:number-columns-repeated")
                elif cell.tag == "table:covered-table-cell":
                    cells += [""] * _repeated(cell, "table:number-columns-repeated")
            while cells and not cells[-1]:
                cells.pop()
            rows += [cells] * (_repeated(row, "table:number-rows-repeated") if cells else 1)
        self._writer.table(rows)
        for node in inner:
            self._table(node)
        self._asides()

    def _cell(self, cell: Element, inner: list[Element]) -> str:
        """The cell's text on one line; a table in it follows as a table of its own."""
        parts: list[str] = []
        stack = [iter(cell)]
        while stack:
            node = next(stack[-1], None)
            if node is None:
                stack.pop()
            elif node.tag in ("text:p", "text:h"):
                parts.append(self._with_descriptions(self._text(node)))
            elif node.tag == "text:list":
                for item in self._items(node):
                    if item.node.tag == "table:table":
                        inner.append(item.node)
                    else:
                        parts += [item.label, self._with_descriptions(self._text(item.node))]
            elif node.tag == "table:table":
                inner.append(node)
            elif node.tag not in _SKIPPED:
                stack.append(iter(node))
        return one_line(" ".join(parts))

    def _text(self, node: Element) -> str:
        pieces: list[tuple[str, int]] = []
        self._collect(node, pieces, 0)
        return joined(pieces)

    def _collect(self, node: Element, pieces: list[tuple[str, int]], position: int) -> None:
        pieces.append((_collapsed(node.text), position))
        for child in node:
            tag = child.tag
            if tag == "text:s":
                count = child.get("text:c", "1")
                pieces.append((" " * min(int(count) if count.isdecimal() else 1, _SPACES_MAX), 0))
            elif tag in _MARKS:
                pieces.append((_MARKS[tag], 0))
            elif tag == "text:note":
                self._aside += child.findall("text:note-body")
            elif tag.startswith("draw:"):
                self._describe(child)
                if tag in _FRAMES:
                    self._collect(child, pieces, position)
                else:
                    self._aside.append(child)
            elif tag not in _SKIPPED:
                own = self._styles.position(child) if tag == "text:span" else None
                self._collect(child, pieces, position if own is None else own)
            pieces.append((_collapsed(child.tail), position))


def _collapsed(text: str | None) -> str:
    """White space in the file collapses to one space; spaces that count are elements."""
    if not text:
        return ""
    middle = one_line(text)
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and middle else ""
    return f"{before}{middle}{after}"


def _outline_level(heading: Element) -> int:
    level = number(heading.get("text:outline-level"))
    return level if level is not None and 1 <= level <= 9 else 1


def _given_number(node: Element) -> str:
    """A number that the file holds as text."""
    found = node.find("text:number")
    label = one_line(found.text or "") if found is not None else ""
    return label if any(map(str.isalnum, label)) else ""


def _rows(table: Element) -> Iterator[Element]:
    """The rows of a table, also in groups, but not those of tables in it."""
    for node in table:
        if node.tag == "table:table-row":
            yield node
        elif node.tag in ("table:table-header-rows", "table:table-rows", "table:table-row-group"):
            yield from _rows(node)


def _repeated(node: Element, name: str) -> int:
    value = node.get(name, "1")
    return max(1, min(int(value), _REPEATED_MAX)) if value.isdecimal() and len(value) < 9 else 1
