import pytest

from services.vector.extraction.errors import DocumentUnreadableError
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
        ('["\\ud800"]', "surrogate"),
    ],
)
def test_refuses_what_is_not_json(data: str, cause: str) -> None:
    with pytest.raises(DocumentUnreadableError, match=cause):
        text_of(data)
