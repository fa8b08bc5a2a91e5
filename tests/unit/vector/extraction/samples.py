"""Small files made on the spot, good ones and hostile ones."""

import io
import zipfile
import zlib
from collections.abc import Callable, Sequence
from email.message import EmailMessage
from pathlib import Path

import docx
from pypdf import PdfReader, PdfWriter

from services.vector.extraction.model import Extraction, Limits
from services.vector.extraction.registry import FORMATS
from services.vector.extraction.writer import TextWriter

GREY = b"/ColorSpace /DeviceGray /BitsPerComponent 8"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
ODT = "application/vnd.oasis.opendocument.text"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def read(module: str, data: bytes, limits: Limits | None = None) -> Extraction:
    """What the format module makes of the bytes, in this process."""
    found = next(entry for entry in FORMATS if entry.module == module)
    writer = TextWriter(limits or Limits())
    found.reader().read(io.BytesIO(data), writer)
    return writer.finish(found.media_type)


def recognised_page(*pages: Sequence[Sequence[tuple[str, str]]]) -> bytes:
    """What Tesseract writes of pages of paragraphs of lines (box, text)."""
    body = ""
    for number, paragraphs in enumerate(pages, start=1):
        body += f"<div class='ocr_page' id='page_{number}' title='image \"a.png\"; bbox 0 0 900 900'>\n"
        for lines in paragraphs:
            body += "<div class='ocr_carea' title=\"bbox 0 0 900 900\">\n<p class='ocr_par' lang='eng'>\n"
            for box, text in lines:
                words = "\n".join(
                    f"<span class='ocrx_word' title='bbox {box}; x_wconf 96'>{word}</span>"
                    for word in text.split()
                )
                body += f"<span class='ocr_line' title=\"bbox {box}; baseline 0 -6\">\n{words}\n</span>\n"
            body += "</p>\n</div>\n"
        body += "</div>\n"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"\n'
        '    "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n <head>\n  <title></title>\n'
        '  <meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>\n'
        "  <meta name='ocr-system' content='tesseract 5.3.0' />\n </head>\n <body>\n"
        f"{body}</body>\n</html>\n"
    ).encode()


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


def scanned_pdf(pages: Sequence[bytes | None], width: int, height: int, entries: bytes = GREY) -> bytes:
    """A PDF of pages that show nothing but a picture of these samples; None is an empty page."""
    kids = b" ".join(b"%d 0 R" % (3 + 3 * place) for place in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
    ]
    for place, picture in enumerate(pages):
        shown = b"" if picture is None else b"q 612 0 0 792 0 0 cm /Im1 Do Q"
        first = 3 + 3 * place
        resources = b"" if picture is None else b"/XObject << /Im1 %d 0 R >>" % (first + 2)
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R /Resources << %s >> >>"
            % (first + 1, resources),
            stream(shown),
            stream(
                zlib.compress(picture or b"", 1),
                b"/Type /XObject /Subtype /Image /Width %d /Height %d /Filter /FlateDecode %s "
                % (width, height, entries),
            ),
        ]
    return pdf_of(objects)


def joined_pdf(documents: Sequence[bytes]) -> bytes:
    """The pages of all of them in one."""
    writer = PdfWriter()
    for document in documents:
        writer.append(io.BytesIO(document))
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def lettering(text: str, scale: int = 8) -> tuple[bytes, int, int]:
    """Grey samples of the text in large letters, with their width and height; capitals of _LETTERS only."""
    rows = [bytearray() for _ in range(7)]
    for char in text:
        for row, pattern in zip(rows, _LETTERS[char], strict=True):
            row.extend(b"".join((b"\0" if dot == "#" else b"\xff") * scale for dot in f"{pattern} "))
    width = len(rows[0]) + 20 * scale
    edge = b"\xff" * (10 * scale)
    blank = b"\xff" * width * 10 * scale
    data = blank + b"".join((edge + bytes(row) + edge) * scale for row in rows) + blank
    return data, width, len(data) // width


_LETTERS = {
    "L": ["#    ", "#    ", "#    ", "#    ", "#    ", "#    ", "#####"],
    "A": [" ### ", "#   #", "#   #", "#####", "#   #", "#   #", "#   #"],
    "M": ["#   #", "## ##", "# # #", "# # #", "#   #", "#   #", "#   #"],
    "P": ["#### ", "#   #", "#   #", "#### ", "#    ", "#    ", "#    "],
    "T": ["#####", "  #  ", "  #  ", "  #  ", "  #  ", "  #  ", "  #  "],
    "E": ["#####", "#    ", "#    ", "#### ", "#    ", "#    ", "#####"],
    "H": ["#   #", "#   #", "#   #", "#####", "#   #", "#   #", "#   #"],
    " ": ["     "] * 7,
}


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


