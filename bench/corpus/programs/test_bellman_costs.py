import pytest
from bellman_costs import bellman_costs


@pytest.mark.parametrize(
    ("size", "edges", "source", "expected"),
    [
        (1, [], 0, [0]),
        (2, [(0, 1, 5)], 0, [0, 5]),
        (3, [(0, 1, 4), (0, 2, 1), (2, 1, 2)], 0, [0, 3, 1]),
        (3, [(0, 1, 1), (1, 2, -3)], 0, [0, 1, -2]),
        (3, [(1, 2, 1), (2, 1, -2), (0, 1, 1)], 0, None),
        (4, [(2, 3, 1), (1, 2, 1), (0, 1, 1)], 0, [0, 1, 2, 3]),
        (3, [(1, 2, -1), (2, 1, -1)], 0, [0, None, None]),
    ],
)
def test_bellman_costs(size, edges, source, expected):
    assert bellman_costs(size, edges, source) == expected
