"""XML as readable lines: ``path.to.element: value``, each with the line of the file it begins in.

The children of the outermost element are records: a group of lines with a blank line between. Attributes
stand after their element as ``path.element.attribute: value``. An element with text between its children is
prose and stands as one paragraph; words that only elements part are parted by a space, save for marks within
a word. A DOCTYPE is refused.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.model import BlockKind
from services.vector.extraction.writer import TextWriter, one_line
from services.vector.extraction.xml_tree import parse_lines

# What a namespace prefix cannot say twice.
_IGNORED: Final = frozenset({"schemaLocation", "noNamespaceSchemaLocation"})
# Elements that mark a part of a word in DocBook, JATS, TEI and XHTML.
_MARKS: Final = frozenset(
    {
        "b", "i", "u", "em", "strong", "bold", "italic", "underline", "emph", "emphasis", "hi", "span",
        "small", "sc", "tt", "sub", "sup", "subscript", "superscript",
    }
)  # fmt: skip
# Short names of elements that mark no letters.
_PARTS: Final = frozenset(
    {"p", "l", "s", "ab", "dd", "dl", "dt", "lg", "li", "ol", "sp", "td", "th", "tr", "ul"}
    | {f"h{level}" for level in range(1, 7)}
)
_OPENING: Final = "([{«„“‘"
_CLOSING: Final = ")]}»”’.,;:!?"


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
        text = one_line(_joined(node))
        if text:
            prose = bool(len(node))
            yield (text if prose else f"{path}: {text}"), line, prose


def _joined(node: Element) -> str:
    """The text of an element with a space where only elements stand between words."""
    pieces: list[str] = []
    # What stands between the last piece and the next: an empty element, one that may mark letters of a word,
    # one that marks nothing within a word.
    between: set[str] = set()
    for element, text in _edges(node):
        if element is not None:
            between.add(_edge(element))
        if not text:
            continue
        if pieces and _is_apart(pieces[-1][-1], text[0], between):
            pieces.append(" ")
        pieces.append(text)
        between.clear()
    return "".join(pieces)


def _edges(node: Element) -> Iterator[tuple[Element | None, str]]:
    """Each text of an element, with the child whose begin or end stands before it. The stack is ours."""
    yield None, node.text or ""
    stack = [iter(node)]
    opened: list[Element] = []
    while stack:
        child = next(stack[-1], None)
        if child is not None:
            yield child, child.text or ""
            opened.append(child)
            stack.append(iter(child))
            continue
        stack.pop()
        if opened:
            child = opened.pop()
            yield child, child.tail or ""


def _edge(element: Element) -> str:
    # TEI says so of a line that ends within a word.
    within_word = element.get("break") == "no"
    if len(element) == 0 and not element.text and not within_word:
        return "empty"
    if within_word or element.tag in _MARKS:
        return "mark"
    short = len(element.tag) <= 2 and element.tag not in _PARTS and not element.attrib
    return "letters" if short else "other"


def _is_apart(left: str, right: str, between: set[str]) -> bool:
    if "empty" in between:
        return left not in _OPENING and right not in _CLOSING
    if not (left.isalnum() and right.isalnum()):
        return False
    return "other" in between or ("letters" in between and not (left.isalpha() and right.isalpha()))


def _attributes(node: Element, path: str) -> Iterator[tuple[str, str]]:
    for name, value in node.attrib.items():
        shown = one_line(value)
        if shown and name not in _IGNORED:
            yield f"{path}.{name}", shown


def _is_prose(node: Element) -> bool:
    """Whether text stands beside its children."""
    return bool((node.text or "").strip()) or any((child.tail or "").strip() for child in node)
