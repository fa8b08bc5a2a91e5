import io
import random

import pytest

from services.vector.extraction.detection import detect
from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentUnreadableError,
    FormatUnsupportedError,
)
from services.vector.extraction.model import Limits
from tests.unit.vector.extraction import samples

PDF = samples.pdf([["Hello"]])
WORD = samples.simple_word()
EXE = b"MZ\x90\x00\x03\x00\x00\x00" + bytes(200)
HTML = b"<!DOCTYPE html><html><body>Hello</body></html>"


def module(data: bytes, filename: str, claimed: str = "") -> str:
    return detect(io.BytesIO(data), filename, claimed, Limits()).module


@pytest.mark.parametrize(
    ("data", "filename", "claimed", "expected"),
    [
        (PDF, "a.pdf", "", "pdf"),
        (PDF, "a.PDF", "text/plain", "pdf"),
        (PDF, "a", "", "pdf"),
        (b"\r\n" * 20 + PDF, "a.pdf", "", "pdf"),
        (WORD, "a.docx", "application/octet-stream", "docx"),
        (WORD, "a", "", "docx"),
        (HTML, "a.html", "", "html"),
        (HTML, "a", "", "html"),
        (HTML, "a.txt", "", "plain"),
        (b"# Title", "a.md", "text/plain", "markdown"),
        (b"a,b\n1,2", "a.csv", "application/vnd.ms-excel", "csv"),
        (b"{}", "a.json", "", "json"),
        (b"{}\n{}", "a.ndjson", "", "json"),
        (b"{}", "a.bin", "application/json; charset=utf-8", "json"),
        (b"BM is a word here, MZ too", "a", "", "plain"),
        (b"MZ begins this text", "a.txt", "", "plain"),
        (samples.slides(["Size"]), "a.pptx", "", "pptx"),
        (samples.slides(["Size"]), "a.ppt", "application/vnd.ms-powerpoint", "pptx"),
        (samples.book({"One": [["a"]]}), "a.xlsx", "", "xlsx"),
        (samples.open_document("<text:p>a</text:p>"), "a.odt", "", "odt"),
        (samples.epub(["<p>a</p>"]), "a.epub", "", "epub"),
        (b"{\\rtf1 hello}", "a.rtf", "", "rtf"),
        (b"From: a\n\nb", "a.eml", "", "eml"),
        (b"From: a\n\nb", "a", "message/rfc822", "eml"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\nx", "a.vtt", "", "vtt"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\nx", "a", "", "vtt"),
        (b"WEBVTT is a format", "a.txt", "", "plain"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nx", "a.srt", "", "vtt"),
        (b"1\n00:00:01,000 --> 00:00:02,000\nx", "a", "application/x-subrip", "vtt"),
        (samples.recognised_page([[("1 2 3 4", "x")]]), "a.hocr", "", "hocr"),
        (samples.recognised_page([[("1 2 3 4", "x")]]), "a.html", "text/html", "hocr"),
        (samples.recognised_page([[("1 2 3 4", "x")]]), "a", "", "hocr"),
        (samples.recognised_page([[("1 2 3 4", "x")]]), "a.txt", "", "plain"),
        (b"<div class='ocr_page'>x</div>", "a", "text/vnd.hocr+html", "hocr"),
        (b"<a/>", "a.xml", "", "xml"),
        (b"def a(): ...", "a.py", "", "source"),
        (b"The minutes say 12 boats.", "Minutes 12.05", "", "plain"),
        (b'resource "boat" {}', "main.tf", "application/octet-stream", "plain"),
        (b"\\section{Boats}", "paper.tex", "text/x-tex", "plain"),
        ("Häfen ".encode("cp1252") * 2000, "notes v1.2", "", "plain"),
        ("Häfen ".encode("utf-16") * 2000, "notes v1.2", "", "plain"),
        ("ä".encode() * 1024 + b"x" + "ä".encode() * 4000, "notes v1.2", "", "plain"),
        ("Häfen".encode("utf-16"), "notes v1.2", "", "plain"),
        ("Häfen für Boote".encode("cp1252"), "notes v1.2", "", "plain"),
        (HTML, "page v1.2", "", "html"),
        (samples.package({"hello.txt": b"hello"}), "a.zip", "", "zip"),
        (samples.package({"a.pdf": PDF}, compression=0), "a.zip", "", "zip"),
    ],
)
def test_finds_the_format(data: bytes, filename: str, claimed: str, expected: str) -> None:
    assert module(data, filename, claimed) == expected


@pytest.mark.parametrize(
    ("data", "filename", "media_type"),
    [
        (EXE, "a.pdf", "application/vnd.microsoft.portable-executable"),
        (EXE, "a.txt", "application/vnd.microsoft.portable-executable"),
        (b"\x7fELF\x02\x01", "a", "application/x-elf"),
        (HTML, "a.pdf", "text/html"),
        (HTML + PDF, "a.pdf", "text/html"),
        (b"just text", "a.docx", "text/plain"),
        (WORD, "a.pdf", samples.DOCX),
        (PDF, "a.docx", "application/pdf"),
        (PDF, "a.html", "application/pdf"),
        (b"{\\rtf1 hello}", "a.docx", "application/rtf"),
        (samples.slides(["Size"]), "a.xlsx", samples.PPTX),
        (samples.book({"One": [["a"]]}), "a.pptx", samples.XLSX),
        (samples.epub(["<p>a</p>"]), "a.zip", "application/epub+zip"),
        (WORD, "a.odt", samples.DOCX),
        (
            samples.package({"[Content_Types].xml": b"<a/>", "xl/workbook.bin": b""}),
            "a.xlsb",
            "application/vnd.openxmlformats-package",
        ),
        (
            samples.package({"META-INF/MANIFEST.MF": b"a", "b.xml": b"<b/>"}),
            "a.zip",
            "application/java-archive",
        ),
        (PDF, "a.eml", "application/pdf"),
        (PDF, "a.xml", "application/pdf"),
        (EXE, "a.py", "application/vnd.microsoft.portable-executable"),
        (b"just text", "a.rtf", "text/plain"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "a.png", "image/png"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "a.msg", "application/x-ole-storage"),
    ],
)
def test_refuses_what_is_not_read_and_names_it(data: bytes, filename: str, media_type: str) -> None:
    with pytest.raises(FormatUnsupportedError) as caught:
        module(data, filename)
    assert caught.value.metadata["media_type"] == media_type
    assert caught.value.metadata["filename"] == filename
    assert "pdf" in caught.value.metadata["supported"]
    assert "docx" in caught.value.metadata["supported"]


@pytest.mark.parametrize(
    ("extension", "beginning"),
    [
        ("pdf", "%PDF-"),
        ("rtf", r"{\rtf"),
        *((name, "PK") for name in ("docx", "pptx", "xlsx", "odt", "epub", "zip")),
    ],
)
def test_bytes_that_are_nothing_are_not_called_text(extension: str, beginning: str) -> None:
    data = random.Random(7).randbytes(3000)
    with pytest.raises(FormatUnsupportedError) as caught:
        module(data, f"a.{extension}")
    assert caught.value.metadata["media_type"] == "application/octet-stream"
    expected = (
        f"the name says {extension}, which begins with {beginning}; the bytes are neither that nor a text"
    )
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize(
    "data",
    [
        *(random.Random(seed).randbytes(size) for seed in range(20) for size in (12, 40, 400, 5000)),
        b"\0\x01\0\0name\0\0\0\0glyf\0\0",
        b"OBJ1" + b"words and words " * 20 + b"\x02\x03",
        "\0".join(["boats", "prices", "names"]).encode(),
    ],
)
def test_bytes_without_a_known_name_are_no_text(data: bytes) -> None:
    with pytest.raises(FormatUnsupportedError, match="application/octet-stream is not read here"):
        module(data, "a.dat")


def test_a_text_that_claims_to_be_something_else_is_not_read() -> None:
    with pytest.raises(FormatUnsupportedError, match="application/postscript"):
        module(b"words", "a.eps", "application/postscript")


@pytest.mark.parametrize("text", ["Häfen " * 2000, "港は深い。" * 2000, "порт " * 2000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_text_under_a_wrong_name_is_called_one(text: str, encoding: str) -> None:
    with pytest.raises(FormatUnsupportedError, match="the bytes are text/plain"):
        module(text.encode(encoding), "a.pdf")


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        (PDF + WORD, "a.pdf"),
        (samples.package({"a": b"%PDF-1.7\n", "word/document.xml": b"<a/>"}, compression=0), "a.docx"),
        (samples.package({"a.txt": b"x %PDF-1.7\n"}, compression=0), "a.zip"),
    ],
)
def test_refuses_two_formats_at_once(data: bytes, filename: str) -> None:
    with pytest.raises(FormatUnsupportedError, match="at once"):
        module(data, filename)


def test_an_office_file_with_a_password_says_so() -> None:
    data = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le")
    with pytest.raises(DocumentUnreadableError, match="password"):
        module(data, "a.xlsx")


def test_no_bytes_is_an_empty_document() -> None:
    with pytest.raises(DocumentEmptyError):
        module(b"", "a.pdf")
