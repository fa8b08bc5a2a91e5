import pytest
from set_bits import set_bits


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, []),
        (1, [0]),
        (2, [0, 1]),
        (3, [1]),
        (10, [0, 1, 2, 3]),
        (255, [7]),
    ],
)
def test_set_bits(number, expected):
    assert set_bits(number) == expected
