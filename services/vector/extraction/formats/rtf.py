"""Rich Text (RTF 1.9): paragraphs, headings by outline level, lists with the numbers they show, table rows.

Text only: fonts, styles, pictures, objects, headers, footers, comments and deleted or hidden text are passed
over. Notes and the text of shapes follow the paragraph they stand in. Characters come in the code page of the
document or of their font, or as Unicode.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import BinaryIO, Final

from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.office.symbols import drawn, typed
from services.vector.extraction.scripts import joined, noted
from services.vector.extraction.writer import TextWriter, one_line

_TOKEN: Final = re.compile(
    rb"\\(?:(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|'(?P<hex>[0-9a-fA-F]{2})|(?P<sign>[^a-zA-Z]))"
    rb"|(?P<brace>[{}])|(?P<break>[\r\n]+)|(?P<text>[^\\{}\r\n]+)|(?P<odd>\\)",
    re.DOTALL,
)
_DEPTH_MAX: Final = 500
_FONT_NAME_MAX: Final = 64
_SKIPPED: Final = frozenset(
    {
        b"fonttbl", b"colortbl", b"stylesheet", b"listtable", b"listoverridetable", b"revtbl", b"rsidtbl",
        b"generator", b"pict", b"object", b"objdata", b"header", b"headerl", b"headerr", b"headerf",
        b"footer", b"footerl", b"footerr", b"footerf", b"annotation", b"atnid", b"atnauthor", b"fldinst",
        b"themedata", b"datastore", b"xmlnstbl", b"latentstyles", b"info", b"filetbl", b"bkmkstart",
        b"bkmkend", b"pgdsctbl", b"nonshppict", b"shpinst", b"shprslt", b"sp", b"pn",
    }
)  # fmt: skip
# Destinations marked as ones to pass over when unknown, whose text is read all the same.
_KNOWN: Final = frozenset({b"footnote", b"listtext", b"pntext"})
# What an item of a list shows before its text.
_LABELS: Final = frozenset({b"listtext", b"pntext"})
_POSITIONS: Final = {b"super": 1, b"sub": -1, b"nosupersub": 0}
_SIGNS: Final = {
    b"tab": "\t", b"line": "\n", b"emdash": "—", b"endash": "–", b"emspace": " ", b"enspace": " ",
    b"bullet": "•", b"lquote": "‘", b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"softline": "\n",
}  # fmt: skip
# \fcharset -> code page
_CHARSETS: Final = {
    77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "big5hkscs",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251",
    222: "cp874", 238: "cp1250",
}  # fmt: skip
_CODE_PAGES: Final = {437, 720, 850, 852, 860, 862, 863, 864, 865, 866, 874, 932, 936, 949, 950, 1361}


@dataclass(frozen=True, slots=True)
class _State:
    """What a group inherits and gives back. `unicode_skip`: characters after a Unicode one that stand for
    it.
    """

    skipped: bool = False
    hidden: bool = False
    in_fonts: bool = False
    in_title: bool = False
    codec: str = ""
    unicode_skip: int = 1
    # Raised (1), lowered (-1) or neither.
    position: int = 0
    font: str = ""


@dataclass(slots=True)
class _Text:
    """What grows to a paragraph or a row. lines: paragraphs of its cell that ended; label: what the item of a
    list shows; auto_mark: whether a note that follows is numbered by itself.
    """

    pieces: list[tuple[str, int]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    in_table: bool = False
    level: int = 0
    depth: int = 0
    label: str = ""
    auto_mark: bool = False


@dataclass(frozen=True, slots=True)
class _Apart:
    """A group whose text stands apart from the text around it, which waits. depth: of the group."""

    depth: int
    outer: _Text
    is_label: bool


def read(source: BinaryIO, writer: TextWriter) -> None:
    data = source.read()
    if not data.startswith(b"{\\rtf"):
        raise DocumentUnreadableError.because("not RTF: it does not begin as RTF does")
    _Reader(writer).run(data)


class _Reader:
    def __init__(self, writer: TextWriter) -> None:
        self._writer = writer
        self._codec = "cp1252"
        self._fonts: dict[int, str] = {}
        self._font_names: dict[int, str] = {}
        self._font = 0
        self._state = _State()
        self._stack: list[_State] = []
        # Bytes of text that wait to be decoded together: a character may be two of them.
        self._bytes = bytearray()
        self._text = _Text()
        self._apart: list[_Apart] = []
        # Writes what stands apart, after the paragraph it is in.
        self._later: list[Callable[[], object]] = []
        self._title: list[str] = []
        self._to_skip = 0
        self._high = 0
        self._optional = False

    def run(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            token = _TOKEN.match(data, at)
            if token is None:
                raise DocumentUnreadableError.because(f"broken RTF at byte {at}")
            at = token.end()
            if token["brace"] is not None:
                self._brace(token["brace"])
            elif token["word"] is not None:
                at += self._word(token["word"], token["number"])
            elif token["hex"] is not None:
                self._byte(int(token["hex"], 16))
            elif token["sign"] is not None:
                self._sign(token["sign"])
            elif token["text"] is not None:
                self._plain(token["text"])
            if self._stack == [] and token["brace"] == b"}":
                break
        if self._stack:
            self._writer.warn("the file is truncated: what follows is missing")
        while self._apart:
            self._close()
        # Text after the last row is none of its cells, whatever the paragraph says.
        self._text.in_table = False
        self._paragraph()
        title = one_line("".join(self._title))
        self._writer.title = title or None

    def _brace(self, brace: bytes) -> None:
        self._flush()
        self._to_skip = 0
        if brace == b"{":
            if len(self._stack) >= _DEPTH_MAX:
                raise DocumentUnreadableError.because("RTF is nested too deeply")
            self._stack.append(self._state)
        elif self._stack:
            if self._apart and self._apart[-1].depth == len(self._stack):
                self._close()
            self._state = self._stack.pop()

    def _word(self, word: bytes, number: bytes | None) -> int:
        """Returns how many bytes of data that are no text follow."""
        value = int(number) if number is not None else None
        optional, self._optional = self._optional, False
        if word == b"bin":
            return max(0, value or 0)
        if word == b"u" and value is not None:
            self._unicode(value)
            return 0
        self._flush()
        if word == b"fonttbl":
            self._state = replace(self._state, skipped=True, in_fonts=True)
        elif word == b"title" and self._stack and self._state.skipped:
            self._state = replace(self._state, in_title=True)
        elif word == b"shptxt":
            # The text of a shape, of which all else is passed over.
            self._state = replace(self._state, skipped=False)
            self._open()
        elif word in _SKIPPED or (optional and word not in _KNOWN):
            self._state = replace(self._state, skipped=True, in_fonts=False)
        elif word in _KNOWN:
            if not self._state.skipped:
                self._open(is_note=word == b"footnote", is_label=word in _LABELS)
        elif self._state.in_fonts:
            self._font_word(word, value)
        else:
            self._text_word(word, value)
        return 0

    def _font_word(self, word: bytes, value: int | None) -> None:
        if word == b"f" and value is not None:
            self._font = value
        elif word == b"fcharset" and value in _CHARSETS:
            self._fonts[self._font] = _CHARSETS[value]

    def _text_word(self, word: bytes, value: int | None) -> None:
        state = self._state
        if word == b"ansicpg" and value is not None and (value in _CODE_PAGES or 1250 <= value <= 1258):
            self._codec = f"cp{value}"
        elif word == b"mac":
            self._codec = "mac_roman"
        elif word == b"f" and value is not None:
            name = self._font_names.get(value, "").partition(";")[0]
            self._state = replace(state, codec=self._fonts.get(value, ""), font=name)
        elif word == b"plain":
            self._state = replace(state, hidden=False, codec="", position=0, font="")
        elif word in (b"v", b"deleted"):
            self._state = replace(state, hidden=value != 0)
        elif word in _POSITIONS:
            self._state = replace(state, position=0 if value == 0 else _POSITIONS[word])
        elif word == b"uc" and value is not None:
            self._state = replace(state, unicode_skip=max(0, min(value, 8)))
        elif not state.skipped:
            self._layout_word(word, value)

    def _layout_word(self, word: bytes, value: int | None) -> None:
        if word in _SIGNS:
            self._add(_SIGNS[word])
        elif word in (b"par", b"sect", b"page"):
            self._paragraph()
        elif word in (b"cell", b"nestcell"):
            self._cell()
        elif word in (b"row", b"nestrow"):
            self._row()
        elif word in (b"trowd", b"intbl"):
            self._text.in_table = True
        elif word == b"pard":
            self._text.level, self._text.depth, self._text.in_table = 0, 0, False
        elif word == b"outlinelevel" and value is not None and 0 <= value < 9:
            self._text.level = value + 1
        elif word == b"ilvl" and value is not None and 0 <= value < 9:
            self._text.depth = value
        elif word == b"chftn":
            self._text.auto_mark = True

    def _sign(self, sign: bytes) -> None:
        if sign == b"*":
            self._optional = True
        elif sign in (b"\\", b"{", b"}"):
            self._plain(sign)
        elif sign in (b"\r", b"\n"):
            self._paragraph()
        elif sign == b"~":
            self._add("\u00a0")
        elif sign == b"_":
            self._add("-")

    def _plain(self, text: bytes) -> None:
        skipped = min(self._to_skip, len(text))
        self._to_skip -= skipped
        self._bytes += text[skipped:]

    def _byte(self, byte: int) -> None:
        if self._to_skip:
            self._to_skip -= 1
        else:
            self._bytes.append(byte)

    def _unicode(self, value: int) -> None:
        self._flush()
        code = value & 0xFFFF
        self._to_skip = self._state.unicode_skip
        if 0xD800 <= code < 0xDC00:
            self._high = code
            return
        if 0xDC00 <= code < 0xE000:
            high, self._high = self._high, 0
            self._add(chr(0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)) if high else "\ufffd")
            return
        self._high = 0
        self._add(drawn(self._state.font, chr(code)))

    def _flush(self) -> None:
        if self._bytes:
            text = typed(self._state.font, bytes(self._bytes))
            if text is None:
                text = self._bytes.decode(self._state.codec or self._codec, "replace")
            self._bytes.clear()
            self._add(text)

    def _add(self, text: str) -> None:
        self._flush()
        if self._state.in_title:
            self._title.append(text)
        elif self._state.in_fonts:
            name = self._font_names.get(self._font, "")
            if len(name) < _FONT_NAME_MAX:
                self._font_names[self._font] = name + text
        elif not self._state.skipped and not self._state.hidden:
            self._text.pieces.append((text, self._state.position))

    def _open(self, *, is_note: bool = False, is_label: bool = False) -> None:
        """What the group holds from here on stands apart."""
        outer = self._text
        if self._apart and self._apart[-1].depth == len(self._stack):
            # It does so already.
            return
        if is_note and not outer.auto_mark and outer.pieces and outer.pieces[-1][1] > 0:
            # The mark of the note that begins is text.
            mark, _ = outer.pieces.pop()
            outer.pieces.append(noted(outer.pieces, mark))
        self._apart.append(_Apart(len(self._stack), outer, is_label))
        self._text = _Text()
        self._state = replace(self._state, position=0)

    def _close(self) -> None:
        self._flush()
        ended = self._apart[-1]
        if ended.is_label:
            label = one_line(joined(self._text.pieces))
            ended.outer.label = ended.outer.label or label
        else:
            self._end_paragraph()
        self._apart.pop()
        self._text = ended.outer
        self._text.auto_mark = False
        if not (self._text.in_table or self._text.cells or self._text.pieces):
            # Nothing was begun that it could cut.
            self._write_later()

    def _paragraph(self) -> None:
        self._flush()
        if self._state.skipped:
            return
        if self._apart and self._apart[-1].is_label:
            self._text.pieces.append((" ", 0))
        elif self._text.in_table:
            # The cell goes on.
            self._text.lines.append(self._line())
        else:
            self._end_paragraph()

    def _end_paragraph(self) -> None:
        text = self._text
        label, text.label = text.label, ""
        line = "\n".join([*text.lines, joined(text.pieces)])
        text.lines.clear()
        text.pieces.clear()
        self._row()
        if text.level:
            self._write(partial(self._writer.heading, _labelled(label, line), text.level))
        elif label:
            marker = f"{label} " if _is_number(label) else "- "
            self._write(partial(self._writer.list_item, line, text.depth, marker))
        else:
            self._write(partial(self._writer.paragraph, line))
        self._write_later()

    def _write_later(self) -> None:
        if not self._apart:
            later, self._later = self._later, []
            for write in later:
                write()

    def _line(self) -> str:
        """A paragraph of a cell."""
        text = self._text
        line = _labelled(text.label, joined(text.pieces))
        text.label = ""
        text.pieces.clear()
        return line

    def _cell(self) -> None:
        self._flush()
        text = self._text
        text.cells.append(one_line(" ".join([*text.lines, self._line()])))
        text.lines.clear()

    def _row(self) -> None:
        if self._text.cells:
            self._write(partial(self._writer.row, self._text.cells))
            self._text.cells = []

    def _write(self, write: Callable[[], object]) -> None:
        if self._apart:
            self._later.append(write)
        else:
            write()


def _is_number(label: str) -> bool:
    """Whether it is no bullet: those of some fonts are letters."""
    return any(map(str.isdigit, label)) or (len(label) > 1 and any(map(str.isalpha, label)))


def _labelled(label: str, text: str) -> str:
    return f"{label} {text}" if _is_number(label) else text
