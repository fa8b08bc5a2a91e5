import pytest
from two_colours import two_colours


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({}, True),
        ({1: [2], 2: [1]}, True),
        ({1: [2, 3], 2: [1, 3], 3: [1, 2]}, False),
        ({1: [2, 4], 2: [1, 3], 3: [2, 4], 4: [1, 3]}, True),
        ({1: [], 2: [3, 4], 3: [2, 4], 4: [2, 3]}, False),
        ({1: [2], 2: [1, 3], 3: [2, 4], 4: [3]}, True),
        ({1: [1]}, False),
    ],
)
def test_two_colours(graph, expected):
    assert two_colours(graph) == expected
