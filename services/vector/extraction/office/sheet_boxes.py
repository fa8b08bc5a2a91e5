"""Text boxes and other shapes with text that lie upon a sheet (ECMA-376 part 1, 20.5)."""

from collections.abc import Iterator
from typing import Final
from xml.etree.ElementTree import Element

from services.vector.extraction.xml_tree import children, parse_xml, within

_PREFIXES: Final = {
    "http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing": "xdr",
    "http://purl.oclc.org/ooxml/drawingml/spreadsheetDrawing": "xdr",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
}
# What holds shapes. The fallback of an alternative says the same again.
_HOLDERS: Final = frozenset({"xdr:grpSp", "mc:AlternateContent", "mc:Choice"})
_ANCHORS: Final = frozenset({"xdr:twoCellAnchor", "xdr:oneCellAnchor", "xdr:absoluteAnchor"})
_TEXTS: Final = frozenset({"a:t", "a:br"})

# Column and row of a cell, from 0.
Cell = tuple[int, int]


def read_boxes(data: bytes) -> Iterator[tuple[Cell | None, str]]:
    """The text of each shape of a drawing part and the cell at its corner, where it has one. Raises what
    parse_xml raises.
    """
    yield from _boxes(parse_xml(data, _PREFIXES), None)


def _boxes(node: Element, cell: Cell | None) -> Iterator[tuple[Cell | None, str]]:
    for child in node:
        if child.tag in _ANCHORS:
            yield from _boxes(child, _corner(child))
        elif child.tag in _HOLDERS:
            yield from _boxes(child, cell)
        # One with a link shows what a cell says.
        elif child.tag == "xdr:sp" and not child.get("textlink"):
            lines = (_line(paragraph) for paragraph in children(child, "xdr:txBody", "a:p"))
            text = "\n".join(line for line in lines if line.strip())
            if text:
                yield cell, text


def _corner(anchor: Element) -> Cell | None:
    numbers: list[int] = []
    for name in ("xdr:col", "xdr:row"):
        node = within(anchor, "xdr:from", name)
        text = (node.text or "").strip() if node is not None else ""
        if text.isdecimal() and len(text) < 8:
            numbers.append(int(text))
    return (numbers[0], numbers[1]) if len(numbers) == 2 else None


def _line(paragraph: Element) -> str:
    nodes = (node for node in paragraph.iter() if node.tag in _TEXTS)
    return "".join("\n" if node.tag == "a:br" else node.text or "" for node in nodes)
