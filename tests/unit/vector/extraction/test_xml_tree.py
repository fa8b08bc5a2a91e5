import pytest

from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.xml_tree import DEPTH_MAX, parse_lines, parse_xml

LAUGHS = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>"""
EXTERNAL = """<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>"""


def test_names_get_their_prefix() -> None:
    root = parse_xml(b'<x:a xmlns:x="urn:one" xmlns="urn:two" x:k="1"><b>text</b></x:a>', {"urn:one": "w"})
    assert root.tag == "w:a"
    assert root.attrib == {"w:k": "1"}
    assert root[0].tag == "b"
    assert root[0].text == "text"


@pytest.mark.parametrize("text", [LAUGHS, EXTERNAL, "<!DOCTYPE a><a/>"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_refuses_a_doctype_in_any_encoding(text: str, encoding: str) -> None:
    with pytest.raises(DocumentUnreadableError, match="DOCTYPE"):
        parse_xml(text.replace('<?xml version="1.0"?>', "").encode(encoding), {})


@pytest.mark.parametrize("data", [b"", b"<a>", b"<a></b>", b"text", b"<a>&b;</a>"])
def test_refuses_what_is_not_well_formed(data: bytes) -> None:
    with pytest.raises(DocumentUnreadableError, match="broken XML"):
        parse_xml(data, {})


def test_refuses_deep_nesting() -> None:
    depth = DEPTH_MAX + 1
    with pytest.raises(DocumentUnreadableError, match="deep"):
        parse_xml(b"<a>" * depth + b"</a>" * depth, {})


@pytest.mark.parametrize(
    "encoding", ["shift_jis", "gb18030", "euc-kr", "iso-2022-jp", "windows-1251", "koi8-r"]
)
def test_reads_the_encoding_that_a_file_declares(encoding: str) -> None:
    text = "Это" if encoding in ("windows-1251", "koi8-r") else "貿易"
    data = f'<?xml version="1.0" encoding="{encoding}"?>\n<a><b>{text}</b></a>'.encode(encoding)
    root, lines = parse_lines(data)
    assert root[0].text == text
    assert lines[root[0]] == 2


def test_an_encoding_that_nobody_knows_is_found_by_the_bytes() -> None:
    assert parse_xml('<?xml version="1.0" encoding="x-ours"?><a>貿易</a>'.encode(), {}).text == "貿易"


def test_refuses_a_doctype_in_an_encoding_of_several_bytes() -> None:
    data = f'<?xml version="1.0" encoding="shift_jis"?>{EXTERNAL}'.encode("shift_jis")
    with pytest.raises(DocumentUnreadableError, match="DOCTYPE"):
        parse_xml(data, {})
