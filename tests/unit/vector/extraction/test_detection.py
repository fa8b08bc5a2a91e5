import io

import pytest

from services.vector.extraction.detection import detect
from services.vector.extraction.errors import DocumentEmptyError, FormatUnsupportedError
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
        (b"{\\rtf1 hello}", "a.rtf", "application/rtf"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "a.png", "image/png"),
        (b"From: a\n\nb", "a.eml", "message/rfc822"),
        (
            samples.package({"xl/workbook.xml": b"<a/>"}),
            "a.xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        ),
        (samples.package({"mimetype": b"application/epub+zip"}), "a.epub", "application/epub+zip"),
        (samples.package({"hello.txt": b"hello"}), "a.zip", "application/zip"),
    ],
)
def test_refuses_what_is_not_read_and_names_it(data: bytes, filename: str, media_type: str) -> None:
    with pytest.raises(FormatUnsupportedError) as caught:
        module(data, filename, "message/rfc822" if filename.endswith("eml") else "")
    assert caught.value.metadata["media_type"] == media_type
    assert caught.value.metadata["filename"] == filename
    assert "pdf" in caught.value.metadata["supported"]
    assert "docx" in caught.value.metadata["supported"]


@pytest.mark.parametrize(
    ("data", "filename"),
    [
        (PDF + WORD, "a.pdf"),
        (samples.package({"a": b"%PDF-1.7\n", "word/document.xml": b"<a/>"}, compression=0), "a.docx"),
    ],
)
def test_refuses_two_formats_at_once(data: bytes, filename: str) -> None:
    with pytest.raises(FormatUnsupportedError, match="at once"):
        module(data, filename)


def test_no_bytes_is_an_empty_document() -> None:
    with pytest.raises(DocumentEmptyError):
        module(b"", "a.pdf")
