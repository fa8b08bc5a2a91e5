import pytest
from in_base import in_base


@pytest.mark.parametrize(
    ("number", "base", "expected"),
    [
        (0, 2, "0"),
        (5, 2, "101"),
        (255, 16, "ff"),
        (-10, 2, "-1010"),
        (35, 36, "z"),
        (1000, 10, "1000"),
        (8, 8, "10"),
        (-255, 16, "-ff"),
    ],
)
def test_in_base(number, base, expected):
    assert in_base(number, base) == expected
