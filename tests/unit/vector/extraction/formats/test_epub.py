import pytest

from services.vector.extraction.errors import DocumentUnreadableError
from tests.unit.vector.extraction.samples import epub, read

PUBLIC = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.1//EN" "http://www.w3.org/TR/xhtml11/DTD/xhtml11.dtd">'


def test_chapters_in_reading_order_with_their_places() -> None:
    extraction = read(
        "epub", epub(["<h1>One</h1><p>Fish &amp; chips</p>", "<h1>Two</h1><p>b"], prolog=PUBLIC)
    )
    assert extraction.text == "One\n\nFish & chips\n\nTwo\n\nb"
    assert extraction.title == "A book"
    assert [place.label for place in extraction.places] == ["chapter 1", "chapter 2"]


def test_a_chapter_that_is_missing_is_named() -> None:
    book = epub(["<p>a"], {"OEBPS/book.opf": _spine(["text/c%201.xhtml", "gone.xhtml"])})
    assert read("epub", book).warnings == ("chapter 2 is missing in the file",)


def _spine(names: list[str]) -> bytes:
    items = "".join(
        f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(names)
    )
    spine = "".join(f'<itemref idref="i{n}"/>' for n in range(len(names)))
    return f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>".encode()


def test_a_locked_book_says_so() -> None:
    lock = (
        b"<encryption><EncryptedData><CipherData><CipherReference URI='OEBPS/text/c%201.xhtml'/></CipherData>"
        b"</EncryptedData></encryption>"
    )
    with pytest.raises(DocumentUnreadableError, match="encrypted"):
        read("epub", epub(["<p>a"], {"META-INF/encryption.xml": lock}))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_declarations_in_a_chapter_are_refused(encoding: str) -> None:
    chapter = '<!DOCTYPE html [<!ENTITY a SYSTEM "file:///etc/passwd">]><html><body>&a;</body></html>'
    book = epub(["<p>a"], {"OEBPS/text/c 1.xhtml": chapter.encode(encoding)})
    with pytest.raises(DocumentUnreadableError, match="DOCTYPE"):
        read("epub", book)
