"""OpenDocument texts (OASIS OpenDocument 1.3): headings, paragraphs, lists and tables in document order.

A cell that spans rows or columns is read once. Deleted text, comments and hidden sections are left out; notes
and text boxes follow the paragraph they belong to.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.archive import open_archive, read_member
from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.writer import TextWriter, one_line
from services.vector.extraction.xml_tree import parse_xml, within

_PREFIXES: Final = {
    "urn:oasis:names:tc:opendocument:xmlns:office:1.0": "office",
    "urn:oasis:names:tc:opendocument:xmlns:text:1.0": "text",
    "urn:oasis:names:tc:opendocument:xmlns:table:1.0": "table",
    "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0": "draw",
    "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0": "manifest",
    "http://purl.org/dc/elements/1.1/": "dc",
}
_CONTENT: Final = "content.xml"
_MANIFEST: Final = "META-INF/manifest.xml"
_SKIPPED: Final = frozenset(
    {
        "text:tracked-changes",
        "office:annotation",
        "office:annotation-end",
        "text:sequence-decls",
        "text:ruby-text",
    }
)
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
        _Reader(writer).blocks(body)


class _Reader:
    def __init__(self, writer: TextWriter) -> None:
        self._writer = writer
        # Boxes and notes of the paragraph that is being read; their text follows it.
        self._aside: list[Element] = []

    def blocks(self, parent: Element) -> None:
        for node in parent:
            if node.tag == "text:h":
                level = node.get("text:outline-level", "1")
                self._heading(node, int(level) if level.isdecimal() and len(level) == 1 else 1)
            elif node.tag == "text:p":
                self._paragraph(node)
            elif node.tag == "text:list":
                self._list(node, 0)
                self._writer.end_block()
            elif node.tag == "table:table":
                self._table(node)
            elif node.tag not in _SKIPPED and node.get("text:display") != "none":
                self.blocks(node)

    def _heading(self, node: Element, level: int) -> None:
        self._writer.heading(self._text(node), max(1, level))
        self._asides()

    def _paragraph(self, node: Element) -> None:
        self._writer.paragraph(self._text(node))
        self._asides()

    def _asides(self) -> None:
        aside, self._aside = self._aside, []
        for node in aside:
            self.blocks(node)

    def _list(self, node: Element, depth: int) -> None:
        for item in node:
            if item.tag not in ("text:list-item", "text:list-header"):
                continue
            for child in item:
                if child.tag in ("text:p", "text:h"):
                    self._writer.list_item(self._text(child), depth)
                elif child.tag == "text:list":
                    self._list(child, depth + 1)
        self._asides()

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
                parts.append(self._text(node))
            elif node.tag == "table:table":
                inner.append(node)
            elif node.tag not in _SKIPPED:
                stack.append(iter(node))
        return one_line(" ".join(parts))

    def _text(self, node: Element) -> str:
        parts: list[str] = []
        self._collect(node, parts)
        return "".join(parts)

    def _collect(self, node: Element, parts: list[str]) -> None:
        parts.append(_collapsed(node.text))
        for child in node:
            tag = child.tag
            if tag == "text:s":
                count = child.get("text:c", "1")
                parts.append(" " * min(int(count) if count.isdecimal() else 1, _SPACES_MAX))
            elif tag == "text:tab":
                parts.append("\t")
            elif tag == "text:line-break":
                parts.append("\n")
            elif tag == "text:note":
                self._aside += child.findall("text:note-body")
            elif tag == "draw:text-box":
                self._aside.append(child)
            elif tag not in _SKIPPED:
                self._collect(child, parts)
            parts.append(_collapsed(child.tail))


def _collapsed(text: str | None) -> str:
    """White space in the file collapses to one space; spaces that count are elements."""
    if not text:
        return ""
    middle = one_line(text)
    before = " " if text[:1].isspace() else ""
    after = " " if text[-1:].isspace() and middle else ""
    return f"{before}{middle}{after}"


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
