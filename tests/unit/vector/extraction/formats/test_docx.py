import docx
import pytest
from docx.oxml import OxmlElement
from docx.oxml.ns import qn

from services.vector.extraction.errors import (
    DocumentEmptyError,
    DocumentUnreadableError,
)
from tests.unit.vector.extraction import samples

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'

M = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
WP = 'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"'
W14 = 'xmlns:w14="http://schemas.microsoft.com/office/word/2010/wordml"'
RAISED = '<w:vertAlign w:val="superscript"/>'
LOWERED = '<w:vertAlign w:val="subscript"/>'
CHECKED = '<w:checkBox><w:default w:val="0"/><w:checked/></w:checkBox>'
UNCHECKED = '<w:checkBox><w:default w:val="0"/></w:checkBox>'
CHOICE = (
    '<w:ddList><w:result w:val="1"/><w:listEntry w:val="Norway"/><w:listEntry w:val="Sweden"/></w:ddList>'
)
UP = '<w:rStyle w:val="Up"/>'
REF = '<w:rStyle w:val="Ref"/>'
FOOTNOTE = f'<w:r><w:rPr>{RAISED}</w:rPr><w:footnoteReference w:id="2"/></w:r>'
UNVANISH = '<w:vanish w:val="0"/>'


def body(xml: str) -> bytes:
    """A document whose body is this WordprocessingML."""
    return samples.with_part(
        samples.simple_word(),
        "word/document.xml",
        f"<w:document {W}><w:body>{xml}</w:body></w:document>".encode(),
    )


def numbered(lists: str, xml: str, styles: str = "") -> str:
    """The text of a document with this numbering part."""
    data = samples.with_part(
        body(xml), "word/numbering.xml", f"<w:numbering {W}>{lists}</w:numbering>".encode()
    )
    if styles:
        data = samples.with_part(data, "word/styles.xml", f"<w:styles {W}>{styles}</w:styles>".encode())
    return samples.read("docx", data).text


def abstract(number: int, *levels: tuple[str, str] | tuple[str, str, str]) -> str:
    """An abstract list of (format, text, more XML) levels."""
    nodes = "".join(
        f'<w:lvl w:ilvl="{at}"><w:start w:val="1"/><w:numFmt w:val="{level[0]}"/>'
        f'<w:lvlText w:val="{level[1]}"/>{"".join(level[2:])}</w:lvl>'
        for at, level in enumerate(levels)
    )
    return f'<w:abstractNum w:abstractNumId="{number}">{nodes}</w:abstractNum>'


def num(number: int, of: int, more: str = "") -> str:
    return f'<w:num w:numId="{number}"><w:abstractNumId w:val="{of}"/>{more}</w:num>'


def item(text: str, number: int | str, level: int = 0, properties: str = "") -> str:
    return (
        f'<w:p><w:pPr>{properties}<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
        f"</w:pPr>{run(text)}</w:p>"
    )


def cell(text: str, properties: str = "") -> str:
    return f"<w:tc><w:tcPr>{properties}</w:tcPr><w:p>{run(text)}</w:p></w:tc>"


def span(columns: int) -> str:
    return f'<w:gridSpan w:val="{columns}"/>'


def row(*cells: str, before: int = 0) -> str:
    return f'<w:tr><w:trPr><w:gridBefore w:val="{before}"/></w:trPr>{"".join(cells)}</w:tr>'


