import pytest
from coin_ways import coin_ways


@pytest.mark.parametrize(
    ("coins", "amount", "expected"),
    [
        ([], 0, 1),
        ([], 3, 0),
        ([1], 4, 1),
        ([1, 2], 4, 3),
        ([2, 5], 3, 0),
        ([1, 2, 5], 10, 10),
        ([3, 7], 21, 2),
        ([5], 5, 1),
    ],
)
def test_coin_ways(coins, amount, expected):
    assert coin_ways(coins, amount) == expected
