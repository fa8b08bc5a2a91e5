import pytest

from services.vector.extraction.errors import DocumentEmptyError, DocumentTooLargeError
from services.vector.extraction.model import Limits
from services.vector.extraction.writer import TextWriter
from tests.unit.vector.extraction import samples


def test_structure_is_recorded_where_it_stands() -> None:
    writer = TextWriter(Limits())
    writer.heading("Größe\n des Baums", 2)
    writer.paragraph("  Text\r\nmore  ")
    writer.list_item("one")
    writer.list_item("two", depth=1)
    writer.table([["a", "b"], ["", ""], ["c", "d\ne"]])
    writer.table([["f", "g"]])
    writer.code("x = 1\n    y = 2\n")
    extraction = writer.finish("text/html")
    assert extraction.text == (
        "Größe des Baums\n\nText\nmore\n\n- one\n  - two\n\na | b\nc | d e\n\nf | g\n\nx = 1\n    y = 2"
    )
    assert samples.blocks(extraction) == [
        ("heading", 2, "Größe des Baums"),
        ("list", 0, "- one\n  - two"),
        ("table", 0, "a | b\nc | d e"),
        ("table", 0, "f | g"),
        ("code", 0, "x = 1\n    y = 2"),
    ]


def test_a_sentence_may_run_over_a_page_end() -> None:
    writer = TextWriter(Limits())
    for page in ("The sentence goes", "on here.", "", "New page."):
        writer.page(page)
    extraction = writer.finish("application/pdf")
    assert extraction.text == "The sentence goes\non here.\n\nNew page."
    assert samples.page_texts(extraction) == ["The sentence goes", "on here.", "", "New page."]


@pytest.mark.parametrize(
    ("limits", "unit"),
    [(Limits(text_bytes=10), "bytes of text"), (Limits(pages=1), "pages"), (Limits(blocks=1), "blocks")],
)
def test_stops_at_the_limits(limits: Limits, unit: str) -> None:
    writer = TextWriter(limits)

    def write() -> None:
        for _ in range(3):
            writer.heading("ü ü", 1)
            writer.page("text")

    with pytest.raises(DocumentTooLargeError) as caught:
        write()
    assert caught.value.metadata["unit"] == unit


def test_nothing_to_see_is_an_empty_document() -> None:
    writer = TextWriter(Limits())
    writer.page("")
    writer.paragraph("\u200b")
    with pytest.raises(DocumentEmptyError):
        writer.finish("text/plain")


def test_a_part_that_fails_leaves_nothing_whatever_went_wrong() -> None:
    writer = TextWriter(Limits())
    writer.paragraph("before")

    def fail() -> None:
        with writer.part("a.docx"):
            writer.list_item("half of it")
            raise ValueError("the parser stumbled")

    with pytest.raises(ValueError, match="stumbled"):
        fail()
    writer.list_item("after")
    extraction = writer.finish("text/plain")
    assert extraction.text == "before\n\n- after"
    assert extraction.places == ()
