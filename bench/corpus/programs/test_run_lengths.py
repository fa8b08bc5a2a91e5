import pytest
from run_lengths import run_lengths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", [("a", 1)]),
        ("aa", [("a", 2)]),
        ("ab", [("a", 1), ("b", 1)]),
        ("aabbb", [("a", 2), ("b", 3)]),
        ("abca", [("a", 1), ("b", 1), ("c", 1), ("a", 1)]),
        ("zzzz", [("z", 4)]),
        ("aabaa", [("a", 2), ("b", 1), ("a", 2)]),
    ],
)
def test_run_lengths(text, expected):
    assert run_lengths(text) == expected
