import pytest

from services.vector.extraction.errors import DocumentUnreadableError
from tests.unit.vector.extraction.samples import read

COUNTRIES = b"""<?xml version="1.0"?>
<factbook date="2024">
  <country code="CA">
    <name>Canada</name>
    <capital><name>Ottawa</name></capital>
  </country>
  <country><name>A &amp; B</name></country>
  <note>Some <b>mixed</b> prose.</note>
</factbook>"""


def test_values_with_their_paths_and_lines() -> None:
    extraction = read("xml", COUNTRIES)
    assert extraction.text == (
        "factbook.date: 2024\n\ncountry.code: CA\nname: Canada\ncapital.name: Ottawa\n\nname: A & B\n\n"
        "Some mixed prose."
    )
    data = extraction.text.encode()
    lines = {place.line: data[place.byte_start :].split(b"\n")[0] for place in extraction.places}
    assert lines[3] == b"country.code: CA"
    assert lines[5] == b"capital.name: Ottawa"
    assert lines[8] == b"Some mixed prose."


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "prolog",
    [
        '<!DOCTYPE a [<!ENTITY x "y">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:1/evil.dtd">',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    ],
)
def test_a_doctype_is_refused_in_any_encoding(encoding: str, prolog: str) -> None:
    with pytest.raises(DocumentUnreadableError, match="DOCTYPE"):
        read("xml", f"{prolog}<a>&x;</a>".encode(encoding))


@pytest.mark.parametrize("data", [b"<a>", b"no markup", b"<a>" * 300 + b"x"])
def test_broken_and_deep_xml_is_refused(data: bytes) -> None:
    with pytest.raises(DocumentUnreadableError):
        read("xml", data)


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        ("First line<br/>second line", "First line second line"),
        ("Total<amount>5</amount>EUR", "Total 5 EUR"),
        ("see<br/>, <br/>(there<br/>)", "see, (there)"),
        ("Sh<b>i</b>ps, H<sub>2</sub>O, <hi rend='sup'>a</hi>b", "Ships, H2O, ab"),
        ("a sh<ex>i</ex>p at <q>5</q><x>6</x>", "a ship at 5 6"),
        ("one<note n='1'>two<cell><d>three</d></cell></note>four", "one two three four"),
        ("One<ul><li>two</li><li>three</li></ul>", "One two three"),
        ("bro<lb break='no'/>ken", "broken"),
        ("<a>left</a>. <a>(</a>right", "left. (right"),
    ],
)
def test_words_that_elements_part_stay_apart(inside: str, text: str) -> None:
    assert read("xml", f"<doc><p>{inside} end</p></doc>".encode()).text == f"{text} end"
