import pytest
from text_wrap import text_wrap


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("", 5, []),
        ("a", 5, ["a"]),
        ("a b c", 3, ["a b", "c"]),
        ("one two three", 7, ["one two", "three"]),
        ("one two three", 8, ["one two", "three"]),
        ("longest word", 4, ["longest", "word"]),
        ("aa bb cc dd", 5, ["aa bb", "cc dd"]),
        ("x  y", 1, ["x", "y"]),
    ],
)
def test_text_wrap(text, width, expected):
    assert text_wrap(text, width) == expected