def field(data: str) -> str:
    """A form field of the older kind."""
    return (
        f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar></w:r>'
        '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


def math(xml: str) -> str:
    return f"<w:p><m:oMath {M}>{xml}</m:oMath></w:p>"


def m(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


def picture(description: str) -> str:
    properties = f'<wp:docPr id="1" name="P" descr="{description}"/>'
    return f"<w:r><w:drawing><wp:inline {WP}>{properties}</wp:inline></w:drawing></w:r>"


def run(text: str, properties: str = "") -> str:
    return f"<w:r><w:rPr>{properties}</w:rPr><w:t>{text}</w:t></w:r>"


def build(document: docx.document.Document) -> None:
    document.core_properties.title = "The size of trees"
    document.add_heading("Trees", 1)
    document.add_paragraph("A tree has\tleaves.")
    document.add_paragraph("Oak", style="List Bullet")
    document.add_paragraph("Red oak", style="List Number 2")
    document.add_heading("Sizes", 2)
    table = document.add_table(3, 3)
    for row, cells in enumerate([("Tree", "Part", "Size"), ("Oak", "Trunk", "20"), ("", "Leaf", "")]):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    document.add_paragraph("The end.")


def test_everything_in_document_order() -> None:
    extraction = samples.read("docx", samples.word(build))
    assert extraction.title == "The size of trees"
    assert extraction.text == (
        "Trees\n\nA tree has\tleaves.\n\n- Oak\n1. Red oak\n\nSizes\n\n"
        "Tree | Part | Size\nOak | Trunk | 20\nOak | Leaf |\n\nThe end."
    )
    assert samples.blocks(extraction) == [
        ("heading", 1, "Trees"),
        ("list", 0, "- Oak\n1. Red oak"),
        ("heading", 2, "Sizes"),
        ("table", 0, "Tree | Part | Size\nOak | Trunk | 20\nOak | Leaf |"),
    ]


def test_a_style_based_on_a_heading_is_one() -> None:
    def custom(document: docx.document.Document) -> None:
        style = document.styles.add_style("Kapitel", 1)
        style.base_style = document.styles["Heading 2"]
        document.add_paragraph("Bäume", style="Kapitel")
        own = document.add_paragraph("Outlined")
        level = OxmlElement("w:outlineLvl")
        level.set(qn("w:val"), "2")
        own._p.get_or_add_pPr().append(level)
        document.add_paragraph("The book", style="Title")

    assert samples.blocks(samples.read("docx", samples.word(custom))) == [
        ("heading", 2, "Bäume"),
        ("heading", 3, "Outlined"),
        ("heading", 1, "The book"),
    ]


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (
            f"<w:p><w:ins>{run('new')}</w:ins><w:del><w:r><w:delText>old</w:delText></w:r></w:del></w:p>",
            "new",
        ),
        (f"<w:p>{run('seen')}{run('unseen', '<w:vanish/>')}</w:p>", "seen"),
        (f"<w:p>{run('seen', UNVANISH)}</w:p>", "seen"),
        (f"<w:p><w:hyperlink>{run('a link')}</w:hyperlink></w:p>", "a link"),
        (f"<w:sdt><w:sdtContent><w:p>{run('controlled')}</w:p></w:sdtContent></w:sdt>", "controlled"),
        ("<w:p><w:r><w:t>a</w:t><w:br/><w:t>b</w:t><w:noBreakHyphen/><w:t>c</w:t></w:r></w:p>", "a\nb-c"),
        ("<w:p><w:r><w:instrText>PAGE</w:instrText><w:t>7</w:t></w:r></w:p>", "7"),
        (
            f"<w:p>{run('before')}<w:r><w:pict><w:txbxContent><w:p>{run('boxed')}</w:p></w:txbxContent></w:pict>"
            f"</w:r>{run(' after')}</w:p>",
            "before after\n\nboxed",
        ),
        (
            f"<w:tbl><w:tr><w:tc><w:p>{run('a')}</w:p><w:p>{run('b')}</w:p></w:tc><w:tc><w:p>{run('c')}</w:p>"
            f"<w:tbl><w:tr><w:tc><w:p>{run('d')}</w:p></w:tc></w:tr></w:tbl></w:tc></w:tr></w:tbl>",
            "a b | c\n\nd",
        ),
        (
            f"<w:p>{run('Smoker: ')}{field(CHECKED)}{run(' Driver: ')}{field(UNCHECKED)}</w:p>",
            "Smoker: ☒ Driver: ☐",
        ),
        (
            f"<w:p>{run('Land: ')}{field(CHOICE)}</w:p>",
            "Land: Sweden",
        ),
        (
            f'<w:p>{run("p ")}<w:r><w:sym w:font="Symbol" w:char="F0B3"/></w:r>{run(" 5 ")}<w:r><w:sym '
            'w:font="Wingdings" w:char="F0FE"/><w:sym w:font="Arial" w:char="2713"/><w:sym w:font="Odd" '
            'w:char="F0AA"/></w:r></w:p>',
            "p ≥ 5 ☑✓\ufffd",
        ),
        (
            '<w:p><w:r><w:rPr><w:rFonts w:ascii="Symbol"/></w:rPr><w:t>\uf061 = 5</w:t></w:r></w:p>',
            "α = 5",
        ),
        (
            f"<w:p>{run('Name: ')}<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>{run('Click')}"
            f"</w:sdtContent></w:sdt></w:p><w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent><w:p>"
            f"{run('Click here')}</w:p></w:sdtContent></w:sdt>",
            "Name:",
        ),
        (
            "<w:tbl><w:tr><w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>"
            f"{cell('Click here')}</w:sdtContent></w:sdt>{cell('b')}</w:tr></w:tbl>",
            "| b",
        ),
        (
            f"<w:p><w:sdt><w:sdtPr><w14:checkbox {W14}><w14:checked w14:val='1'/></w14:checkbox></w:sdtPr>"
            f"<w:sdtContent>{run('☒')}</w:sdtContent></w:sdt>{run(' insured')}</w:p>",
            "☒ insured",
        ),
        (
            f"<w:p>{run('See')}{picture('Map: the depot is in Malmo')}{run(' here.')}</w:p>",
            "See here. [Map: the depot is in Malmo]",
        ),
        (f"<w:p>{run('See')}{picture('photo 1.JPG')}{picture('Picture 3')}{picture('')}</w:p>", "See"),
        (
            f"<w:p>{run('See')}{picture('A dog on a chair Description automatically generated')}</w:p>",
            "See",
        ),
    ],
)
def test_what_word_shows_is_read(xml: str, text: str) -> None:
    assert samples.read("docx", body(xml)).text == text


