"""Which format the bytes are in. The bytes decide; name and claimed media type only tell text formats
apart. What neither tells is plain text where it is one: in many names a dot begins no extension.
"""

import codecs
import re
from typing import BinaryIO, Final

from services.vector.extraction import archive
from services.vector.extraction.decoding import decode
from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentUnreadableError,
    FormatUnsupportedError,
)
from services.vector.extraction.latin_pages import latin_page
from services.vector.extraction.model import Limits
from services.vector.extraction.registry import (
    FORMATS,
    Format,
    by_extension,
    by_media_type,
    extension_of,
    supported,
)

_HEAD: Final = 4096
# A reader of PDF looks for the header in this many bytes (ISO 32000-1, annex H, note 13).
_PDF_HEAD: Final = 1024
_ZIP: Final = b"PK\x03\x04"
_ZIP_END: Final = b"PK\x05\x06"

_OLE: Final = "application/x-ole-storage"
_UNKNOWN: Final = "application/octet-stream"
# What a sender says who knows no more than the name.
_UNTOLD: Final = re.compile(rf"(?:{re.escape(_UNKNOWN)}|text/x-[\w.+-]+)?\s*(?:;|$)", re.IGNORECASE)
_WIDE: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# So few bytes may be text of some page by chance.
_FEW: Final = 100
# No text has these; a page of eight bits that is not known has some in place of letters.
_NO_TEXT: Final = re.compile("[\0-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufffd]")
# For people, who can look whether their file has it.
_BEGINNINGS: Final = {
    "pdf": "%PDF-",
    "rtf": "{\\rtf",
    **dict.fromkeys(("docx", "pptx", "xlsx", "odt", "epub", "zip"), "PK"),
}
# Formats whose files become OLE containers when they get a password ([MS-OFFCRYPTO] 2.3.4).
_OFFICE: Final = frozenset({"docx", "pptx", "xlsx"})
_LOCKED: Final = "EncryptedPackage".encode("utf-16-le")

