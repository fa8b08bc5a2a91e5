import pytest
from josephus import josephus


@pytest.mark.parametrize(
    ("people", "step", "expected"),
    [
        (0, 2, []),
        (1, 3, [1]),
        (5, 2, [2, 4, 1, 5, 3]),
        (7, 3, [3, 6, 2, 7, 5, 1, 4]),
        (3, 1, [1, 2, 3]),
        (4, 10, [2, 3, 1, 4]),
    ],
)
def test_josephus(people, step, expected):
    assert josephus(people, step) == expected
