import pytest
from brackets import brackets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", -1),
        ("()", -1),
        ("(]", 1),
        ("(", 1),
        (")", 0),
        ("a(b[c]{d})", -1),
        ("(()", 3),
        ("[(])", 2),
        ("x", -1),
    ],
)
def test_brackets(text, expected):
    assert brackets(text) == expected
