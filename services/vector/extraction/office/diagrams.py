"""The text of SmartArt (ECMA-376 part 1, 21.4, DrawingML diagrams): its points, each with its depth, in the
order of the diagram.
"""

from operator import itemgetter
from typing import Final
from xml.etree.ElementTree import Element

from services.vector.extraction.errors import DoctypeError, DocumentUnreadableError
from services.vector.extraction.office.relations import Parts, Relation
from services.vector.extraction.writer import TextWriter
from services.vector.extraction.xml_tree import children

DIAGRAMS: Final = {
    "http://schemas.openxmlformats.org/drawingml/2006/diagram": "dgm",
    "http://purl.oclc.org/ooxml/drawingml/diagram": "dgm",
    "http://schemas.openxmlformats.org/drawingml/2006/main": "a",
    "http://purl.oclc.org/ooxml/drawingml/main": "a",
}
_READ: Final = frozenset({"a:t", "a:br"})


class Diagrams:
    """Writes the diagrams of a document as lists."""

    def __init__(self, parts: Parts, writer: TextWriter) -> None:
        self._parts = parts
        self._writer = writer
        # What a part says is read once, however often the document shows it.
        self._read: dict[str, list[tuple[int, str]]] = {}

    def write(self, relation: Relation | None, where: str) -> None:
        """The diagram that a relation leads to; `where` names its place for people."""
        if relation is None or relation.kind != "diagramData":
            self._writer.warn(f"a diagram {where} is missing in the file")
            return
        found = self._read.get(relation.target)
        if found is None:
            try:
                found = points(self._parts.root(relation.target))
            except DoctypeError:
                raise
            except DocumentUnreadableError as error:
                self._writer.warn(f"a diagram {where} was not read: {error.cause}")
                found = []
            self._read[relation.target] = found
        self._writer.end_block()
        for depth, text in found:
            self._writer.list_item(text, depth)
        self._writer.end_block()


def points(root: Element) -> list[tuple[int, str]]:
    """Depth and text of what a part of data says."""
    nodes = children(root, "dgm:ptLst", "dgm:pt")
    left = {node.get("modelId", f"unnamed {at}"): node for at, node in enumerate(nodes)}
    below: dict[str, list[tuple[int, str]]] = {}
    for node in children(root, "dgm:cxnLst", "dgm:cxn"):
        if node.get("type", "parOf") == "parOf":
            order = node.get("srcOrd", "0")
            below.setdefault(node.get("srcId", ""), []).append(
                (int(order) if order.isdecimal() and len(order) < 9 else 0, node.get("destId", ""))
            )
    found: list[tuple[int, str]] = []
    stack = [(-1, name) for name, point in left.items() if point.get("type") == "doc"]
    while stack:
        depth, name = stack.pop()
        point = left.pop(name, None)
        if point is not None:
            found += _paragraphs(point, max(0, depth))
            inner = sorted(below.get(name, ()), key=itemgetter(0))
            stack += [(depth + 1, child) for _, child in reversed(inner)]
    # Those that hang below nothing: transitions, mostly without text.
    for point in left.values():
        found += _paragraphs(point, 0)
    return found


def _paragraphs(point: Element, depth: int) -> list[tuple[int, str]]:
    lines: list[tuple[int, str]] = []
    for paragraph in children(point, "dgm:t", "a:p"):
        texts = [
            "\n" if node.tag == "a:br" else node.text or "" for node in paragraph.iter() if node.tag in _READ
        ]
        if "".join(texts).strip():
            lines.append((depth, "".join(texts)))
    return lines
