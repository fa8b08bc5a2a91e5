import pytest
from water_held import water_held


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([], 0),
        ([1], 0),
        ([1, 0, 1], 1),
        ([3, 0, 2], 2),
        ([0, 1, 0, 2, 1, 0, 1, 3, 2, 1, 2, 1], 6),
        ([4, 2, 0, 3, 2, 5], 9),
        ([5, 4, 3], 0),
        ([2, 0, 0, 2], 4),
    ],
)
def test_water_held(heights, expected):
    assert water_held(heights) == expected
