import pytest
from roman import roman


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("I", 1),
        ("IV", 4),
        ("VI", 6),
        ("XIX", 19),
        ("MCMXCIV", 1994),
        ("LVIII", 58),
        ("XL", 40),
    ],
)
def test_roman(text, expected):
    assert roman(text) == expected
