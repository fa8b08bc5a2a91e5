"""Rich Text (RTF 1.9): paragraphs, headings by outline level, lists as they show, table rows.

Text only: fonts, styles, pictures, objects, headers, footers, comments and deleted or hidden text are passed
over. Characters come in the code page of the document or of their font, or as Unicode.
"""

import re
from dataclasses import dataclass, replace
from typing import BinaryIO, Final

from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.writer import TextWriter, one_line

_TOKEN: Final = re.compile(
    rb"\\(?:(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|'(?P<hex>[0-9a-fA-F]{2})|(?P<sign>[^a-zA-Z]))"
    rb"|(?P<brace>[{}])|(?P<break>[\r\n]+)|(?P<text>[^\\{}\r\n]+)|(?P<odd>\\)",
    re.DOTALL,
)
_DEPTH_MAX: Final = 500
_SKIPPED: Final = frozenset(
    {
        b"fonttbl", b"colortbl", b"stylesheet", b"listtable", b"listoverridetable", b"revtbl", b"rsidtbl",
        b"generator", b"pict", b"object", b"objdata", b"header", b"headerl", b"headerr", b"headerf",
        b"footer", b"footerl", b"footerr", b"footerf", b"annotation", b"atnid", b"atnauthor", b"fldinst",
        b"themedata", b"datastore", b"xmlnstbl", b"latentstyles", b"info", b"filetbl", b"bkmkstart",
        b"bkmkend", b"pgdsctbl", b"nonshppict", b"shpinst", b"shprslt", b"sp", b"pntext", b"pn",
    }
)  # fmt: skip
# Destinations marked as ones to pass over when unknown, whose text is read all the same.
_KNOWN: Final = frozenset({b"footnote", b"listtext"})
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
        self._font = 0
        self._state = _State()
        self._stack: list[_State] = []
        # Bytes of text that wait to be decoded together: a character may be two of them.
        self._bytes = bytearray()
        self._parts: list[str] = []
        self._title: list[str] = []
        self._cells: list[str] = []
        self._in_table = False
        self._level = 0
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
        # Text after the last row is none of its cells, whatever the paragraph says.
        self._in_table = False
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
        elif word in _SKIPPED or (optional and word not in _KNOWN):
            self._state = replace(self._state, skipped=True)
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
            self._state = replace(state, codec=self._fonts.get(value, ""))
        elif word == b"plain":
            self._state = replace(state, hidden=False, codec="")
        elif word in (b"v", b"deleted"):
            self._state = replace(state, hidden=value != 0)
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
            self._flush()
            self._cells.append(one_line("".join(self._parts)))
            self._parts.clear()
        elif word in (b"row", b"nestrow"):
            self._row()
        elif word in (b"trowd", b"intbl"):
            self._in_table = True
        elif word == b"pard":
            self._level, self._in_table = 0, False
        elif word == b"outlinelevel" and value is not None and 0 <= value < 9:
            self._level = value + 1

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
        self._add(chr(code))

    def _flush(self) -> None:
        if self._bytes:
            text = bytes(self._bytes).decode(self._state.codec or self._codec, "replace")
            self._bytes.clear()
            self._add(text)

    def _add(self, text: str) -> None:
        self._flush()
        if self._state.in_title:
            self._title.append(text)
        elif not self._state.skipped and not self._state.hidden:
            self._parts.append(text)

    def _paragraph(self) -> None:
        self._flush()
        if self._state.skipped:
            return
        if self._in_table:
            # The cell goes on.
            self._parts.append("\n")
            return
        text = "".join(self._parts)
        self._parts.clear()
        self._row()
        if self._level:
            self._writer.heading(text, self._level)
        else:
            self._writer.paragraph(text)

    def _row(self) -> None:
        if self._cells:
            self._writer.row(self._cells)
            self._cells = []
