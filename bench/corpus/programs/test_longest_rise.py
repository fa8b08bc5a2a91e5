import pytest
from longest_rise import longest_rise


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([3], [3]),
        ([1, 2], [1, 2]),
        ([2, 1], [2]),
        ([10, 9, 2, 5, 3, 7, 101, 18], [2, 5, 7, 101]),
        ([1, 1, 1], [1]),
        ([0, 8, 4, 12, 2, 10, 6, 14], [0, 8, 12, 14]),
    ],
)
def test_longest_rise(values, expected):
    assert longest_rise(values) == expected
