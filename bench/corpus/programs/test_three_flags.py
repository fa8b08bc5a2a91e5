import pytest
from three_flags import three_flags


@pytest.mark.parametrize(
    ("values", "pivot", "expected"),
    [
        ([], 1, []),
        ([1], 1, [1]),
        ([2, 0, 1], 1, [0, 1, 2]),
        ([2, 2, 0, 0, 1, 1], 1, [0, 0, 1, 1, 2, 2]),
        ([0, 1, 2, 0, 1, 2], 1, [0, 0, 1, 1, 2, 2]),
        ([5, 3, 4, 3, 1], 3, [1, 3, 3, 4, 5]),
        ([2, 1], 1, [1, 2]),
    ],
)
def test_three_flags(values, pivot, expected):
    assert three_flags(values, pivot) == expected
