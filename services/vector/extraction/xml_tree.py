"""XML as element trees, without any document type.

Expat reports a DOCTYPE in whatever encoding it stands, before one entity is declared; refusing it there
shuts out entity bombs and external entities at once.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from services.vector.extraction.decoding import decode
from services.vector.extraction.errors import DoctypeError, DocumentUnreadableError

DEPTH_MAX: Final = 256
_ENCODING: Final = re.compile(rb"""<\?xml[^>]{0,200}?\sencoding\s*=\s*["']([\w.:-]{1,40})["']""", re.ASCII)
# Of all others it reads those that have a byte a character.
_OF_EXPAT: Final = frozenset({b"utf-8", b"utf-16", b"utf-16le", b"utf-16be", b"iso-8859-1", b"us-ascii"})


def parse_xml(data: bytes, prefixes: Mapping[str, str]) -> Element:
    """The root element. Names are ``prefix:local`` for the namespaces in `prefixes` and ``local`` for all
    others.

    Raises DoctypeError for a DOCTYPE, DocumentUnreadableError for XML that is not well formed and for
    nesting beyond DEPTH_MAX.
    """
    roots: list[Element] = []
    _Parser(prefixes, None, lambda element, _: roots.append(element)).run(data)
    return roots[0]


def parse_lines(data: bytes) -> tuple[Element, dict[Element, int]]:
    """The root element with local names, and the line that each element begins in. Errors as in
    `parse_xml`.
    """
    roots: list[Element] = []
    parser = _Parser({}, None, lambda element, _: roots.append(element))
    parser.lines = {}
    parser.run(data)
    return roots[0], parser.lines


def parse_each(
    data: bytes, prefixes: Mapping[str, str], tag: str, handle: Callable[[Element, int], None]
) -> None:
    """Calls `handle` with each outermost element of that name and the line it begins in, and keeps none, so
    that a long part costs no more memory than its bytes. Names and errors as in `parse_xml`.
    """
    _Parser(prefixes, tag, handle).run(data)


def within(node: Element | None, *names: str) -> Element | None:
    """The first child of the first name, its first child of the next, and so on."""
    for name in names:
        node = node.find(name) if node is not None else None
    return node


def children(node: Element | None, *names: str) -> list[Element]:
    """All children of the last name below `within` the names before it."""
    parent = within(node, *names[:-1])
    return [] if parent is None else parent.findall(names[-1])


class _Parser:
    def __init__(
        self, prefixes: Mapping[str, str], tag: str | None, handle: Callable[[Element, int], None]
    ) -> None:
        self._prefixes = prefixes
        self._tag = tag
        self._handle = handle
        self._names: dict[str, str] = {}
        self._depth = 0
        self._builder: TreeBuilder | None = None
        # The line of every element, for who wants them.
        self.lines: dict[Element, int] | None = None
        # Where the element that is being built began.
        self._root_depth = 0
        self._line = 0
        self._parser = expat.ParserCreate(namespace_separator="}")

    def run(self, data: bytes) -> None:
        declared = _ENCODING.match(data)
        if declared and declared[1].lower() not in _OF_EXPAT:
            data = decode(data, declared[1].decode("ascii")).encode("utf-8")
            # What is said here stands above what the document says.
            self._parser = expat.ParserCreate("utf-8", "}")
        parser = self._parser
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._data
        parser.StartDoctypeDeclHandler = self._refuse
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, AssertionError) as error:
            raise DocumentUnreadableError.because(f"broken XML: {error}") from error

    def _name(self, raw: str) -> str:
        name = self._names.get(raw)
        if name is None:
            space, _, local = raw.rpartition("}")
            prefix = self._prefixes.get(space)
            name = self._names[raw] = f"{prefix}:{local}" if prefix else local
        return name

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise DocumentUnreadableError.because("XML is nested too deeply")
        name = self._name(tag)
        if self._builder is None and (self._tag is None or name == self._tag):
            self._builder, self._root_depth = TreeBuilder(), self._depth
            self._line = self._parser.CurrentLineNumber
        if self._builder is not None:
            node = self._builder.start(name, {self._name(key): value for key, value in attributes.items()})
            if self.lines is not None:
                self.lines[node] = self._parser.CurrentLineNumber

    def _end(self, tag: str) -> None:
        if self._builder is not None:
            self._builder.end(self._name(tag))
            if self._depth == self._root_depth:
                element = self._builder.close()
                self._builder = None
                self._handle(element, self._line)
        self._depth -= 1

    def _data(self, data: str) -> None:
        if self._builder is not None:
            self._builder.data(data)

    def _refuse(self, *_: object) -> None:
        raise DoctypeError.because("XML with a DOCTYPE is refused")
