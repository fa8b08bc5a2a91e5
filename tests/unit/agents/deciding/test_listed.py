"""Options and criteria that a message lists."""

from __future__ import annotations

from services.agents.deciding.listed import read_criteria, read_options
from services.agents.deciding.matrix import Better, Stated


def read(text: str) -> Stated:
    stated = Stated()
    read_options(text, stated)
    read_criteria(text, stated)
    return stated


def test_a_line_lists_options_and_criteria_with_what_is_said_of_them() -> None:
    stated = read(
        "Which supplier? Options: Ada Ltd, Bob and Cyd (north, by sea). "
        "Criteria: cost (weight 3, EUR, lower is better), quality (2) and delivery time (days)."
    )
    assert list(stated.options.values()) == ["Ada Ltd", "Bob", "Cyd (north, by sea)"]
    cost, quality, time = stated.criteria.values()
    assert (cost.name, cost.weight, cost.unit, cost.better) == ("cost", 3, "EUR", Better.LOWER)
    assert (quality.name, quality.weight) == ("quality", 2)
    assert (time.name, time.unit, time.weight) == ("delivery time", "days", 0)


def test_a_list_with_a_line_for_each_is_read_as_well() -> None:
    stated = read(
        "Decide.\nOptions:\n- Build, ourselves\n- Buy\n\nCriteria:\n1. cost (weight 3)\n2. fun\nThanks"
    )
    assert list(stated.options.values()) == ["Build, ourselves", "Buy"]
    assert [criterion.name for criterion in stated.criteria.values()] == ["cost", "fun"]


def test_what_is_not_labelled_is_no_option() -> None:
    stated = read("Should we build or buy the billing system? Our options are limited, and criteria matter.")
    assert not stated.options
    assert not stated.criteria
