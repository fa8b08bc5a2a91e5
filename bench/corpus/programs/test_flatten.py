import pytest
from flatten import flatten


@pytest.mark.parametrize(
    ("nested", "depth", "expected"),
    [
        ([], 1, []),
        ([1, [2]], 1, [1, 2]),
        ([1, [2, [3]]], 1, [1, 2, [3]]),
        ([1, [2, [3]]], 2, [1, 2, 3]),
        ([[[[4]]]], -1, [4]),
        ([[1], [2, [3]], 4], 0, [[1], [2, [3]], 4]),
        ([[], [[]]], -1, []),
    ],
)
def test_flatten(nested, depth, expected):
    assert flatten(nested, depth) == expected
