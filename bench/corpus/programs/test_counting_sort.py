import pytest
from counting_sort import counting_sort


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([4], [4]),
        ([3, 1, 2], [1, 2, 3]),
        ([0, 0, 1], [0, 0, 1]),
        ([-2, 5, -2, 0], [-2, -2, 0, 5]),
        ([10, 12, 11, 12], [10, 11, 12, 12]),
    ],
)
def test_counting_sort(values, expected):
    assert counting_sort(values) == expected
