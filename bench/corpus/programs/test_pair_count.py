import pytest
from pair_count import pair_count


@pytest.mark.parametrize(
    ("values", "target", "expected"),
    [
        ([], 3, 0),
        ([1], 2, 0),
        ([1, 2], 3, 1),
        ([1, 2, 3, 4], 5, 2),
        ([1, 2, 4, 8], 6, 1),
        ([0, 1, 2, 3, 4, 5], 5, 3),
        ([1, 3], 5, 0),
        ([-3, -1, 1, 3], 0, 2),
    ],
)
def test_pair_count(values, target, expected):
    assert pair_count(values, target) == expected