_OFFICE_RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
_PRESENTATION = "http://schemas.openxmlformats.org/presentationml/2006/main"
_SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def relations(targets: Sequence[tuple[str, str]]) -> bytes:
    """A relations part: rId1, rId2, ... of (kind, target)."""
    nodes = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE_RELATIONS}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets, start=1)
    )
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'<Relationships xmlns="{space}">{nodes}</Relationships>'.encode()


def slide(shapes: str, attributes: str = "") -> bytes:
    """A slide of these shapes, as XML in the prefixes p and a."""
    return (
        f'<p:sld xmlns:p="{_PRESENTATION}" xmlns:a="{_DRAWING}" {attributes}><p:cSld><p:spTree>{shapes}'
        "</p:spTree></p:cSld></p:sld>"
    ).encode()


def shape(kind: str, *paragraphs: str | tuple[int, str]) -> str:
    """A shape with paragraphs, some with their depth; `kind` is that of a placeholder or empty."""
    held = f'<p:ph type="{kind}"/>' if kind else ""
    lines = [line if isinstance(line, tuple) else (0, line) for line in paragraphs]
    text = "".join(f'<a:p><a:pPr lvl="{depth}"/><a:r><a:t>{line}</a:t></a:r></a:p>' for depth, line in lines)
    return f"<p:sp><p:nvSpPr><p:nvPr>{held}</p:nvPr></p:nvSpPr><p:txBody>{text}</p:txBody></p:sp>"


def slide_table(rows: Sequence[Sequence[str]]) -> str:
    cells = "".join(
        "<a:tr>"
        + "".join(
            f"<a:tc><a:txBody><a:p><a:r><a:t>{cell}</a:t></a:r></a:p></a:txBody></a:tc>" for cell in row
        )
        + "</a:tr>"
        for row in rows
    )
    table = f"<a:graphic><a:graphicData><a:tbl>{cells}</a:tbl></a:graphicData></a:graphic>"
    return f"<p:graphicFrame>{table}</p:graphicFrame>"


def diagram(*points: str) -> bytes:
    """The data of a SmartArt with these points, which the file has in the opposite order."""
    nodes = "".join(
        f'<dgm:pt modelId="{n}"><dgm:t><a:p><a:r><a:t>{text}</a:t></a:r></a:p></dgm:t></dgm:pt>'
        for n, text in reversed(list(enumerate(points, start=1)))
    )
    order = "".join(
        f'<dgm:cxn modelId="c{n}" srcId="0" destId="{n}" srcOrd="{n}"/>' for n in range(1, len(points) + 1)
    )
    space = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
    return (
        f'<dgm:dataModel xmlns:dgm="{space}" xmlns:a="{_DRAWING}"><dgm:ptLst><dgm:pt modelId="0" type="doc"/>'
        f"{nodes}</dgm:ptLst><dgm:cxnLst>{order}</dgm:cxnLst></dgm:dataModel>"
    ).encode()


def presentation(slides: Sequence[bytes], more: dict[str, bytes] | None = None) -> bytes:
    """A presentation of these slide parts."""
    ids = "".join(f'<p:sldId id="{255 + n}" r:id="rId{n}"/>' for n in range(1, len(slides) + 1))
    return package(
        {
            "_rels/.rels": relations([("officeDocument", "ppt/presentation.xml")]),
            "ppt/presentation.xml": (
                f'<p:presentation xmlns:p="{_PRESENTATION}" xmlns:r="{_OFFICE_RELATIONS}">'
                f"<p:sldIdLst>{ids}</p:sldIdLst></p:presentation>"
            ).encode(),
            "ppt/_rels/presentation.xml.rels": relations(
                [("slide", f"slides/slide{n}.xml") for n in range(1, len(slides) + 1)]
            ),
            **{f"ppt/slides/slide{n}.xml": data for n, data in enumerate(slides, start=1)},
            **(more or {}),
        }
    )


def slides(titles: Sequence[str]) -> bytes:
    """A presentation with a slide for each title."""
    return presentation([slide(shape("title", title)) for title in titles])


