import pytest
from duration import duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5s", 5),
        ("1h30m", 5400),
        ("2d", 172800),
        ("", None),
        ("10", None),
        ("h", None),
        ("1h2x", None),
        ("1m1s", 61),
        ("10m5", None),
    ],
)
def test_duration(text, expected):
    assert duration(text) == expected
