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


def test_only_what_a_reader_reads_in_order_is_a_chapter() -> None:
    chapters = [
        "<img src='cover.png'>",
        "<h2>Contents",
        "<h1>Chapter 1",
        "<p>A note",
        "<h1>Chapter 2",
        "<p>Map",
    ]
    items, spine = "", ""
    for number in range(1, len(chapters) + 1):
        nav = 'properties="scripted nav"' if number == 2 else ""
        linear = 'linear="no"' if number in (4, 6) else 'linear="yes"'
        href = f'href="text/c%20{number}.xhtml"'
        items += f'<item id="c{number}" {href} media-type="application/xhtml+xml" {nav}/>'
        spine += f'<itemref idref="c{number}" {linear}/>'
    package = f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>".encode()
    extraction = read("epub", epub(chapters, {"OEBPS/book.opf": package}))
    assert extraction.text == "Contents\n\nChapter 1\n\nA note\n\nChapter 2\n\nMap"
    labels = [place.label for place in extraction.places]
    assert labels == ["contents", "chapter 1", "supplement 1", "chapter 2", "supplement 2"]


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


def test_text_behind_what_is_closed_where_it_opens_is_read() -> None:
    head = "</body><head><title/><script src='x.js'/></head><body>"
    extraction = read("epub", epub([f"{head}<p>first</p>", "<p>second</p><script src='x'/><p>third</p>"]))
    assert extraction.text == "first\n\nsecond\n\nthird"


def test_a_cover_with_words_for_its_picture_is_no_chapter() -> None:
    extraction = read(
        "epub", epub(["<img src='c.png' alt='The cover'/>", "<p>Map: <img alt='the isle'/></p>"])
    )
    assert extraction.text == "Map: the isle"
    assert [place.label for place in extraction.places] == ["chapter 1"]
