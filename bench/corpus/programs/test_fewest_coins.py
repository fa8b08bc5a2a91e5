import pytest
from fewest_coins import fewest_coins


@pytest.mark.parametrize(
    ("coins", "amount", "expected"),
    [
        ([1], 0, 0),
        ([1], 3, 3),
        ([2], 3, -1),
        ([1, 3, 4], 6, 2),
        ([5, 10], 30, 3),
        ([2, 5], 11, 4),
        ([7], 7, 1),
        ([3, 5], 7, -1),
        ([2, 5, 10], 27, 4),
    ],
)
def test_fewest_coins(coins, amount, expected):
    assert fewest_coins(coins, amount) == expected
