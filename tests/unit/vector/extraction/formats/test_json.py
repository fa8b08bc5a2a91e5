import pytest

from services.vector.extraction.errors import DocumentUnreadableError
from services.vector.extraction.model import Limits
from tests.unit.vector.extraction import samples


def text_of(data: str) -> str:
    return samples.read("json", data.encode()).text


def test_paths_and_values() -> None:
    data = """{"name": "Oak", "size": {"height": 2.50, "unit": "m"}, "tags": ["tall", 1e3, true, null],
               "parts": [{"name": "leaf\\n green"}, {"name": "root"}], "empty": [], "name": "again"}"""
    assert text_of(data) == (
        "name: Oak\nsize.height: 2.50\nsize.unit: m\ntags: tall; 1e3; true; null\n"
        "parts[0].name: leaf green\nparts[1].name: root\nname: again"
    )


@pytest.mark.parametrize("data", ['[{"a": 1}, {"a": 2}]', '{"a": 1}\n{"a": 2}\n', '{"a": 1}\r\n\r\n{"a": 2}'])
def test_records_are_groups(data: str) -> None:
    extraction = samples.read("json", data.encode())
    assert extraction.text == "a: 1\n\na: 2"
    assert samples.blocks(extraction) == [("list", 0, "a: 1\n\na: 2")]


def test_numbers_of_any_length_stand_as_written() -> None:
    assert text_of('{"a": %s, "b": 1.0}' % ("9" * 10_000)) == f"a: {'9' * 10_000}\nb: 1.0"


def test_a_single_value_is_text() -> None:
    assert text_of('"hello"') == "hello"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        ("{", "line 1"),
        ('{"a": 1}\n{"b": }', "line 2"),
        ("hello", "not JSON"),
        ("[" * 100_000, "deep"),
    ],
)
def test_refuses_what_is_not_json(data: str, cause: str) -> None:
    with pytest.raises(DocumentUnreadableError, match=cause):
        text_of(data)


def test_half_a_character_costs_no_more_than_itself() -> None:
    assert text_of('{"a": "good", "b\\udc00": "cut \\ud83d", "c": "\\ud83d\\ude00"}') == (
        "a: good\nb\ufffd: cut \ufffd\nc: \U0001f600"
    )


def lines_of(data: str) -> list[tuple[str, int]]:
    """The first line of the text at each place, and the line of the file that it names."""
    extraction = samples.read("json", data.encode())
    text = extraction.text.encode()
    return [(text[place.byte_start :].split(b"\n")[0].decode(), place.line) for place in extraction.places]


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ('{"a": 1, "b": 2}\n\n{"a": 3}\n', (1, 3)),
        ('[\n{"a": 1, "b": 2},\n\n{"a": 3}\n]\n', (2, 4)),
        ('\n[{"a": 1, "b": 2},\n {"a": 3}]', (2, 3)),
    ],
)
def test_a_record_on_a_line_is_placed_there(data: str, lines: tuple[int, int]) -> None:
    assert lines_of(data) == [("a: 1", lines[0]), ("b: 2", lines[0]), ("a: 3", lines[1])]


@pytest.mark.parametrize(
    "data",
    ['[{"a": 1},\n{"b":\n2}]', '[{"a": 1,\n"b": 2}, {"c": 3}]', '{"a":\n1}', '[{"a": 1}]', "[\n1, 2,\n3]"],
)
def test_records_of_several_lines_or_several_in_one_have_no_lines(data: str) -> None:
    assert lines_of(data) == []


def test_records_beyond_the_places_have_no_line() -> None:
    extraction = samples.read("json", b'{"a": 1}\n' * 9, Limits(places=10))
    assert [place.line for place in extraction.places] == [1, 2, 3, 4, 5, 0]
    assert extraction.text.encode()[extraction.places[-1].byte_start :].count(b"a: 1") == 4
