import pytest
from merge_spans import merge_spans


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(1, 2)], [(1, 2)]),
        ([(1, 3), (2, 4)], [(1, 4)]),
        ([(1, 2), (2, 3)], [(1, 3)]),
        ([(5, 6), (1, 2)], [(1, 2), (5, 6)]),
        ([(1, 9), (2, 3)], [(1, 9)]),
        ([(1, 4), (6, 8), (3, 5)], [(1, 5), (6, 8)]),
        ([(1, 9), (2, 3), (8, 10)], [(1, 10)]),
    ],
)
def test_merge_spans(spans, expected):
    assert merge_spans(spans) == expected
