"""XML as readable lines: ``path.to.element: value``, each with the line of the file it begins in.

The children of the outermost element are records: a group of lines with a blank line between. Attributes
stand after their element as ``path.element.attribute: value``. An element with text between its children is
prose and stands as one paragraph. A DOCTYPE is refused.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.model import BlockKind
from services.vector.extraction.writer import TextWriter, one_line
from services.vector.extraction.xml_tree import parse_lines

# What a namespace prefix cannot say twice.
_IGNORED: Final = frozenset({"schemaLocation", "noNamespaceSchemaLocation"})


def read(source: BinaryIO, writer: TextWriter) -> None:
    root, lines = parse_lines(source.read())
    for name, value in _attributes(root, root.tag):
        writer.line(BlockKind.LIST, f"{name}: {value}")
    if len(root) == 0 or _is_prose(root):
        _element(root, root.tag, lines, writer)
        return
    for record in root:
        first = True
        for text, line, prose in _lines(record, record.tag, lines):
            writer.place("", line=line)
            # Only the first line is where the place says: what follows gets its own.
            if prose:
                writer.paragraph(text)
            else:
                writer.line(BlockKind.LIST, text, apart=first)
            first = False


def _element(root: Element, path: str, lines: dict[Element, int], writer: TextWriter) -> None:
    for text, line, _ in _lines(root, path, lines):
        writer.place("", line=line)
        writer.paragraph(text)


def _lines(record: Element, path: str, lines: dict[Element, int]) -> Iterator[tuple[str, int, bool]]:
    """Text, line and whether it is prose, for every value in order. The stack is ours."""
    stack: list[tuple[str, Element]] = [(path, record)]
    while stack:
        path, node = stack.pop()
        line = lines[node]
        for name, value in _attributes(node, path):
            yield f"{name}: {value}", line, False
        if len(node) and not _is_prose(node):
            # The record's own name begins every path below it and says nothing there.
            prefix = "" if node is record else f"{path}."
            stack += [(f"{prefix}{child.tag}", child) for child in reversed(node)]
            continue
        text = one_line("".join(node.itertext()))
        if text:
            prose = bool(len(node))
            yield (text if prose else f"{path}: {text}"), line, prose


def _attributes(node: Element, path: str) -> Iterator[tuple[str, str]]:
    for name, value in node.attrib.items():
        shown = one_line(value)
        if shown and name not in _IGNORED:
            yield f"{path}.{name}", shown


def _is_prose(node: Element) -> bool:
    """Whether text stands beside its children."""
    return bool((node.text or "").strip()) or any((child.tail or "").strip() for child in node)
