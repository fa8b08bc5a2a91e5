"""Scans with a stamp, and what is drawn like them."""

import zlib

import pytest

from tests.unit.vector.extraction import samples

COLOUR = b"/ColorSpace /DeviceRGB /BitsPerComponent 8"
PICTURE = b"q 612 0 0 792 0 0 cm /Im1 Do Q "
STAMP = b"BT /F1 12 Tf 20 20 Td (Elmsund archive 12) Tj ET "


def drawn(content: bytes, entries: bytes = samples.GREY, *, kind: int = 1, width: int = 700) -> bytes:
    """A page that draws this. Its picture /Im1 is another for each `kind`; the form /Fm1 shows it too."""
    height = 900
    packed = zlib.compress(bytes(width * height * 3), 9) + b"\0" * kind
    return samples.pdf_of(
        samples.pdf_page(
            samples.stream(content),
            resources=b"/XObject << /Im1 6 0 R /Fm1 7 0 R >>",
            more=[
                samples.stream(
                    packed,
                    b"/Type /XObject /Subtype /Image /Width %d /Height %d /Filter /FlateDecode %s "
                    % (width, height, entries),
                ),
                samples.stream(
                    b"q 306 0 0 396 0 0 cm /Im1 Do Q",
                    b"/Type /XObject /Subtype /Form /BBox [0 0 306 396] /Matrix [2 0 0 2 0 0] "
                    b"/Resources << /XObject << /Im1 6 0 R /Fm1 7 0 R >> >> ",
                ),
            ],
        )
    )


def stamp(text: str) -> bytes:
    return STAMP.replace(b"Elmsund archive 12", text.encode())


def unread(*pages: bytes) -> str:
    """The numbers of the pages that are named as scans."""
    warnings = samples.read("pdf", samples.joined_pdf(pages)).warnings
    named = [warning for warning in warnings if "no text was recognised in it" in warning]
    return named[0].split(" shows")[0].removeprefix("page ") if named else ""


@pytest.mark.parametrize(
    ("content", "entries"),
    [
        (PICTURE + STAMP, samples.GREY),
        (PICTURE + STAMP, b"/ColorSpace /DeviceRGB /BitsPerComponent 1"),
        (PICTURE + STAMP, COLOUR),
        (b"/Fm1 Do " + STAMP, samples.GREY),
        (b"q 0 792 -612 0 612 0 cm /Im1 Do Q " + STAMP, samples.GREY),
        (b"q 612 0 0 396 0 396 cm /Im1 Do Q q 612 0 0 300 0 0 cm /Im1 Do Q " + STAMP, samples.GREY),
        (PICTURE + b"q 3 Tr Q " + STAMP, samples.GREY),
    ],
    ids=["grey", "black", "colour", "in a form", "turned", "in strips", "as it was"],
)
def test_a_scan_with_a_stamp_is_named(content: bytes, entries: bytes) -> None:
    extraction = samples.read("pdf", drawn(content, entries))
    assert extraction.text == "Elmsund archive 12"
    assert extraction.warnings == ("page 1 shows a picture, and no text was recognised in it",)


@pytest.mark.parametrize(
    ("content", "width"),
    [
        (PICTURE + stamp("A page of its own words. " * 12), 700),
        (STAMP + PICTURE, 700),
        (PICTURE + b"3 Tr " + STAMP, 700),
        (PICTURE + b"BT /F1 12 Tf 7 Tr (read) Tj 0 Tr ( stamp) Tj ET", 700),
        (b"q 400 0 0 500 0 0 cm /Im1 Do Q " + STAMP, 700),
        (PICTURE + STAMP, 400),
        (PICTURE + STAMP + b"0 0 m 10 10 l S\n" * 4_000, 700),
        (STAMP, 700),
    ],
    ids=["text", "below", "unseen", "clipping", "in a part", "coarse", "drawing", "not shown"],
)
def test_a_page_whose_text_is_all_there_is_not_named(content: bytes, width: int) -> None:
    assert unread(drawn(content, width=width)) == ""


def test_slides_and_covers_are_no_scans() -> None:
    titles = [stamp(title) for title in ("Tides", "Lamps", "Keepers")]
    own = [drawn(PICTURE + title, COLOUR, kind=kind) for kind, title in enumerate(titles)]
    assert unread(*own) == ""
    shared = [drawn(PICTURE + title) for title in titles]
    assert unread(*shared, samples.pdf([["The end."]])) == ""
    # The background of a slide that has text enough is one, too.
    long = drawn(PICTURE + stamp("A page of its own words. " * 12))
    assert unread(long, shared[0]) == ""
    report = [drawn(PICTURE + stamp("Report"), COLOUR), samples.pdf([["What was found."]])]
    assert unread(*report) == ""


def test_scans_in_colour_are_known_by_their_stamp() -> None:
    stamped = [drawn(PICTURE + stamp(f"Archive {kind}"), COLOUR, kind=kind) for kind in range(3)]
    assert unread(*stamped) == "1, 2, 3"
    assert unread(*stamped, samples.pdf([["A letter."]])) == "1, 2, 3"
    plain = [drawn(PICTURE, COLOUR, kind=kind) for kind in range(4, 7)]
    assert "page 1 shows" in str(samples.read("pdf", samples.joined_pdf([stamped[0], *plain])).warnings)


def test_pages_may_share_a_list_of_all_pictures() -> None:
    objects = samples.pdf_page(
        samples.stream(PICTURE + STAMP),
        resources=b"/XObject 7 0 R",
        more=[
            samples.stream(
                zlib.compress(bytes(700 * 900)),
                b"/Type /XObject /Subtype /Image /Width 700 /Height 900 /Filter /FlateDecode %s "
                % samples.GREY,
            ),
            b"<< /Im1 6 0 R /Im2 6 0 R >>",
        ],
    )
    objects[1] = b"<< /Type /Pages /Kids [3 0 R 8 0 R] /Count 2 >>"
    objects.append(objects[2].replace(b"4 0 R", b"9 0 R"))
    objects.append(samples.stream(b"BT /F1 12 Tf (Only text here) Tj ET"))
    assert "page 1 shows" in samples.read("pdf", samples.pdf_of(objects)).warnings[0]


@pytest.mark.parametrize(
    "content",
    [
        b"q " * 9 + b"1 0 cm Q Q Q " + STAMP,
        PICTURE + b"/T Tr " + STAMP,
        b"Do /Fm9 Do " + STAMP,
        PICTURE + b"Tr" + STAMP,
    ],
)
def test_broken_drawings_cost_nothing(content: bytes) -> None:
    assert samples.read("pdf", drawn(content)).text == "Elmsund archive 12"
