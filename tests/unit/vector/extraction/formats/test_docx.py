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

UNVANISH = '<w:vanish w:val="0"/>'


def body(xml: str) -> bytes:
    """A document whose body is this WordprocessingML."""
    return samples.with_part(
        samples.simple_word(),
        "word/document.xml",
        f"<w:document {W}><w:body>{xml}</w:body></w:document>".encode(),
    )


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
        "Trees\n\nA tree has\tleaves.\n\n- Oak\n- Red oak\n\nSizes\n\n"
        "Tree | Part | Size\nOak | Trunk | 20\nOak | Leaf |\n\nThe end."
    )
    assert samples.blocks(extraction) == [
        ("heading", 1, "Trees"),
        ("list", 0, "- Oak\n- Red oak"),
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
    ],
)
def test_what_word_shows_is_read(xml: str, text: str) -> None:
    assert samples.read("docx", body(xml)).text == text


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


@pytest.mark.parametrize("part", ["word/document.xml", "word/styles.xml", "_rels/.rels", "docProps/core.xml"])
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
