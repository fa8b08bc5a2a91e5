import pytest
from heap_sort import heap_sort


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3], [3]),
        ([2, 1], [1, 2]),
        ([3, 1, 2], [1, 2, 3]),
        ([5, 4, 3, 2, 1], [1, 2, 3, 4, 5]),
        ([1, 2, 3, 4], [1, 2, 3, 4]),
        ([2, 2, 1, 3, 1], [1, 1, 2, 2, 3]),
        ([7, -2, 0, 9, 4, 4], [-2, 0, 4, 4, 7, 9]),
    ],
)
def test_heap_sort(values, expected):
    assert heap_sort(values) == expected
