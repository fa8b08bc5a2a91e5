import json

import pytest

from services.vector.extraction import framing
from services.vector.extraction.errors import DocumentTooLargeError
from services.vector.extraction.model import Block, BlockKind, Extraction, Limits, Place, Span
from services.vector.extraction.needs import Picture

EXTRACTION = Extraction(
    "Größe\n\nText",
    "Größe",
    "text/html",
    (Span(0, 7), Span(9, 13)),
    (Block(BlockKind.HEADING, 0, 7, 1, "Größe"),),
    (Place(0, "Blatt 1!B2"), Place(9, "Seite 2", 2, 3)),
    ("Blatt 3 fehlt",),
)


def test_an_extraction_comes_back_as_it_was() -> None:
    assert framing.decode_answer(b"".join(framing.encode_extraction(EXTRACTION))) == EXTRACTION


def test_an_error_comes_back_as_it_was() -> None:
    with pytest.raises(DocumentTooLargeError) as caught:
        framing.decode_answer(b"".join(framing.encode_error(DocumentTooLargeError.over(3, "pages"))))
    assert caught.value.metadata == {"limit": "3", "unit": "pages"}


def test_a_request_comes_back_as_it_was() -> None:
    request = framing.Request(
        "/tmp/ü", "ü.pdf", "application/pdf", Limits(pages=3), True, ((2, "ö"), (0, ""))
    )
    assert framing.decode_request(framing.encode_request(request)) == request


def answer(header: object, text: bytes = b"text") -> bytes:
    data = json.dumps(header).encode()
    return len(data).to_bytes(4, "big") + data + text


_MORE: dict[str, object] = {"places": [], "warnings": []}


def extraction(**changes: object) -> dict[str, object]:
    return {"extraction": {"title": None, "media_type": "a/b", "pages": [], "blocks": [], **_MORE, **changes}}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xff\xff\xff",
        b"Traceback (most recent call last)",
        answer([]),
        answer("x"),
        answer({}),
        answer({"error": "x"}),
        answer({"error": {"reason": "NO_SUCH", "message": "x", "metadata": {}}}),
        answer(extraction(), b"\xff"),
        answer(extraction(pages=[[0, 5]])),
        answer(extraction(pages=[[2, 1]])),
        answer(extraction(pages=[[-1, 1]])),
        answer(extraction(pages=[[0, True]])),
        answer(extraction(pages=[[0, 2], [1, 3]])),
        answer(extraction(blocks=[["heading", 0, 1, 1]])),
        answer(extraction(blocks=[["picture", 0, 1, 1, ""]])),
        answer(extraction(pages=[[0, 1]]), "ü".encode()),
        (5).to_bytes(4, "big") + b"[" * 5,
        (10**5).to_bytes(4, "big") + b"[" * 10**5,
    ],
)
def test_anything_else_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  json and the codecs say it in their own words
        framing.decode_answer(data)


def test_pictures_come_back_as_they_were() -> None:
    pictures = [Picture(0, b"one"), Picture(7, b"")]
    assert framing.decode_answer(b"".join(framing.encode_pictures(pictures))) == pictures


@pytest.mark.parametrize("pictures", [[[0, 5]], [[0, -1]], [[-1, 2]], [["0", 2]], [[0]], 7, [[0, 3], [0, 3]]])
def test_pictures_that_are_not_there_are_no_answer(pictures: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  any words will do
        framing.decode_answer(answer({"pictures": pictures}))
