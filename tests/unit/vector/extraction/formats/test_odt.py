import pytest

from services.vector.extraction.errors import DocumentUnreadableError
from tests.unit.vector.extraction import samples
from tests.unit.vector.extraction.samples import blocks, open_document, read


def test_headings_lists_tables_and_notes_in_order() -> None:
    body = (
        '<text:h text:outline-level="2">The <text:span>plan</text:span></text:h>'
        '<text:p>One<text:s text:c="2"/>two<text:tab/>three<text:note>'
        "<text:note-citation>1</text:note-citation><text:note-body><text:p>Below.</text:p></text:note-body></text:note></text:p>"
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        "<text:list><text:list-item><text:p>a</text:p><text:list><text:list-item><text:p>b</text:p>"
        "</text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>Day</text:p>"
        '</table:table-cell><table:table-cell table:number-columns-repeated="2"><text:p>x</text:p>'
        '</table:table-cell><table:table-cell table:number-columns-repeated="16000"/></table:table-row>'
        "</table:table-header-rows>"
        "<table:table-row><table:table-cell><text:p>Mon</text:p><table:table><table:table-row><table:table-cell>"
        "<text:p>in</text:p></table:table-cell><table:table-cell><text:p>side</text:p></table:table-cell>"
        "</table:table-row></table:table></table:table-cell></table:table-row></table:table>"
    )
    extraction = read("odt", open_document(body))
    assert extraction.text == (
        "The plan\n\nOne  two\tthree\n\nBelow.\n\n- a\n  - b\n\nDay | x | x\nMon\n\nin | side"
    )
    assert blocks(extraction)[0] == ("heading", 2, "The plan")


def test_a_file_with_a_password_says_so() -> None:
    manifest = (
        b'<m:manifest xmlns:m="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><m:file-entry>'
        b"<m:encryption-data/></m:file-entry></m:manifest>"
    )
    with pytest.raises(DocumentUnreadableError, match="password"):
        read("odt", open_document("<text:p>x</text:p>", {"META-INF/manifest.xml": manifest}))


def test_a_million_repetitions_cost_little() -> None:
    row = (
        '<table:table-row table:number-rows-repeated="1048576"><table:table-cell><text:p>a</text:p>'
        "</table:table-cell></table:table-row>"
    )
    assert len(read("odt", samples.open_document(f"<table:table>{row}</table:table>")).text) < 1000


def styles(xml: str) -> dict[str, bytes]:
    space = "urn:oasis:names:tc:opendocument:xmlns"
    names = " ".join(f'xmlns:{name}="{space}:{name}:1.0"' for name in ("office", "text", "style"))
    return {
        "styles.xml": f"<office:document-styles {names}><office:styles>{xml}</office:styles>"
        "</office:document-styles>".encode()
    }


LIST = (
    '<text:list-style style:name="L1"><text:list-level-style-number text:level="1" style:num-format="1" '
    'style:num-suffix="."/><text:list-level-style-number text:level="2" style:num-format="a" '
    'style:num-prefix="(" style:num-suffix=")"/><text:list-level-style-number text:level="3" '
    'style:num-format="1" text:display-levels="3" text:start-value="5"/><text:list-level-style-bullet '
    'text:level="4" text:bullet-char="x"/></text:list-style>'
)


def listed(*items: str, attributes: str = 'text:style-name="L1"') -> str:
    nodes = "".join(f"<text:list-item>{item}</text:list-item>" for item in items)
    return f"<text:list {attributes}>{nodes}</text:list>"


def p(text: str) -> str:
    return f"<text:p>{text}</text:p>"


def test_items_have_the_numbers_of_their_style() -> None:
    body = (
        listed(
            p("Term"),
            p("Fees")
            + p("without tax")
            + listed(
                p("cash"), p("card") + listed(p("debit") + listed(p("dot"), attributes=""), attributes="")
            ),
            attributes='text:style-name="L1" xml:id="one"',
        )
        + p("Between")
        + listed(p("Law"), attributes='text:style-name="L1" text:continue-numbering="true"')
        + listed(p("New"), p("Next"))
        + listed(p("Place"), attributes='text:style-name="L1" text:continue-list="one"')
        + listed(p("Other"), attributes='text:style-name="unknown"')
        + listed("<text:p><text:number>7.</text:number>Given</text:p>", attributes="")
    )
    assert read("odt", open_document(body, styles(LIST))).text == (
        "1. Term\n2. Fees\nwithout tax\n  (a) cash\n  (b) card\n    2.b.5 debit\n      - dot\n\nBetween\n\n"
        "3. Law\n\n1. New\n2. Next\n\n4. Place\n\n- Other\n\n7. Given"
    )