def sheet(rows: Sequence[Sequence[object]], *, first: int = 1) -> bytes:
    """A worksheet; a cell is a text, a number, None for none, or raw XML of a whole c element."""

    def cell(value: object, reference: str) -> str:
        if value is None:
            return ""
        if isinstance(value, str) and value.startswith("<c"):
            return value.replace("<c", f'<c r="{reference}"', 1)
        if isinstance(value, str):
            return f'<c r="{reference}" t="inlineStr"><is><t>{value}</t></is></c>'
        return f'<c r="{reference}"><v>{value}</v></c>'

    body = "".join(
        f'<row r="{number}">'
        + "".join(cell(value, f"{chr(65 + place)}{number}") for place, value in enumerate(row))
        + "</row>"
        for number, row in enumerate(rows, start=first)
        if row
    )
    return f'<worksheet xmlns="{_SHEET}"><sheetData>{body}</sheetData></worksheet>'.encode()


def workbook(
    sheets: dict[str, bytes], *, attributes: str = "", styles: str = "", shared: Sequence[str] = ()
) -> bytes:
    """A workbook of these sheet parts; `attributes` go to the last sheet."""
    names = list(sheets)
    nodes = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}" {attributes if n == len(names) else ""}/>'
        for n, name in enumerate(names, start=1)
    )
    strings = "".join(f"<si><t>{text}</t></si>" for text in shared)
    return package(
        {
            "_rels/.rels": relations([("officeDocument", "xl/workbook.xml")]),
            "xl/workbook.xml": (
                f'<workbook xmlns="{_SHEET}" xmlns:r="{_OFFICE_RELATIONS}"><sheets>{nodes}</sheets>'
                "</workbook>"
            ).encode(),
            "xl/_rels/workbook.xml.rels": relations(
                [
                    *(("worksheet", f"worksheets/sheet{n}.xml") for n in range(1, len(names) + 1)),
                    ("styles", "styles.xml"),
                    ("sharedStrings", "sharedStrings.xml"),
                ]
            ),
            "xl/styles.xml": f'<styleSheet xmlns="{_SHEET}">{styles}</styleSheet>'.encode(),
            "xl/sharedStrings.xml": f'<sst xmlns="{_SHEET}">{strings}</sst>'.encode(),
            **{f"xl/worksheets/sheet{n}.xml": data for n, data in enumerate(sheets.values(), start=1)},
        }
    )


def book(sheets: dict[str, Sequence[Sequence[object]]]) -> bytes:
    """A workbook with these rows."""
    return workbook({name: sheet(rows) for name, rows in sheets.items()})


def open_document(body: str, more: dict[str, bytes] | None = None) -> bytes:
    """An OpenDocument text with this body, as XML in the prefixes text, table, office and draw."""
    space = "urn:oasis:names:tc:opendocument:xmlns"
    names = " ".join(f'xmlns:{name}="{space}:{full}:1.0"' for name, full in _ODF_NAMES.items())
    content = (
        f"<office:document-content {names}><office:body><office:text>{body}</office:text></office:body>"
        "</office:document-content>"
    )
    return package({"mimetype": ODT.encode(), "content.xml": content.encode(), **(more or {})})


_ODF_NAMES = {"office": "office", "text": "text", "table": "table", "draw": "drawing"}


def epub(chapters: Sequence[str], more: dict[str, bytes] | None = None, prolog: str = "") -> bytes:
    """A book with these chapters, as the inside of their bodies."""
    numbers = range(1, len(chapters) + 1)
    items = "".join(
        f'<item id="c{n}" href="text/c%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in numbers
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in numbers)
    return package(
        {
            "mimetype": b"application/epub+zip",
            "META-INF/container.xml": (
                b'<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
                b'<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>'
            ),
            "OEBPS/book.opf": (
                '<package xmlns="http://www.idpf.org/2007/opf">'
                '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>A book</dc:title></metadata>'
                f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
            ).encode(),
            **{
                f"OEBPS/text/c {n}.xhtml": f"{prolog}<html><body>{inside}</body></html>".encode()
                for n, inside in zip(numbers, chapters, strict=True)
            },
            **(more or {}),
        }
    )


def mail(
    text: str,
    attachments: Sequence[tuple[str, str, bytes]] = (),
    *,
    subject: str = "The meeting",
    html: str = "",
) -> bytes:
    """A mail; an attachment is its name, media type and bytes."""
    message = EmailMessage()
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "bob@example.org"
    message["Date"] = "Tue, 01 Oct 2024 12:34:56 +0000"
    message["Subject"] = subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    for name, media_type, data in attachments:
        kind, _, sub = media_type.partition("/")
        message.add_attachment(data, maintype=kind, subtype=sub, filename=name)
    return message.as_bytes()


def write(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
