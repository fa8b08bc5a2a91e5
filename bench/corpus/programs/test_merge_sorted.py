import pytest
from merge_sorted import merge_sorted


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ([], []),
        ([[1, 2]], [1, 2]),
        ([[1, 3], [2, 4]], [1, 2, 3, 4]),
        ([[5], [1], [3]], [1, 3, 5]),
        ([[1, 4, 9], [], [2, 2], [0]], [0, 1, 2, 2, 4, 9]),
        ([[], []], []),
        ([[7, 8], [1, 2], [3, 4], [5, 6], [0]], [0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_merge_sorted(lists, expected):
    assert merge_sorted(lists) == expected
