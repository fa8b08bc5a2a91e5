import pytest
from best_picks import best_picks


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0),
        ([5], 5),
        ([1, 2], 2),
        ([2, 7, 9, 3, 1], 12),
        ([5, 1, 1, 5], 10),
        ([-1, -2], 0),
        ([3, 2, 5, 10, 7], 15),
    ],
)
def test_best_picks(values, expected):
    assert best_picks(values) == expected
