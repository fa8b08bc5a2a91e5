"""Presentations (ECMA-376 part 1, PresentationML): slide by slide, in the order of the show.

A slide is a page. Its title is a heading, its other texts are list items with their depth and number or
paragraphs, its tables have a line for each row, its diagrams are lists, its pictures their alternative
texts; its notes follow. Text from masters and layouts, hidden slides, charts and comments are left out; a
warning names the slides that are hidden.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.archive import open_archive
from services.vector.extraction.descriptions import described
from services.vector.extraction.errors import DoctypeError, DocumentUnreadableError
from services.vector.extraction.numbering import numeral
from services.vector.extraction.office.diagrams import DIAGRAMS, Diagrams
from services.vector.extraction.office.formulas import MATH, formula
from services.vector.extraction.office.relations import RELATIONSHIPS, Parts, Relation
from services.vector.extraction.scripts import joined
from services.vector.extraction.writer import TextWriter, one_line
from services.vector.extraction.xml_tree import within

_PREFIXES: Final = {
    **RELATIONSHIPS,
    **DIAGRAMS,
    **MATH,
    "http://schemas.openxmlformats.org/presentationml/2006/main": "p",
    "http://purl.oclc.org/ooxml/presentationml/main": "p",
    "http://schemas.microsoft.com/office/drawing/2010/main": "a14",
    "http://schemas.openxmlformats.org/markup-compatibility/2006": "mc",
}
_MAIN: Final = "ppt/presentation.xml"
_TITLES: Final = frozenset({"title", "ctrTitle"})
# Number, date, header and footer stand on every slide.
_REPEATED: Final = frozenset({"sldNum", "dt", "hdr", "ftr"})
_OFF: Final = frozenset({"0", "false"})
_DEPTH_MAX: Final = 8
# The properties of a shape, of a picture and of what else is on a slide.
_PROPERTIES: Final = ("p:nvSpPr", "p:nvPicPr", "p:nvGraphicFramePr", "p:nvGrpSpPr")
_NUMBERED: Final = re.compile(
    "(arabic|alphaLc|alphaUc|romanLc|romanUc|ea1Chs|circleNum)(?:Db)?([A-Z]\\w{1,20})"
)
_NUMERALS: Final = {
    "arabic": "decimal", "alphaLc": "lowerLetter", "alphaUc": "upperLetter", "romanLc": "lowerRoman",
    "romanUc": "upperRoman", "ea1Chs": "chineseCounting", "circleNum": "decimalEnclosedCircle",
}  # fmt: skip
_ENCLOSED: Final = {"Period": "{}.", "ParenR": "{})", "ParenBoth": "({})", "Plain": "{}"}
_BULLETS: Final = ("a:buNone", "a:buChar", "a:buBlip")


@dataclass(frozen=True, slots=True)
class _Line:
    """A paragraph of a text body. label: its number in a list, "" for none."""

    depth: int
    text: str
    label: str = ""

    def __str__(self) -> str:
        return f"{self.label} {self.text}" if self.label else self.text


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
        diagrams = Diagrams(parts, writer)
        for relation in names:
            number = writer.begin_page("slide")
            if relation is None:
                writer.warn(f"slide {number} is missing in the file")
                continue
            try:
                _slide(parts, relation.target, writer, diagrams, number)
            except DoctypeError:
                raise
            except DocumentUnreadableError as error:
                if len(names) == 1:
                    raise
                writer.warn(f"slide {number} was not read: {error.cause}")


def _slide(parts: Parts, name: str, writer: TextWriter, diagrams: Diagrams, number: int) -> None:
    root = parts.root(name)
    if root.get("show") in _OFF:
        writer.warn(f"slide {number} is hidden and was not read")
        return
    relations = _relations(parts, name, writer, number)
    tree = within(root, "p:cSld", "p:spTree")
    if tree is not None:
        _Shapes(writer, lambda of: diagrams.write(relations.get(of), f"of slide {number}")).all(tree)
    for relation in relations.values():
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


def _relations(parts: Parts, name: str, writer: TextWriter, number: int) -> dict[str, Relation]:
    try:
        return parts.relations(name)
    except DoctypeError:
        raise
    except DocumentUnreadableError as error:
        writer.warn(f"notes and diagrams of slide {number} were not read: {error.cause}")
        return {}


def _notes(parts: Parts, name: str) -> str:
    """What the speaker wrote."""
    root = parts.root(name)
    bodies = [shape for shape in root.iter("p:sp") if _placeholder(shape) == "body"]
    return "\n".join(str(line) for body in bodies for line in _paragraphs(body.find("p:txBody")) if line.text)


class _Shapes:
    """The shapes of a slide in the order of the file, which is the one of drawing."""

    def __init__(self, writer: TextWriter, write_diagram: Callable[[str], None]) -> None:
        self._writer = writer
        self._write_diagram = write_diagram

    def all(self, tree: Element) -> None:
        # A title is read first wherever it was drawn.
        titles = [shape for shape in tree.findall("p:sp") if _placeholder(shape) in _TITLES]
        for shape in titles:
            text = " ".join(line.text for line in _paragraphs(shape.find("p:txBody")))
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
                for diagram in node.iter("dgm:relIds"):
                    self._write_diagram(diagram.get("r:dm", ""))
                self._describe(node)
            elif node.tag == "p:pic":
                self._describe(node)
            elif node.tag in ("p:grpSp", "mc:AlternateContent", "mc:Choice"):
                self._group(node, done)
                self._describe(node)

    def _describe(self, node: Element) -> None:
        for name in _PROPERTIES:
            properties = within(node, name, "p:cNvPr")
            if properties is not None:
                self._writer.paragraph(described(properties.get("descr")))

    def _shape(self, shape: Element) -> None:
        kind = _placeholder(shape)
        if kind in _REPEATED:
            return
        lines = [line for line in _paragraphs(shape.find("p:txBody")) if line.text.strip()]
        if kind == "subTitle" or len(lines) == 1:
            self._writer.paragraph("\n".join(map(str, lines)))
        else:
            for line in lines:
                self._writer.list_item(line.text, line.depth, f"{line.label} " if line.label else "- ")
            self._writer.end_block()
        self._describe(shape)


def _placeholder(shape: Element) -> str:
    """What the shape stands for in its layout; "" for a free text, "body" where no type is said."""
    node = within(shape, "p:nvSpPr", "p:nvPr", "p:ph")
    return "" if node is None else node.get("type", "body")


def _paragraphs(body: Element | None) -> list[_Line]:
    """The paragraphs of a text body."""
    found: list[_Line] = []
    styles = within(body, "a:lstStyle")
    # The list that goes on at each depth, and its last number.
    lists: dict[int, tuple[str, int]] = {}
    for node in body.findall("a:p") if body is not None else ():
        properties = node.find("a:pPr")
        level = properties.get("lvl", "0") if properties is not None else "0"
        depth = min(int(level), _DEPTH_MAX) if level.isdecimal() and len(level) < 3 else 0
        text = joined(_runs(node))
        if not text.strip():
            # It shows no number, and no list ends with it.
            found.append(_Line(depth, text))
            continue
        lists = {other: going for other, going in lists.items() if other <= depth}
        numbering = _numbering(properties, within(styles, f"a:lvl{depth + 1}pPr"))
        label = ""
        if numbering is None:
            lists.pop(depth, None)
        else:
            kind, start = numbering.get("type", ""), numbering.get("startAt", "1")
            last = lists.get(depth)
            if last is not None and last[0] == f"{kind} {start}":
                number = last[1] + 1
            else:
                number = int(start) if start.isdecimal() and len(start) < 6 else 1
            lists[depth] = (f"{kind} {start}", number)
            label = _label(kind, number)
        found.append(_Line(depth, text, label))
    return found


def _numbering(own: Element | None, style: Element | None) -> Element | None:
    """What numbers a paragraph: its own properties, or those of its level where it does not say."""
    for properties in (own, style):
        numbering = within(properties, "a:buAutoNum")
        if numbering is not None:
            return numbering
        if any(within(properties, name) is not None for name in _BULLETS):
            return None
    return None


def _label(kind: str, number: int) -> str:
    """ "" where it cannot be told."""
    named = _NUMBERED.fullmatch(kind)
    form = _ENCLOSED.get(named[2]) if named is not None else None
    if named is None or form is None:
        return ""
    shown = numeral(number, _NUMERALS[named[1]])
    return form.format(shown) if shown else ""


def _runs(parent: Element) -> Iterator[tuple[str, int]]:
    """The texts of a paragraph, each with whether it is raised (1), lowered (-1) or neither (0)."""
    for node in parent:
        if node.tag in ("a:r", "a:fld"):
            properties = node.find("a:rPr")
            baseline = properties.get("baseline", "0") if properties is not None else "0"
            position = 0 if baseline.strip("-0%") == "" else -1 if baseline.startswith("-") else 1
            yield node.findtext("a:t") or "", position
        elif node.tag == "a:br":
            yield "\n", 0
        elif node.tag == "a14:m":
            for child in node.iter("m:oMath"):
                yield formula(child), 0
        elif node.tag == "mc:AlternateContent":
            choice = node.find("mc:Choice")
            chosen = choice if choice is not None else node.find("mc:Fallback")
            yield from _runs(chosen) if chosen is not None else ()


def _rows(table: Element) -> list[list[str]]:
    """The cells of a table; one that spans rows is repeated in each."""
    rows: list[list[str]] = []
    for row in table.findall("a:tr"):
        cells: list[str] = []
        for cell in row.findall("a:tc"):
            text = " ".join(map(str, _paragraphs(cell.find("a:txBody"))))
            if cell.get("vMerge") == "1" and rows and len(cells) < len(rows[-1]):
                text = rows[-1][len(cells)]
            cells.append(one_line(text))
        rows.append(cells)
    return rows
