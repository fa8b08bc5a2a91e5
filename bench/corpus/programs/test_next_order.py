import pytest
from next_order import next_order


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([1], [1]),
        ([1, 2], [2, 1]),
        ([2, 1], [1, 2]),
        ([1, 2, 3], [1, 3, 2]),
        ([1, 3, 2], [2, 1, 3]),
        ([3, 2, 1], [1, 2, 3]),
        ([1, 1, 2], [1, 2, 1]),
        ([2, 3, 3, 1], [3, 1, 2, 3]),
        ([1, 5, 4, 3], [3, 1, 4, 5]),
    ],
)
def test_next_order(items, expected):
    assert next_order(items) == expected
