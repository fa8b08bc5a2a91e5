import pytest
from recent_cache import recent_cache


@pytest.mark.parametrize(
    ("size", "steps", "expected"),
    [
        (1, [], []),
        (2, [("a", 1), "a"], [1]),
        (1, [("a", 1), ("b", 2), "a", "b"], [None, 2]),
        (2, [("a", 1), ("b", 2), "a", ("c", 3), "b", "a", "c"], [1, None, 1, 3]),
        (2, [("a", 1), ("a", 2), ("b", 3), "a", "b"], [2, 3]),
        (2, [("a", 1), ("b", 2), ("a", 5), ("c", 3), "a", "b"], [5, None]),
        (2, ["x"], [None]),
    ],
)
def test_recent_cache(size, steps, expected):
    assert recent_cache(size, steps) == expected
