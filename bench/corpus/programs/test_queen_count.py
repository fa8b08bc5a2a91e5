import pytest
from queen_count import queen_count


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, 1),
        (1, 1),
        (2, 0),
        (3, 0),
        (4, 2),
        (5, 10),
        (6, 4),
    ],
)
def test_queen_count(size, expected):
    assert queen_count(size) == expected
