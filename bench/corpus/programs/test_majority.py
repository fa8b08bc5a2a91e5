import pytest
from majority import majority


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([], None),
        (["a"], "a"),
        (["a", "b"], None),
        (["a", "b", "a"], "a"),
        (["b", "a", "a"], "a"),
        (["a", "b", "c"], None),
        (["c", "c", "a", "a", "a"], "a"),
        (["a", "a", "b", "b"], None),
    ],
)
def test_majority(votes, expected):
    assert majority(votes) == expected
