"""Books (EPUB 2 and 3): the chapters in reading order, each read as HTML.

Chapters are counted as a reader meets them: what has text, or should have it, in the order of reading. The
navigation document ("contents") and what stands beside that order (``linear="no"``: "supplement 1") are read
as well, and a cover that is only a picture is passed over; none of them is counted as a chapter.

The HTML parser knows no entities but its own and fetches nothing. A document type that declares anything is
refused all the same, as in every other part.
"""

import posixpath
import re
import urllib.parse
import zipfile
from typing import BinaryIO, Final
from xml.etree.ElementTree import Element

from services.vector.extraction.archive import open_archive, read_member
from services.vector.extraction.decoding import decode
from services.vector.extraction.errors import DoctypeError, DocumentUnreadableError
from services.vector.extraction.formats import html
from services.vector.extraction.writer import TextWriter
from services.vector.extraction.xml_tree import parse_xml, within

_CONTAINER: Final = "META-INF/container.xml"
_ENCRYPTION: Final = "META-INF/encryption.xml"
_PREFIXES: Final = {"http://purl.org/dc/elements/1.1/": "dc"}
_CHAPTER: Final = "chapter"
_SUPPLEMENT: Final = "supplement"
_CONTENTS: Final = "contents"
_CHAPTERS: Final = frozenset({"application/xhtml+xml", "text/html", "text/x-oeb1-document"})
_DECLARES: Final = re.compile(r"<!DOCTYPE[^>\[]{0,1000}\[|<!(?:ENTITY|ELEMENT|ATTLIST|NOTATION)\b", re.I)


def read(source: BinaryIO, writer: TextWriter) -> None:
    with open_archive(source, writer.limits) as package:
        size_max = writer.limits.archive_bytes
        container = parse_xml(read_member(package, _CONTAINER, size_max), {})
        book = next((node.get("full-path", "") for node in container.iter("rootfile")), "")
        root = parse_xml(read_member(package, book, size_max), _PREFIXES)
        title = within(root, "metadata", "dc:title")
        items = {node.get("id", ""): node for node in root.findall("manifest/item")}
        locked = _locked(package, size_max)
        names = set(package.namelist())
        read_any = False
        counted = dict.fromkeys((_CHAPTER, _SUPPLEMENT), 0)
        for reference in root.findall("spine/itemref"):
            item = items.get(reference.get("idref", ""))
            if item is None or item.get("media-type", "") not in _CHAPTERS:
                continue
            read_any = True
            kind = _kind(item, reference)
            label = f"{kind} {counted[kind] + 1}" if kind in counted else kind
            href = urllib.parse.unquote(item.get("href", "").partition("#")[0])
            name = posixpath.normpath(posixpath.join(posixpath.dirname(book), href))
            if name in locked:
                raise DocumentUnreadableError.because("the book is encrypted")
            if name not in names:
                writer.warn(f"{label} is missing in the file")
                if kind in counted:
                    counted[kind] += 1
                continue
            text = decode(read_member(package, name, size_max))
            if _DECLARES.search(text):
                raise DoctypeError.because("XML with declarations in its DOCTYPE is refused")
            writer.place(label)
            before = writer.size
            html.read_text(text, writer, book=True)
            if kind in counted and writer.size > before:
                counted[kind] += 1
        if not read_any:
            raise DocumentUnreadableError.because("the book has no chapters")
        writer.title = (title.text if title is not None else None) or writer.title


def _kind(item: Element, reference: Element) -> str:
    """What a part of the spine is to a reader."""
    if "nav" in item.get("properties", "").split():
        return _CONTENTS
    return _SUPPLEMENT if reference.get("linear") == "no" else _CHAPTER


def _locked(package: zipfile.ZipFile, size_max: int) -> frozenset[str]:
    """The parts that a rights system encrypted."""
    if _ENCRYPTION not in package.namelist():
        return frozenset()
    root = parse_xml(read_member(package, _ENCRYPTION, size_max), {})
    return frozenset(urllib.parse.unquote(node.get("URI", "")) for node in root.iter("CipherReference"))