# offset, bytes, media type
_MAGIC: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"%PDF-", "application/pdf"),
    (0, _ZIP, "application/zip"),
    (0, _ZIP_END, "application/zip"),
    (0, b"MZ", "application/vnd.microsoft.portable-executable"),
    (0, b"\x7fELF", "application/x-elf"),
    (0, b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (0, b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (0, b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/java-vm"),
    (0, b"\0asm", "application/wasm"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", _OLE),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"%!PS", "application/postscript"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"BM", "image/bmp"),
    (8, b"WEBP", "image/webp"),
    (0, b"\0\0\x01\0", "image/vnd.microsoft.icon"),
    (0, b"RIFF", "application/x-riff"),
    (0, b"OggS", "application/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1a\x45\xdf\xa3", "video/x-matroska"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (257, b"ustar", "application/x-tar"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
)
# These begin like words of a text, so they count only where a zero byte follows soon.
_SHORT_MAGIC: Final = frozenset({b"MZ", b"BM", b"BZh", b"ID3", b"RIFF", b"ftyp", b"WEBP", b"PAR1"})
_HTML: Final = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<!--.{0,512}?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", re.I | re.S
)
# Text recognition writes HTML of its own kind.
_HOCR: Final = re.compile(rb"<meta\s[^>]{0,64}name\s*=\s*[\"']ocr-system[\"']", re.I)
_VTT: Final = re.compile(rb"(?:\xef\xbb\xbf)?WEBVTT(?:[ \t\r\n]|$)")
# The part that makes a package what it is.
_PACKAGES: Final = (
    ("word/document.xml", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xl/workbook.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("ppt/presentation.xml", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)

_OTHER_PACKAGES: Final = (
    ("[Content_Types].xml", "application/vnd.openxmlformats-package"),
    ("META-INF/MANIFEST.MF", "application/java-archive"),
    ("AndroidManifest.xml", "application/vnd.android.package-archive"),
)


def detect(source: BinaryIO, filename: str, claimed_media_type: str, limits: Limits) -> Format:
    """The format to read `source` as; `filename` is clean.

    Raises DocumentEmptyError for no bytes, FormatUnsupportedError when the format is not read here, when
    the name says another format than the bytes, or when the bytes are two formats at once, and what
    `archive.open_archive` raises.
    """
    source.seek(0)
    head = source.read(_HEAD)
    if not head:
        raise DocumentEmptyError.because("the file has no bytes")
    named = by_extension(filename)
    media_type = _binary_type(source, head, named, limits)
    if media_type is None:
        return _text_format(head, filename, named, claimed_media_type)
    if media_type == _OLE and named is not None and named.module in _OFFICE and _is_locked(source):
        raise DocumentUnreadableError.because("encrypted: a password is needed")
    _refuse_polyglot(source, head, media_type, filename)
    found = next((entry for entry in FORMATS if entry.binary and media_type in entry.media_types), None)
    if found is None or (named is not None and named is not found):
        raise _unsupported(filename, media_type, named)
    return found


def _binary_type(source: BinaryIO, head: bytes, named: Format | None, limits: Limits) -> str | None:
    for offset, magic, media_type in _MAGIC:
        if head.startswith(magic, offset) and not (magic in _SHORT_MAGIC and b"\0" not in head[:512]):
            return _package_type(source, limits) if media_type == "application/zip" else media_type
    # Junk before the header is allowed, but only a name says that such a text is a PDF.
    if named is not None and named.module == "pdf" and b"%PDF-" in head[:_PDF_HEAD] and not _HTML.match(head):
        return named.media_type
    return None


def _is_locked(source: BinaryIO) -> bool:
    source.seek(0)
    return _LOCKED in source.read()


def _package_type(source: BinaryIO, limits: Limits) -> str:
    with archive.open_archive(source, limits) as package:
        names = set(package.namelist())
        for part, media_type in _PACKAGES:
            if part in names:
                return media_type
        if "mimetype" in names:
            declared = archive.read_member(package, "mimetype", 256).decode("ascii", errors="replace").strip()
            if re.fullmatch(r"[\w.+-]+/[\w.+-]+", declared):
                return declared
        if "[Content_Types].xml" in names and any(name.startswith("word/") for name in names):
            return _PACKAGES[0][1]
        # An archive, but not one of documents: its parts mean nothing by themselves.
        for part, media_type in _OTHER_PACKAGES:
            if part in names:
                return media_type
    return "application/zip"


def _text_format(head: bytes, filename: str, named: Format | None, claimed_media_type: str) -> Format:
    looks_html = _HTML.match(head) is not None
    known = _known_text(head)
    if known is not None and (named is None or (named.module, known.module) == ("html", "hocr")):
        return known
    if named is not None:
        if named.binary:
            raise _unsupported(filename, "text/html" if looks_html else _text_or_not(head), named)
        return named
    claimed = by_media_type(claimed_media_type)
    if claimed is not None and not claimed.binary:
        return claimed
    if not extension_of(filename) or (_UNTOLD.match(claimed_media_type.strip()) and _is_text(head)):
        return next(entry for entry in FORMATS if entry.module == ("html" if looks_html else "plain"))
    raise _unsupported(filename, claimed_media_type or "application/octet-stream", None)


def _text_or_not(head: bytes) -> str:
    """Bytes that nothing else tells: a text, or what is neither that nor a format that is known here."""
    try:
        decode(head)
    except DocumentUnreadableError:
        return _UNKNOWN
    return "text/plain"


def _is_text(head: bytes) -> bool:
    """Whether there is nothing in it but text."""
    try:
        # The head may end within a character.
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        if len(head) < _FEW and not head.startswith(_WIDE) and latin_page(head) is None:
            return False
        try:
            text = decode(head)
        except DocumentUnreadableError:
            return False
    return _NO_TEXT.search(text) is None


def _known_text(head: bytes) -> Format | None:
    """The text format that the bytes name themselves."""
    if _VTT.match(head):
        module = "vtt"
    elif _HOCR.search(head):
        module = "hocr"
    else:
        return None
    return next(entry for entry in FORMATS if entry.module == module)


def _refuse_polyglot(source: BinaryIO, head: bytes, media_type: str, filename: str) -> None:
    """A file that two programs read as two things: a PDF with an archive at its end, an archive with a PDF
    header.
    """
    is_pdf = media_type == "application/pdf"
    if is_pdf:
        size = source.seek(0, 2)
        source.seek(max(0, size - 22 - 0xFFFF))
        tail = source.read()
        end = tail.rfind(_ZIP_END)
        other = 0 <= end <= len(tail) - 22 and end + 22 + int.from_bytes(
            tail[end + 20 : end + 22], "little"
        ) == len(tail)
    else:
        # An archive of documents may well begin with a PDF; anywhere else such a header is a trick.
        inside = media_type == "application/zip" and head.startswith(b"%PDF-", _first_content(head))
        other = head.startswith(_ZIP) and b"%PDF-" in head[:_PDF_HEAD] and not inside
    if other:
        raise FormatUnsupportedError(
            "the bytes are a PDF and an archive at once",
            {"filename": filename, "media_type": "application/octet-stream", "supported": supported()},
        )


def _first_content(head: bytes) -> int:
    """Where the bytes of the first file of an archive begin."""
    return 30 + int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")


def _unsupported(filename: str, media_type: str, named: Format | None) -> FormatUnsupportedError:
    if named is not None and media_type == _UNKNOWN:
        begin = _BEGINNINGS.get(named.module, "")
        expected = f"{named.extensions[0]}, which begins with {begin}" if begin else named.extensions[0]
        message = f"the name says {expected}; the bytes are neither that nor a text ({_UNKNOWN})"
    elif named is not None:
        message = f"the name says {named.extensions[0]}, the bytes are {media_type}"
    else:
        message = f"{media_type} is not read here; supported: {supported()}"
    return FormatUnsupportedError(
        message, {"filename": filename, "media_type": media_type, "supported": supported()}
    )
