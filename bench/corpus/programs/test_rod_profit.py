import pytest
from rod_profit import rod_profit


@pytest.mark.parametrize(
    ("length", "prices", "expected"),
    [
        (0, {1: 1}, 0),
        (1, {1: 3}, 3),
        (4, {1: 1, 2: 5, 3: 8, 4: 9}, 10),
        (5, {1: 2, 2: 5, 3: 7}, 12),
        (3, {2: 4}, 4),
        (8, {1: 1, 2: 5, 3: 8, 4: 9, 5: 10, 6: 17}, 22),
        (7, {3: 10, 2: 1}, 20),
    ],
)
def test_rod_profit(length, prices, expected):
    assert rod_profit(length, prices) == expected