def test_items_and_headings_have_the_numbers_that_word_shows() -> None:
    lists = (
        abstract(0, ("decimal", "%1."), ("decimal", "%1.%2"), ("lowerLetter", "(%3)"))
        + abstract(1, ("bullet", "\uf0b7"))
        + num(1, 0)
        + num(2, 1)
        + num(3, 0, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="4"/></w:lvlOverride>')
    )
    xml = (
        item("Term", 1, 0, '<w:outlineLvl w:val="0"/>')
        + item("Fees", 1, 0, '<w:outlineLvl w:val="0"/>')
        + item("Payment within 30 days", 1, 1)
        + item("by transfer", 1, 2)
        + item("", 1, 2)
        + item("in cash", 1, 2)
        + item("dot", 2)
        + item("Law", 1, 0)
        + item("Place", 1, 1)
        + item("Fourth", 3, 0)
        + item("plain", 0)
        + "<w:p><w:pPr><w:rPr><w:del/></w:rPr><w:numPr><w:numId w:val='3'/></w:numPr></w:pPr></w:p>"
        + item("Fifth", 3, 0)
    )
    assert numbered(lists, xml) == (
        "1. Term\n\n2. Fees\n\n  2.1 Payment within 30 days\n    (a) by transfer\n    (c) in cash\n- dot\n"
        "3. Law\n  3.1 Place\n4. Fourth\n\nplain\n\n5. Fifth"
    )


def test_a_style_numbers_its_paragraphs() -> None:
    lists = abstract(
        0, ("upperRoman", "Part %1"), ("decimal", "%1.%2", '<w:isLgl/><w:pStyle w:val="H2"/>')
    ) + num(7, 0)
    listed = '<w:numPr><w:numId w:val="7"/></w:numPr>'
    styles = (
        f'<w:style w:styleId="H1"><w:name w:val="heading 1"/><w:pPr>{listed}</w:pPr></w:style>'
        f'<w:style w:styleId="H2"><w:name w:val="heading 2"/><w:pPr>{listed}</w:pPr></w:style>'
    )
    xml = "".join(
        f'<w:p><w:pPr><w:pStyle w:val="{style}"/>{more}</w:pPr>{run(text)}</w:p>'
        for style, text, more in (
            ("H1", "Scope", ""),
            ("H1", "Preface", '<w:numPr><w:numId w:val="0"/></w:numPr>'),
            ("H1", "Law", ""),
            ("H2", "Place", ""),
        )
    )
    assert numbered(lists, xml, styles) == "Part I Scope\n\nPreface\n\nPart II Law\n\n2.1 Place"


def test_rows_that_count_themselves_have_their_numbers() -> None:
    xml = "<w:tbl>" + "".join(
        f"<w:tr><w:tc>{item('', 1)}</w:tc>{cell(text)}</w:tr>" for text in ("Bolt", "Nut")
    )
    assert numbered(abstract(0, ("decimal", "%1.")) + num(1, 0), f"{xml}</w:tbl>") == "1. | Bolt\n2. | Nut"


def test_lists_and_relations_that_are_broken_cost_no_text() -> None:
    data = body(item("a", 1))
    for part in ("word/numbering.xml", "word/_rels/document.xml.rels"):
        data = samples.with_part(data, part, b"<w")
    extraction = samples.read("docx", data)
    assert extraction.text == "- a"
    assert extraction.warnings[0].startswith("the numbers of lists were not read: broken XML")


def test_a_list_that_the_file_does_not_define_has_hyphens() -> None:
    assert samples.read("docx", body(item("a", 99))).text == "- a"


def test_cells_stand_below_the_name_of_their_column() -> None:
    xml = (
        row(cell("Region"), cell("2023", span(2)), cell("2024"))
        + row(cell("North"), cell("1"), cell("2"), cell("3"))
        + row(cell("7"), cell("8"), before=2)
        + row(cell("Remarks on all of it", span(4)))
    )
    assert samples.read("docx", body(f"<w:tbl>{xml}</w:tbl>")).text == (
        "Region | 2023 | 2023 | 2024\nNorth | 1 | 2 | 3\n|  | 7 | 8\nRemarks on all of it"
    )


def test_cells_of_a_form_are_read_once() -> None:
    xml = (
        row(cell("Name", span(2)), cell("Jane Roe", span(5)))
        + row(cell("Born", span(3)), cell("1990", span(4)))
        + row(cell("City", span(4)), cell("Malmo", span(3)))
    )
    assert (
        samples.read("docx", body(f"<w:tbl>{xml}</w:tbl>")).text
        == "Name | Jane Roe\nBorn | 1990\nCity | Malmo"
    )


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (
            f"<w:p>{run('10')}{run('-', RAISED)}{run('6', RAISED)}{run(' per m')}{run('2', RAISED)}</w:p>",
            "10⁻⁶ per m²",
        ),
        (
            f"<w:p>{run('CO')}{run('2', LOWERED)}{run(' the 1')}{run('st', RAISED)}{run(' at V')}"
            f"{run('max', LOWERED)}</w:p>",
            "CO₂ the 1st at V_max",
        ),
        (f"<w:p>{run('note')}{run('1', UP)}</w:p>", "note¹"),
        (f"<w:p>{run('14 m')}{run('1', REF)}</w:p>", "14 m[1]"),
        (
            f"<w:p>{run('14 m')}{FOOTNOTE}{run(' deep')}</w:p>",
            "14 m deep",
        ),
        (math(f"<m:f><m:num>{m('1')}</m:num><m:den>{m('2')}</m:den></m:f>"), "1/2"),
        (math(f"{m('2')}<m:f><m:num>{m('1')}</m:num><m:den>{m('2')}</m:den></m:f>"), "2 1/2"),
        (
            math(
                f"<m:f><m:num>{m('a+b')}</m:num><m:den><m:sSup><m:e>{m('c')}</m:e><m:sup>{m('2')}</m:sup></m:sSup>"
                f"</m:den></m:f>{m('=')}<m:rad><m:deg/><m:e>{m('x')}</m:e></m:rad>{m('+')}<m:sSub><m:e>{m('y')}</m:e>"
                f"<m:sub>{m('max')}</m:sub></m:sSub><m:d><m:e>{m('t')}</m:e></m:d>"
            ),
            "(a+b)/c²=√(x)+y_max(t)",
        ),
    ],
)
def test_raised_and_lowered_text_keeps_its_meaning(xml: str, text: str) -> None:
    styles = (
        f'<w:style w:styleId="Up"><w:name w:val="Up"/><w:rPr>{RAISED}</w:rPr></w:style>'
        f'<w:style w:styleId="Ref"><w:name w:val="footnote reference"/><w:rPr>{RAISED}</w:rPr></w:style>'
    )
    data = samples.with_part(body(xml), "word/styles.xml", f"<w:styles {W}>{styles}</w:styles>".encode())
    assert samples.read("docx", data).text == text


