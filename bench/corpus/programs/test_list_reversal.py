import pytest
from list_reversal import list_reversal


@pytest.mark.parametrize(
    ("values", "count", "expected"),
    [
        ([], 2, []),
        ([1], 1, [1]),
        ([1, 2, 3], 2, [2, 1, 3]),
        ([1, 2, 3], 3, [3, 2, 1]),
        ([1, 2, 3], 5, [3, 2, 1]),
        ([1, 2, 3, 4], 0, [1, 2, 3, 4]),
        ([1, 2, 3, 4], 1, [1, 2, 3, 4]),
    ],
)
def test_list_reversal(values, count, expected):
    assert list_reversal(values, count) == expected
