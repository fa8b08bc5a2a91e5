import pytest
from prefix_count import prefix_count


@pytest.mark.parametrize(
    ("words", "prefix", "expected"),
    [
        ([], "a", (0, 0)),
        ([], "", (0, 0)),
        (["a"], "a", (1, 1)),
        (["ab", "ac", "b"], "a", (2, 0)),
        (["tea", "team", "to"], "tea", (2, 1)),
        (["x", "x"], "x", (2, 2)),
        (["abc"], "abd", (0, 0)),
        (["ab", "abc"], "", (2, 0)),
    ],
)
def test_prefix_count(words, prefix, expected):
    assert prefix_count(words, prefix) == expected
