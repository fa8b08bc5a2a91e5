import pytest

from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.model import Place
from tests.unit.vector.extraction import samples
from tests.unit.vector.extraction.samples import blocks, page_texts, read, shape, slide, slide_table


def test_a_slide_is_a_page_with_its_title_lists_table_and_notes() -> None:
    notes = slide(shape("body", "Say this slowly.") + shape("sldNum", "2")).replace(b"p:sld ", b"p:notes ", 1)
    data = samples.presentation(
        [
            slide(
                shape("body", "First point", (1, "Under it"))
                + shape("title", "The plan")
                + shape("ftr", "ACME")
            ),
            slide(shape("", "Free text") + slide_table([["Colour", "Price"], ["Red", "12"]])),
        ],
        {
            "ppt/slides/_rels/slide2.xml.rels": samples.relations([("notesSlide", "../notesSlides/n.xml")]),
            "ppt/notesSlides/n.xml": notes.replace(b"</p:sld>", b"</p:notes>"),
        },
    )
    extraction = read("pptx", data)
    assert page_texts(extraction) == [
        "The plan\n\n- First point\n  - Under it",
        "Free text\n\nColour | Price\nRed | 12\n\nNotes: Say this slowly.",
    ]
    assert blocks(extraction) == [
        ("heading", 1, "The plan"),
        ("list", 0, "- First point\n  - Under it"),
        ("table", 0, "Colour | Price\nRed | 12"),
    ]
    assert extraction.places == (Place(0, "slide 1", 1), Place(38, "slide 2", 2))
    assert extraction.title == "The plan"


def test_slides_come_in_the_order_of_the_show() -> None:
    data = samples.slides(["First", "Second"])
    swapped = samples.with_part(
        data,
        "ppt/_rels/presentation.xml.rels",
        samples.relations([("slide", "slides/slide2.xml"), ("slide", "slides/slide1.xml")]),
    )
    assert page_texts(read("pptx", swapped)) == ["Second", "First"]


def test_a_hidden_and_a_broken_slide_are_named() -> None:
    data = samples.presentation(
        [
            slide(shape("", "Seen")),
            slide(shape("", "Secret"), 'show="0"'),
            b"<p:sld",
            slide(shape("", "Last")),
        ]
    )
    extraction = read("pptx", data)
    assert page_texts(extraction) == ["Seen", "", "", "Last"]
    assert "Secret" not in extraction.text
    assert len(extraction.warnings) == 2
    assert "slide 2 is hidden" in extraction.warnings[0]
    assert "slide 3 was not read" in extraction.warnings[1]
    assert extraction.places[-1].label == "slide 4"


def test_a_file_without_slides_is_refused() -> None:
    with pytest.raises(DocumentUnreadableError, match="no slides"):
        read("pptx", samples.presentation([]))


def test_notes_that_are_broken_are_named_and_cost_no_slide() -> None:
    def with_notes(notes: bytes) -> bytes:
        return samples.presentation(
            [slide(shape("", "Seen")), slide(shape("", "Last"))],
            {
                "ppt/slides/_rels/slide1.xml.rels": samples.relations(
                    [("notesSlide", "../notesSlides/n.xml")]
                ),
                "ppt/notesSlides/n.xml": notes,
            },
        )

    extraction = read("pptx", with_notes(b"<p:notes"))
    assert page_texts(extraction) == ["Seen", "Last"]
    assert len(extraction.warnings) == 1
    assert extraction.warnings[0].startswith("notes of slide 1 were not read: broken XML")
    with pytest.raises(DocumentUnreadableError, match="DOCTYPE"):
        read("pptx", with_notes(b'<!DOCTYPE a [<!ENTITY x "y">]><a/>'))
