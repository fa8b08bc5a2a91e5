import pytest
from stock_profit import stock_profit


@pytest.mark.parametrize(
    ("prices", "fee", "expected"),
    [
        ([], 1, 0),
        ([5], 1, 0),
        ([1, 5], 1, 3),
        ([5, 1], 0, 0),
        ([1, 3, 2, 8, 4, 9], 2, 8),
        ([1, 2, 3, 4], 0, 3),
        ([1, 10, 2, 10], 0, 17),
        ([4, 4, 4], 1, 0),
    ],
)
def test_stock_profit(prices, fee, expected):
    assert stock_profit(prices, fee) == expected
