import pytest
from insertion_sort import insertion_sort


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([1], [1]),
        ([2, 1], [1, 2]),
        ([3, 1, 2], [1, 2, 3]),
        ([5, 4, 3, 2, 1], [1, 2, 3, 4, 5]),
        ([1, 1, 1], [1, 1, 1]),
        ([2, 3, 1, 2, 3], [1, 2, 2, 3, 3]),
        ([-1, 0, -5, 9], [-5, -1, 0, 9]),
    ],
)
def test_insertion_sort(values, expected):
    assert insertion_sort(values) == expected
