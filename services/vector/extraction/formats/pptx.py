"""Presentations (ECMA-376 part 1, PresentationML): slide by slide, in the order of the show.

A slide is a page. Its title is a heading, its other texts are list items with their depth or paragraphs, its
tables have a line for each row, its notes follow. Text from masters and layouts, hidden slides, charts and
comments are left out; a warning names the slides that are hidden.
"""

from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.archive import open_archive
from services.vector.extraction.errors import DoctypeError, DocumentUnreadableError
from services.vector.extraction.relations import RELATIONSHIPS, Parts
from services.vector.extraction.writer import TextWriter, one_line
from services.vector.extraction.xml_tree import within

_PREFIXES: Final = {
    **RELATIONSHIPS,
    "http://schemas.openxmlformats.org/presentationml/2006/main": "p",
    "http://purl.oclc.org/ooxml/presentationml/main": "p",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
}
_MAIN: Final = "ppt/presentation.xml"
_TITLES: Final = frozenset({"title", "ctrTitle"})
# Number, date, header and footer stand on every slide.
_REPEATED: Final = frozenset({"sldNum", "dt", "hdr", "ftr"})
_OFF: Final = frozenset({"0", "false"})
_DEPTH_MAX: Final = 8


def read(source: BinaryIO, writer: TextWriter) -> None:
    with open_archive(source, writer.limits) as package:
        parts = Parts(package, _PREFIXES, writer.limits.archive_bytes)
        main = parts.main(_MAIN)
        relations = parts.relations(main)
        ids = parts.root(main).find("p:sldIdLst")
        names = [] if ids is None else [relations.get(node.get("r:id", "")) for node in ids]
        if not names:
            raise DocumentUnreadableError.because("the presentation has no slides")
        writer.title = parts.title()
        for relation in names:
            number = writer.begin_page("slide")
            if relation is None:
                writer.warn(f"slide {number} is missing in the file")
                continue
            try:
                _slide(parts, relation.target, writer, number)
            except DoctypeError:
                raise
            except DocumentUnreadableError as error:
                if len(names) == 1:
                    raise
                writer.warn(f"slide {number} was not read: {error.cause}")


def _slide(parts: Parts, name: str, writer: TextWriter, number: int) -> None:
    root = parts.root(name)
    if root.get("show") in _OFF:
        writer.warn(f"slide {number} is hidden and was not read")
        return
    tree = within(root, "p:cSld", "p:spTree")
    if tree is not None:
        _Shapes(writer).all(tree)
    for relation in parts.relations(name).values():
        if relation.kind == "notesSlide":
            try:
                notes = _notes(parts, relation.target)
            except DoctypeError:
                raise
            except DocumentUnreadableError as error:
                # No reason to lose the slide.
                writer.warn(f"notes of slide {number} were not read: {error.cause}")
                continue
            if notes:
                writer.paragraph(f"Notes: {notes}")


def _notes(parts: Parts, name: str) -> str:
    """What the speaker wrote."""
    root = parts.root(name)
    bodies = [shape for shape in root.iter("p:sp") if _placeholder(shape) == "body"]
    return "\n".join(text for body in bodies for _, text in _paragraphs(body.find("p:txBody")) if text)


class _Shapes:
    """The shapes of a slide in the order of the file, which is the one of drawing."""

    def __init__(self, writer: TextWriter) -> None:
        self._writer = writer

    def all(self, tree: Element) -> None:
        # A title is read first wherever it was drawn.
        titles = [shape for shape in tree.findall("p:sp") if _placeholder(shape) in _TITLES]
        for shape in titles:
            text = " ".join(text for _, text in _paragraphs(shape.find("p:txBody")))
            if text.strip():
                self._writer.heading(text, 1)
                self._writer.title = self._writer.title or one_line(text)
        self._group(tree, {id(shape) for shape in titles})

    def _group(self, tree: Element, done: set[int]) -> None:
        for node in tree:
            if node.tag == "p:sp" and id(node) not in done:
                self._shape(node)
            elif node.tag == "p:graphicFrame":
                for table in node.iter("a:tbl"):
                    self._writer.table(_rows(table))
            elif node.tag in ("p:grpSp", "mc:AlternateContent", "mc:Choice"):
                self._group(node, done)

    def _shape(self, shape: Element) -> None:
        kind = _placeholder(shape)
        if kind in _REPEATED:
            return
        paragraphs = [(depth, text) for depth, text in _paragraphs(shape.find("p:txBody")) if text.strip()]
        if kind == "subTitle" or len(paragraphs) == 1:
            self._writer.paragraph("\n".join(text for _, text in paragraphs))
            return
        for depth, text in paragraphs:
            self._writer.list_item(text, depth)
        self._writer.end_block()


def _placeholder(shape: Element) -> str:
    """What the shape stands for in its layout; "" for a free text, "body" where no type is said."""
    node = within(shape, "p:nvSpPr", "p:nvPr", "p:ph")
    return "" if node is None else node.get("type", "body")


def _paragraphs(body: Element | None) -> list[tuple[int, str]]:
    """Depth and text of each paragraph of a text body."""
    found: list[tuple[int, str]] = []
    for node in body.findall("a:p") if body is not None else ():
        properties = node.find("a:pPr")
        level = properties.get("lvl", "0") if properties is not None else "0"
        text = "".join(_runs(node))
        found.append((min(int(level), _DEPTH_MAX) if level.isdecimal() and len(level) < 3 else 0, text))
    return found


def _runs(paragraph: Element) -> list[str]:
    parts: list[str] = []
    for node in paragraph.iter():
        if node.tag == "a:t":
            parts.append(node.text or "")
        elif node.tag == "a:br":
            parts.append("\n")
    return parts


def _rows(table: Element) -> list[list[str]]:
    """The cells of a table; one that spans rows is repeated in each."""
    rows: list[list[str]] = []
    for row in table.findall("a:tr"):
        cells: list[str] = []
        for cell in row.findall("a:tc"):
            text = " ".join(text for _, text in _paragraphs(cell.find("a:txBody")))
            if cell.get("vMerge") == "1" and rows and len(cells) < len(rows[-1]):
                text = rows[-1][len(cells)]
            cells.append(one_line(text))
        rows.append(cells)
    return rows
