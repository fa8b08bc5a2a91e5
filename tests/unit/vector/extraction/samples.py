"""Small files made on the spot, good ones and hostile ones."""

import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import docx
from pypdf import PdfReader, PdfWriter

from services.vector.extraction.model import Extraction, Limits
from services.vector.extraction.registry import FORMATS
from services.vector.extraction.writer import TextWriter

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def read(module: str, data: bytes, limits: Limits | None = None) -> Extraction:
    """What the format module makes of the bytes, in this process."""
    found = next(entry for entry in FORMATS if entry.module == module)
    writer = TextWriter(limits or Limits())
    found.reader().read(io.BytesIO(data), writer)
    return writer.finish(found.media_type)


def blocks(extraction: Extraction) -> list[tuple[str, int, str]]:
    """Kind, level and text of every block."""
    data = extraction.text.encode("utf-8")
    return [
        (str(block.kind), block.level, data[block.byte_start : block.byte_end].decode("utf-8"))
        for block in extraction.blocks
    ]


def page_texts(extraction: Extraction) -> list[str]:
    data = extraction.text.encode("utf-8")
    return [data[span.byte_start : span.byte_end].decode("utf-8") for span in extraction.pages]


def pdf_of(objects: Sequence[bytes], *, prev: Callable[[int], int] | None = None) -> bytes:
    """A PDF of these objects, numbered from 1; the first is the catalogue. `prev` turns the offset of the
    cross-reference table into its /Prev entry."""
    out = bytearray(b"%PDF-1.7\n")
    offsets: list[int] = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    for offset in offsets:
        out += b"%010d 00000 n \n" % offset
    loop = b"/Prev %d " % prev(start) if prev else b""
    out += b"trailer\n<< /Size %d /Root 1 0 R %s>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        loop,
        start,
    )
    return bytes(out)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s>>\nstream\n%s\nendstream" % (len(data), entries, data)


def pdf_page(content: bytes, *, resources: bytes = b"", more: Sequence[bytes] = ()) -> list[bytes]:
    """Objects of a one-page document: content is a whole stream object; `more` begins at object 6."""
    return [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> %s >> >>" % resources,
        content,
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *more,
    ]


def pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A PDF with one line of text for each string; Latin-1."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * place) for place in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for place, lines in enumerate(pages):
        shown = b"".join(b"(%s) Tj 0 -14 Td " % _escaped(line) for line in lines)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * place)
        )
        objects.append(stream(b"BT /F1 12 Tf 72 720 Td %s ET" % shown))
    return pdf_of(objects)


def _escaped(line: str) -> bytes:
    return line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").encode("latin-1")


def encrypted_pdf(user_password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf([["Only for readers with the password."]]))))
    writer.encrypt(user_password, "the owner's", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def flate_bomb(layers: int, size: int) -> bytes:
    """A content stream that unfolds to `size` bytes through `layers` of compression."""
    data = b"BT /F1 12 Tf (x) Tj ET\n" + b" " * size
    for _ in range(layers):
        data = zlib.compress(data, 9)
    return pdf_of(pdf_page(stream(data, b"/Filter [%s] " % b" ".join([b"/FlateDecode"] * layers))))


def word(build: Callable[[docx.document.Document], None]) -> bytes:
    """A document made by python-docx."""
    document = docx.Document()
    build(document)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def simple_word() -> bytes:
    return word(lambda document: document.add_paragraph("A paragraph of a Word document."))


def package(parts: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


def with_part(document: bytes, name: str, data: bytes) -> bytes:
    """The package with one part replaced or added."""
    with zipfile.ZipFile(io.BytesIO(document)) as archive:
        parts = {entry: archive.read(entry) for entry in archive.namelist()}
    return package({**parts, name: data})


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
