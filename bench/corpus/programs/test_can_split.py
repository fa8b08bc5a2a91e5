import pytest
from can_split import can_split


@pytest.mark.parametrize(
    ("numbers", "target", "expected"),
    [
        ([], 0, True),
        ([], 1, False),
        ([3], 3, True),
        ([3], 6, False),
        ([1, 5, 9], 10, True),
        ([2, 4, 6], 7, False),
        ([1, 2, 3, 4], 10, True),
        ([8, 1, 2], 11, True),
        ([5, 5], 10, True),
    ],
)
def test_can_split(numbers, target, expected):
    assert can_split(numbers, target) == expected
