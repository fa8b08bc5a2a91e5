import pytest
from chain_cost import chain_cost


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], 0),
        ([3], 0),
        ([2, 3], 0),
        ([2, 3, 4], 24),
        ([10, 20, 30, 40], 18000),
        ([40, 20, 30, 10, 30], 26000),
        ([5, 1, 5, 1, 5], 35),
    ],
)
def test_chain_cost(sizes, expected):
    assert chain_cost(sizes) == expected
