import pytest
from quick_select import quick_select


@pytest.mark.parametrize(
    ("values", "rank", "expected"),
    [
        ([], 0, None),
        ([1], 0, 1),
        ([1], 1, None),
        ([3, 1, 2], 0, 1),
        ([3, 1, 2], 1, 2),
        ([3, 1, 2], 2, 3),
        ([5, 5, 1], 1, 5),
        ([9, 7, 8, 3, 3, 1], 4, 8),
        ([1, 2], -1, None),
    ],
)
def test_quick_select(values, rank, expected):
    assert quick_select(values, rank) == expected