def test_a_diagram_follows_its_paragraph() -> None:
    space = "http://schemas.openxmlformats.org/drawingml/2006/diagram"
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    drawing = (
        f'<w:r><w:drawing><d:relIds xmlns:d="{space}" xmlns:r="{relations}" r:dm="rId1"/></w:drawing></w:r>'
    )
    data = samples.with_part(
        body(f"<w:p>{run('The steps:')}{drawing}</w:p>"),
        "word/_rels/document.xml.rels",
        samples.relations([("diagramData", "diagrams/data1.xml")]),
    )
    read = samples.read(
        "docx", samples.with_part(data, "word/diagrams/data1.xml", samples.diagram("Ordered", "Shipped"))
    )
    assert read.text == "The steps:\n\n- Ordered\n- Shipped"
    broken = samples.read("docx", samples.with_part(data, "word/diagrams/data1.xml", b"<d"))
    assert broken.text == "The steps:"
    assert broken.warnings[0].startswith("a diagram of the text was not read")


def test_a_picture_in_a_heading_is_none_of_its_words() -> None:
    xml = f'<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr>{run("Depot")}{picture("Map of Malmo")}</w:p>'
    assert samples.blocks(samples.read("docx", body(xml))) == [("heading", 1, "Depot")]
    assert samples.read("docx", body(xml)).text == "Depot\n\n[Map of Malmo]"


