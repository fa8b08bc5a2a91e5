"""What a line depends on."""

from __future__ import annotations

from services.agents.code import slices
from services.agents.code.patching.source import Source

TEXT = """\
def helper(n):
    return n + 1


def work(values, limit):
    total = 0
    noise = []
    for value in values:
        if value > limit:
            continue
        total += helper(value)
        noise.append(value)
    return total
"""


def test_a_slice_leaves_out_what_has_no_part() -> None:
    ran = range(1, 20)
    found = slices.backward(Source(TEXT), ran, [13])
    assert set(found) == {2, 6, 8, 9, 10, 11, 13}
    assert not {7, 12} & set(found)
    assert found[13] == 0
    assert found[11] < found[2]


def test_lines_that_did_not_run_are_left_out() -> None:
    assert set(slices.backward(Source(TEXT), {6, 7, 8, 13}, [13])) == {6, 13}


def test_results_are_what_is_given_back() -> None:
    assert slices.results(Source(TEXT), range(1, 20)) == [2, 13]


def test_a_change_through_a_method_or_an_index_is_a_dependence() -> None:
    text = "def f(a):\n    b = []\n    c = {}\n    b.append(a)\n    c[a] = 1\n    d = 0\n    return b, c\n"
    assert set(slices.backward(Source(text), range(9), [7])) == {2, 3, 4, 5, 7}
