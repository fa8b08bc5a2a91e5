"""Bytes to text: byte order mark, declared charset, UTF-8, then detection (docs/adr/0134).

`normalise` is applied to every text that is extracted, so the same bytes give the same text and hash.
"""

import codecs
import re
from importlib import import_module
from typing import Final

from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.latin_pages import latin_page

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    # UTF-32 first: its little-endian mark begins with the one of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Labels which the web reads as a superset of what they name (WHATWG Encoding Standard).
_SUPERSETS: Final = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
# Those whose bytes are all ASCII and say something else: nothing but their label tells them from UTF-8.
_SEVEN_BITS: Final = re.compile(r"iso2022_|hz$")
# Character sets a document may name; Python's registry also holds transforms and escapes.
_CHARSETS: Final = re.compile(
    r"ascii$|cp\d+$|iso8859-|iso2022_|koi8-|mac-|gb|big5|euc_|shift_jis|hz$|johab$|tis-620$"
)
_SAMPLE: Final = 256 * 1024
# A text may have this share of broken bytes among its non-ASCII characters and still be UTF-8.
_BROKEN_SHARE: Final = 0.02
_ODD: Final = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROLS: Final = re.compile("[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_LINE_ENDS: Final = dict.fromkeys((0x0B, 0x0C, 0x85, 0x2028, 0x2029), "\n")
_NORMAL: Final[dict[int, str | None]] = {
    **dict.fromkeys((*range(0x09), *range(0x0E, 0x20), *range(0x7F, 0xA0)), None),
    **_LINE_ENDS,
}
# White space and characters without a mark of their own.
_VISIBLE: Final = re.compile(
    "[^\\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff]"
)


def normalise(text: str) -> str:
    """Line ends become "\\n", control characters go, a leading byte order mark goes.

    Raises DocumentUnreadableError when the text has a lone surrogate, which UTF-8 cannot carry.
    """
    if _ODD.search(text):
        text = text.replace("\r\n", "\n").replace("\r", "\n").translate(_NORMAL)
    text = text.removeprefix("\ufeff")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DocumentUnreadableError.because(f"lone surrogate at character {error.start}") from error
    return text


def is_blank(text: str) -> bool:
    """True when there is nothing to see: only white space and invisible characters."""
    return _VISIBLE.search(text) is None


def decode(data: bytes, declared: str | None = None) -> str:
    """The text of `data`; `declared` is a charset label found in the document, which a byte order mark
    overrules.

    Raises DocumentUnreadableError when the bytes are not text in any encoding that is recognised.
    """
    text = _decode(data, declared)
    head = text[:_SAMPLE]
    if len(_CONTROLS.findall(head)) > 0.05 * len(head):
        raise DocumentUnreadableError.because("the bytes are not text")
    return text


def _decode(data: bytes, declared: str | None) -> str:
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _strict(data[len(mark) :], encoding)
    wide = _wide(data)
    if wide is not None:
        return _strict(data, wide)
    known = _codec(declared)
    if known is not None and _SEVEN_BITS.match(known) and data.isascii():
        return data.decode(known, errors="replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    if known is not None:
        return data.decode(known, errors="replace")
    repaired = data.decode("utf-8", errors="replace")
    others = sum(1 for char in repaired if char > "\x7f")
    if repaired.count("\ufffd") <= _BROKEN_SHARE * others:
        return repaired
    return _detected(data)


def _strict(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DocumentUnreadableError.because(f"not valid {encoding} at byte {error.start}") from error


def _wide(data: bytes) -> str | None:
    """UTF-16 without a mark: in Western text every second byte is zero."""
    head = data[:_SAMPLE]
    if len(head) < 4 or len(data) % 2:
        return None
    pairs = len(head) // 2
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 0.4 * pairs and even < 0.01 * pairs:
        return "utf-16-le"
    if even > 0.4 * pairs and odd < 0.01 * pairs:
        return "utf-16-be"
    return None


def _codec(label: str | None) -> str | None:
    """The Python codec of a charset label; a label of a Unicode encoding says nothing new at this point."""
    if not label:
        return None
    try:
        name = codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return None
    return _SUPERSETS.get(name, name) if _CHARSETS.match(name) else None


def _detected(data: bytes) -> str:
    page = latin_page(data[:_SAMPLE])
    if page is not None:
        return data.decode(page, errors="replace")
    # Imported here, since most texts are UTF-8 and the import takes longer than reading them.
    match = import_module("charset_normalizer").from_bytes(data[:_SAMPLE]).best()
    if match is None:
        raise DocumentUnreadableError.because("no text encoding fits the bytes")
    encoding: str = match.encoding
    return data.decode(encoding, errors="replace")
