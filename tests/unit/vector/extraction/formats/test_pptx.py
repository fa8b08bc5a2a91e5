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


def paragraph(text: str, *, level: int = 0, bullet: str = "") -> str:
    return f'<a:p><a:pPr lvl="{level}">{bullet}</a:pPr><a:r><a:t>{text}</a:t></a:r></a:p>'


def auto(kind: str, start: int = 1) -> str:
    return f'<a:buAutoNum type="{kind}" startAt="{start}"/>'


def text_shape(paragraphs: str, description: str = "") -> str:
    properties = f'<p:nvSpPr><p:cNvPr id="2" name="Box 1" descr="{description}"/><p:nvPr/></p:nvSpPr>'
    return f"<p:sp>{properties}<p:txBody>{paragraphs}</p:txBody></p:sp>"


def one_slide(shapes: str) -> str:
    return read("pptx", samples.presentation([slide(shapes)])).text


def test_steps_have_their_numbers() -> None:
    steps = (
        paragraph("Mix", bullet=auto("arabicPeriod"))
        + paragraph("slowly", level=1, bullet=auto("alphaLcParenR"))
        + paragraph("twice", level=1, bullet=auto("alphaLcParenR"))
        + paragraph("", bullet=auto("arabicPeriod"))
        + paragraph("Bake", bullet=auto("arabicPeriod"))
        + paragraph("hot", level=1, bullet=auto("alphaLcParenR"))
        + paragraph("A word between", bullet="<a:buNone/>")
        + paragraph("Serve", bullet=auto("romanUcParenBoth", 4))
        + paragraph("Eat", bullet=auto("hebrew2Minus"))
    )
    assert one_slide(text_shape(steps)) == (
        "1. Mix\n  a) slowly\n  b) twice\n2. Bake\n  a) hot\n- A word between\n(IV) Serve\n- Eat"
    )


def test_a_level_of_the_shape_numbers_its_paragraphs() -> None:
    style = f"<a:lstStyle><a:lvl1pPr>{auto('arabicPlain')}</a:lvl1pPr></a:lstStyle>"
    lines = paragraph("One") + paragraph("Two") + paragraph("none", bullet="<a:buChar char='x'/>")
    assert one_slide(text_shape(style + lines)) == "1 One\n2 Two\n- none"
    assert one_slide(text_shape(paragraph("Alone", bullet=auto("arabicPeriod", 3)))) == "3. Alone"


def test_raised_text_and_formulas_keep_their_meaning() -> None:
    runs = (
        '<a:p><a:r><a:t>10</a:t></a:r><a:r><a:rPr baseline="30000"/><a:t>6</a:t></a:r><a:r>'
        '<a:rPr baseline="0"/><a:t> t CO</a:t></a:r><a:r><a:rPr baseline="-25000"/><a:t>2</a:t></a:r>'
        "<a:r><a:t>, </a:t></a:r>"
        '<mc:AlternateContent xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"><mc:Choice>'
        '<m xmlns="http://schemas.microsoft.com/office/drawing/2010/main">'
        '<m:oMath xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"><m:f><m:num><m:r><m:t>1'
        "</m:t></m:r></m:num><m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath></m></mc:Choice>"
        "<mc:Fallback><a:r><a:t>12</a:t></a:r></mc:Fallback></mc:AlternateContent></a:p>"
    )
    assert one_slide(text_shape(runs)) == "10⁶ t CO₂, 1/2"


def test_alternative_texts_follow_what_they_describe() -> None:
    picture = '<p:pic><p:nvPicPr><p:cNvPr id="3" name="P" descr="{}"/></p:nvPicPr></p:pic>'
    shapes = (
        text_shape(paragraph("Sales"), "Arrow up")
        + picture.format("Chart: sales rose 12%")
        + picture.format("photo.png")
    )
    assert one_slide(shapes) == "Sales\n\n[Arrow up]\n\n[Chart: sales rose 12%]"


def diagram_frame(relation: str) -> str:
    return (
        '<p:graphicFrame><a:graphic><a:graphicData><d:relIds xmlns:d="http://schemas.openxmlformats.org/'
        'drawingml/2006/diagram" '
        'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" '
        f'r:dm="{relation}"/></a:graphicData></a:graphic></p:graphicFrame>'
    )


def test_a_diagram_is_a_list_and_a_broken_one_is_named() -> None:
    def shown(data: bytes, relation: str = "rId1") -> tuple[str, tuple[str, ...]]:
        extraction = read(
            "pptx",
            samples.presentation(
                [slide(shape("title", "Steps") + diagram_frame(relation))],
                {
                    "ppt/slides/_rels/slide1.xml.rels": samples.relations(
                        [("diagramData", "../diagrams/data1.xml")]
                    ),
                    "ppt/diagrams/data1.xml": data,
                },
            ),
        )
        return extraction.text, extraction.warnings

    assert shown(samples.diagram("Ordered", "Shipped")) == ("Steps\n\n- Ordered\n- Shipped", ())
    text, warnings = shown(b"<d")
    assert text == "Steps"
    assert warnings[0].startswith("a diagram of slide 1 was not read: broken XML")
    assert shown(b"<d/>", "rId9") == ("Steps", ("a diagram of slide 1 is missing in the file",))


def test_relations_that_are_broken_cost_no_slide() -> None:
    data = samples.presentation([slide(shape("", "Seen"))], {"ppt/slides/_rels/slide1.xml.rels": b"<r"})
    extraction = read("pptx", data)
    assert extraction.text == "Seen"
    assert extraction.warnings[0].startswith("notes and diagrams of slide 1 were not read")
