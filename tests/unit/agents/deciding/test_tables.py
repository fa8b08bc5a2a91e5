"""Scores in CSV and in tables of a message."""

from __future__ import annotations

import pytest

from services.agents.deciding.matrix import Better, Stated
from services.agents.deciding.tables import read_csv, read_pipes
from services.chassis.errors import InvalidArgumentError


@pytest.mark.parametrize(
    "text",
    [
        "o,cost,ease\nunit,EUR,\nweight,2,1\ndirection,lower first,higher\nat most,20,\nA,1.5,n/a\nB,2,3\n",
        "o;cost;ease\nunit;EUR;\nweight;2;1\ndirection;low;more\nat most;20;\nA;1,5;?\n\nB;2;3\n",
        "o\tcost\tease\nunit\tEUR\t\nweight\t2\t1\ndirection\tmin\tmax\nat most\t20\t\nA\t1.5\nB\t2\t3\n",
    ],
)
def test_a_table_says_options_criteria_and_scores(text: str) -> None:
    stated = Stated()
    read_csv(text, stated)
    matrix = stated.matrix()
    assert matrix.options == ("A", "B")
    assert matrix.values == {("A", "cost"): 1.5, ("B", "cost"): 2, ("B", "ease"): 3}
    cost, ease = matrix.criteria
    assert (cost.weight, cost.unit, cost.better, cost.at_most) == (2, "EUR", Better.LOWER, 20)
    assert (ease.weight, ease.unit, ease.better, ease.at_least) == (1, "", Better.HIGHER, None)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("o,cost\nA,cheap\n", "line 2, cost: 'cheap' is no number"),
        ("o,cost\nA,1,2\n", "3 cells"),
        ("o,cost\nA,1\na,2\n", "two scores"),
        ("o,cost,Cost\nA,1,2\n", "two columns"),
        ("o\nA\n", "header"),
        ("o,cost\nweight,-1\nA,1\n", "at least 0"),
        ("o,cost\nA,nan\n", "finite"),
        ("o,cost\ndirection,sideways\n", "neither higher nor lower"),
        ('o,cost\n"A,1\n', "unexpected end"),
    ],
)
def test_what_is_wrong_is_named(text: str, cause: str) -> None:
    def read() -> None:
        stated = Stated()
        read_csv(text, stated)
        stated.matrix()

    with pytest.raises(InvalidArgumentError) as caught:
        read()
    assert caught.value.reason == "INPUTS_INVALID"
    assert cause in caught.value.message


def test_a_table_in_a_message_is_read_if_it_is_one_of_scores() -> None:
    stated = Stated()
    assert read_pipes(
        "Which?\n\n| car | price |\n|---|---:|\n| weight | 1 |\n| Red | 10 |\n| Blue | |\n\nBye", stated
    )
    assert stated.matrix().options == ("Red", "Blue")
    assert stated.values == {("Red", "price"): 10}
    other = Stated()
    assert not read_pipes("| who | what |\n|---|---|\n| Ann | sings |\n", other)
    assert not other.options
    assert not read_pipes("no table | here", other)