def test_alternative_content_is_read_once() -> None:
    mc = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    xml = (
        f"<w:p><w:r><mc:AlternateContent {mc}><mc:Choice><w:t>once</w:t></mc:Choice>"
        f"<mc:Fallback><w:t>once</w:t></mc:Fallback></mc:AlternateContent></w:r></w:p>"
    )
    assert samples.read("docx", body(xml)).text == "once"


def test_notes_follow_the_body() -> None:
    notes = (
        f"<w:footnotes {W}><w:footnote w:type='separator'><w:p>{run('---')}</w:p></w:footnote>"
        f"<w:footnote w:id='1'><w:p>{run('A note.')}</w:p></w:footnote></w:footnotes>"
    )
    data = samples.with_part(samples.simple_word(), "word/footnotes.xml", notes.encode())
    assert samples.read("docx", data).text == "A paragraph of a Word document.\n\nA note."


@pytest.mark.parametrize(
    "part", ["word/document.xml", "word/styles.xml", "word/numbering.xml", "_rels/.rels", "docProps/core.xml"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused(part: str, encoding: str) -> None:
    xml = f'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><w:document {W}>&b;</w:document>'
    with pytest.raises(DocumentUnreadableError, match="DOCTYPE"):
        samples.read("docx", samples.with_part(samples.simple_word(), part, xml.encode(encoding)))


@pytest.mark.parametrize("xml", [b"<a/>", b"", b"<w:document", b"\xff\xfe"])
def test_a_broken_body_is_refused(xml: bytes) -> None:
    with pytest.raises(DocumentUnreadableError):
        samples.read("docx", samples.with_part(samples.simple_word(), "word/document.xml", xml))


def test_no_text_is_an_empty_document() -> None:
    with pytest.raises(DocumentEmptyError):
        samples.read("docx", samples.word(lambda document: document.add_paragraph("  ")))
