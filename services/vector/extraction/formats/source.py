"""Source code stays as it is written, so that a citation points into the file and its line.

A scan of its lines marks where definitions begin, by their keywords and by indentation; passages are cut
there, and the names of the enclosing definitions stand above each as headings. Comments and decorators right
above a definition belong to it. This is no parser: code that does not compile is split as well, and a
keyword in a long string may cut a passage in an odd place, which costs no text.
"""

import re
from dataclasses import dataclass
from typing import BinaryIO, Final

from services.vector.extraction.decoding import decode, normalise
from services.vector.extraction.model import BlockKind
from services.vector.extraction.writer import TextWriter

# Longer lines are data, whatever they begin with.
_LINE_MAX: Final = 400
# Lines of comments and decorators that may stand above a definition.
_ABOVE_MAX: Final = 30
_TAB: Final = 4
_MODIFIERS: Final = (
    r"(?:(?:export|default|declare|public|private|protected|internal|static|final|abstract|sealed|async|open"
    r"|override|virtual|inline|unsafe|pub(?:\([\w: ]{1,40}\))?|const|extern(?: \"C\")?|partial|data|suspend"
    r"|native|synchronized|readonly|local|mutating|implicit|case|value|annotation|inner|companion|external"
    r"|operator|infix|tailrec|expect|actual|required|convenience|fileprivate|indirect|transparent|lazy)\s+){0,6}"
)
_NAME: Final = r"(?P<name>[\w$]+(?:(?:\.|::|#)[\w$]+){0,6}[?!]?)"
_DEFINITIONS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        # class Name, fn name, def name, interface Name, ...
        rf"\s*{_MODIFIERS}(?:class|interface|enum(?:\s+class)?|struct|union|trait|protocol|extension|object|module"
        rf"|namespace|mod|record|def|defp|defmodule|defmacro|fn|fun|func|function\*?|sub|macro_rules!|message"
        rf"|service|rpc|impl(?:<[^>]{{0,80}}>)?|type|actor)\s+{_NAME}(?![\w$]*\s*:=)",
        # func (receiver) Name of Go
        rf"func\s*\([^)]{{0,120}}\)\s*{_NAME}",
        # name = (...) => of JavaScript
        rf"\s*{_MODIFIERS}(?:let\s+|var\s+)?{_NAME}\s*(?::[^=]{{1,120}})?=\s*(?:async\s*)?"
        rf"(?:function\b|(?:\([^()]{{0,200}}\)|[\w$]+)\s*(?::[^=]{{1,80}})?=>)",
        # CREATE TABLE name of SQL
        rf"(?i:\s*create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+)?(?:unique\s+)?"
        rf"(?:table|view|index|function|procedure|trigger|type)\s+(?:if\s+not\s+exists\s+)?)[\"`\[]?{_NAME}",
        # name() { of shells
        rf"{_NAME}\s*\(\)\s*\{{?\s*$",
        # type name(...) { of C, Java, C#; name(...) { of a method of JavaScript
        rf"\s*{_MODIFIERS}(?:(?:[\w$:]+(?:<[^;=(]{{0,80}}>)?(?:\[\])*[\s*&]+){{0,5}})[*&]*{_NAME}\s*"
        rf"\([^;{{}}]{{0,200}}(?:\)[^;={{}}()]{{0,100}}\{{?|,)\s*$",
    )
)
# What looks like the last of those and defines nothing.
_STATEMENTS: Final = frozenset(
    {
        "if", "for", "while", "switch", "catch", "return", "else", "do", "with", "match", "foreach", "using",
        "lock", "sizeof", "throw", "new", "await", "yield", "in", "not", "and", "or", "elif", "assert",
        "print", "super", "this", "when", "unless", "until", "synchronized", "fixed", "guard", "case",
        "require", "include", "import", "from", "delete", "raise", "except", "static_assert", "defined",
    }
)  # fmt: skip
_ABOVE: Final = re.compile(
    r"\s*(?:#(?!include|define|if|endif|pragma|else)|//|/\*|\*|@\w|--|;;|'''|\[[A-Z]\w*)"
)
_QUOTES: Final = re.compile(r'"""|\'\'\'')


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    start: int
    end: int

    @property
    def blank(self) -> bool:
        return not self.text or self.text.isspace()

    @property
    def indent(self) -> int:
        expanded = self.text.expandtabs(_TAB)
        return len(expanded) - len(expanded.lstrip())


def read(source: BinaryIO, writer: TextWriter) -> None:
    text = normalise(decode(source.read()))
    start = writer.verbatim(text)
    _mark(_lines(text, start), writer)


def _lines(text: str, start: int) -> list[_Line]:
    lines: list[_Line] = []
    for line in text.split("\n"):
        size = len(line) if line.isascii() else len(line.encode("utf-8"))
        lines.append(_Line(line, start, start + size))
        start += size + 1
    return lines


def _mark(lines: list[_Line], writer: TextWriter) -> None:
    """Headings over the first lines of definitions, code over all between."""
    # Indentation of the definitions that are open, outermost first.
    open_at: list[int] = []
    quoted = False
    code = 0
    for place, line in enumerate(lines):
        was_quoted = quoted
        if len(line.text) <= _LINE_MAX:
            quoted ^= len(_QUOTES.findall(line.text)) % 2 == 1
        if was_quoted or line.blank or len(line.text) > _LINE_MAX:
            continue
        name = _defined(line.text, lines[place + 1].text if place + 1 < len(lines) else "")
        if name is None:
            continue
        first = _above(lines, place, code)
        _code(lines, code, first, writer)
        open_at = [indent for indent in open_at if indent < line.indent]
        writer.mark(
            BlockKind.HEADING, _begin(lines[first]), line.end, level=min(len(open_at) + 1, 6), label=name
        )
        open_at.append(line.indent)
        code = place + 1
    _code(lines, code, len(lines), writer)


def _begin(line: _Line) -> int:
    """Without the indentation, which stands before the passage."""
    return line.start + len(line.text) - len(line.text.lstrip())


def _above(lines: list[_Line], place: int, least: int) -> int:
    """The first of the comments and decorators right above a definition."""
    first = place
    while first > max(least, place - _ABOVE_MAX) and _ABOVE.match(lines[first - 1].text):
        first -= 1
    return first


def _code(lines: list[_Line], first: int, end: int, writer: TextWriter) -> None:
    while first < end and lines[first].blank:
        first += 1
    while end > first and lines[end - 1].blank:
        end -= 1
    if first < end:
        writer.mark(BlockKind.CODE, lines[first].start, lines[end - 1].end)


def _defined(line: str, after: str) -> str | None:
    """The name that a line begins to define; `after` is the line after it, which may open its body."""
    for pattern in _DEFINITIONS:
        found = pattern.match(line)
        if found is not None:
            if pattern is not _DEFINITIONS[-1]:
                return found["name"]
            # The last pattern is loose: a statement or a call is no definition.
            words = set(re.findall(r"[A-Za-z_]+", line[: found.end("name")]))
            opens = line.rstrip().endswith("{") or after.strip() == "{"
            return found["name"] if opens and not words & _STATEMENTS else None
    return None
