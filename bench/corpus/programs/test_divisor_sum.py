import pytest
from divisor_sum import kind


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (1, "deficient"),
        (6, "perfect"),
        (28, "perfect"),
        (12, "abundant"),
        (16, "deficient"),
        (36, "abundant"),
        (7, "deficient"),
        (18, "abundant"),
    ],
)
def test_kind(number, expected):
    assert kind(number) == expected
