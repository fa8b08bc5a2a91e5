import pytest
from top_words import top_words


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("", 3, []),
        ("a", 1, [("a", 1)]),
        ("b a b", 2, [("b", 2), ("a", 1)]),
        ("The the. THE!", 5, [("the", 3)]),
        ("x y x z y x", 2, [("x", 3), ("y", 2)]),
        ("one, two ... two", 3, [("two", 2), ("one", 1)]),
        ("b a", 1, [("a", 1)]),
    ],
)
def test_top_words(text, limit, expected):
    assert top_words(text, limit) == expected
