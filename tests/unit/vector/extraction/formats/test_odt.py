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
