"""Quantities in forms that compare."""

from __future__ import annotations

import pytest

from services.agents.melding.quantities import Quantity, find


def only(text: str) -> Quantity:
    """The one quantity of a text."""
    (quantity,) = find(text)[0]
    return quantity


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,000 members", "1k members"),
        ("a share of 5 %", "a share of 0.05"),
        ("five percent", "5 %"),
        ("fourteen metres", "14 m"),
        ("46 feet", "14 m"),
        ("two years", "24 months"),
        ("90 minutes", "1.5 hours"),
        ("40 m³", "40,000 litres"),
        ("€5m", "5 million euros"),
        ("20 °C", "68 °F"),
        ("6 pm", "18:00"),
        ("3 May 1990", "1990-05-03"),
        ("May 3, 1990", "3rd of May 1990"),
        ("in May 1990", "in 1990"),
        ("about 40 km", "43 km"),
        ("5 to 7 kg", "6 kg"),
        ("more than 5 people", "8 people"),
        ("twice a day", "2 times per day"),
        ("14 m", "14.3 m"),
        ("half of them", "50 %"),
        ("1.5 million people", "1,500,000 people"),
    ],
)
def test_the_same_in_other_forms_agrees(one: str, other: str) -> None:
    first, second = only(one), only(other)
    assert first.comparable(second)
    assert first.agrees(second)
    assert second.agrees(first)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("14 m", "15 m"),
        ("14 m", "14 feet"),
        ("1,000 members", "1,400 members"),
        ("5 %", "0.5 %"),
        ("$4 million", "$5 million"),
        ("3 May 1990", "4 May 1990"),
        ("in 1884", "in 1890"),
        ("at least 30 days", "at least 14 days"),
        ("within 30 days", "within 14 days"),
        ("20 mg", "20 µg"),
        ("6 am", "6 pm"),
        ("two years", "36 months"),
        ("over 300 guests", "250 guests"),
    ],
)
def test_what_cannot_both_be_true_does_not_agree(one: str, other: str) -> None:
    first, second = only(one), only(other)
    assert first.comparable(second)
    assert not first.agrees(second)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5 euros", "5 dollars"),
        ("5 kg", "5 m"),
        ("12 ferries", "12 berths"),
        ("5 m", "5 m per day"),
        ("in 1884", "1884 people"),
    ],
)
def test_quantities_of_different_things_do_not_compare(one: str, other: str) -> None:
    assert not only(one).comparable(only(other))


@pytest.mark.parametrize(
    "text", ["COVID-19", "one of them", "this one", "p < 0.05", "H1N1", "no one", "version 2 and section 4"]
)
def test_what_counts_nothing_is_no_quantity(text: str) -> None:
    assert find(text)[0] == []


def test_labels_are_told_apart() -> None:
    assert find("Section 4 allows it on page 12")[1] == ["section 4", "page 12"]


def test_a_day_that_is_not_in_the_calendar_is_no_date() -> None:
    assert all(quantity.dimension != "date" for quantity in find("2023-02-30")[0])


def test_a_quantity_stands_where_it_is_written() -> None:
    text = "It costs about $5 million, they say."
    quantity = only(text)
    assert text[quantity.start : quantity.end] == "$5 million"