def test_steps_in_a_cell_have_their_numbers() -> None:
    cell = f"<table:table-cell>{listed(p('Mix'), p('Bake'))}</table:table-cell>"
    body = f"<table:table><table:table-row>{cell}</table:table-row></table:table>"
    assert read("odt", open_document(body, styles(LIST))).text == "1. Mix 2. Bake"


def test_headings_have_the_numbers_of_the_outline() -> None:
    outline = (
        '<text:outline-style style:name="Outline"><text:outline-level-style text:level="1" '
        'style:num-format="I" style:num-prefix="Part "/><text:outline-level-style text:level="2" '
        'style:num-format="1" text:display-levels="2" style:num-list-format="%1%-%2%"/>'
        '<text:outline-level-style text:level="3" style:num-format=""/></text:outline-style>'
        '<style:style style:name="Plain" style:list-style-name=""/>'
        '<style:style style:name="Above" style:parent-style-name="Plain"/>'
    )
    body = "".join(
        f'<text:h text:outline-level="{level}" {more}>{text}</text:h>'
        for level, text, more in (
            (1, "Scope", ""),
            (1, "Preface", 'text:style-name="Above"'),
            (1, "Blank", 'text:is-list-header="true"'),
            (1, "Law", ""),
            (2, "Place", ""),
            (3, "Detail", ""),
            (2, "Time", 'text:restart-numbering="true" text:start-value="6"'),
        )
    )
    assert [text for _, _, text in blocks(read("odt", open_document(body, styles(outline))))] == [
        "Part I Scope", "Preface", "Blank", "Part II Law", "II-1 Place", "Detail", "II-6 Time",
    ]  # fmt: skip


def test_a_heading_in_a_list_is_one_and_a_table_in_a_list_is_read() -> None:
    table = (
        "<table:table><table:table-row><table:table-cell><text:p>a</text:p></table:table-cell>"
        "<table:table-cell><text:p>b</text:p></table:table-cell></table:table-row></table:table>"
    )
    body = listed('<text:h text:outline-level="2">Scope</text:h>', p("item") + table)
    extraction = read("odt", open_document(body, styles(LIST)))
    assert extraction.text == "1. Scope\n\n2. item\n\na | b"
    assert blocks(extraction)[0] == ("heading", 2, "1. Scope")


def test_shapes_and_pictures_stand_apart_from_the_sentence() -> None:
    svg = 'xmlns:svg="urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0"'
    picture = (
        f"<draw:frame {svg}><draw:image/><svg:title>Plan</svg:title><svg:desc>{{}}</svg:desc></draw:frame>"
    )
    body = (
        "<text:p>The host<draw:custom-shape><text:p>shape text</text:p></draw:custom-shape> goes on"
        f"{picture.format('Floor of the depot')}.</text:p>"
        f'<text:h text:outline-level="1">Depot{picture.format("depot.png")}</text:h>'
    )
    extraction = read("odt", open_document(body + picture.format("East")))
    assert extraction.text == (
        "The host goes on. [Plan: Floor of the depot]\n\nshape text\n\nDepot\n\n[Plan]\n\n[Plan: East]"
    )


def span(style: str, text: str) -> str:
    return f'<text:span text:style-name="{style}">{text}</text:span>'


def test_raised_and_lowered_digits_keep_their_meaning() -> None:
    text = "".join(
        f'<style:style style:name="{name}"><style:text-properties style:text-position="{position}"/>'
        "</style:style>"
        for name, position in (("up", "super 58%"), ("down", "-25% 58%"), ("base", "0% 100%"))
    )
    body = (
        f"<text:p>10{span('up', '6')} t CO{span('down', '2')} in {span('up', span('base', '2020'))}</text:p>"
    )
    assert read("odt", open_document(body, styles(text))).text == "10⁶ t CO₂ in 2020"
    # Styles of the text alone stand in its own part.
    data = open_document(body)
    content = styles(text)["styles.xml"].replace(b"office:styles", b"office:automatic-styles")
    content = content.replace(
        b"</office:document-styles>",
        f"<office:body><office:text>{body}</office:text></office:body>".encode()
        + b"</office:document-styles>",
    )
    assert read("odt", samples.with_part(data, "content.xml", content)).text == "10⁶ t CO₂ in 2020"


def test_styles_that_are_broken_cost_no_text() -> None:
    extraction = read("odt", open_document("<text:p>x</text:p>", {"styles.xml": b"<o"}))
    assert extraction.text == "x"
    assert extraction.warnings[0].startswith("the styles were not read: broken XML")
    with pytest.raises(DocumentUnreadableError, match="DOCTYPE"):
        read("odt", open_document("<text:p>x</text:p>", {"styles.xml": b"<!DOCTYPE o><o/>"}))
