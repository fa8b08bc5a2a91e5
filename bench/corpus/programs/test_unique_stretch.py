import pytest
from unique_stretch import unique_stretch


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("a", 1),
        ("aa", 1),
        ("abcabcbb", 3),
        ("pwwkew", 3),
        ("abba", 2),
        ("tmmzuxt", 5),
        ("abcde", 5),
    ],
)
def test_unique_stretch(text, expected):
    assert unique_stretch(text) == expected
