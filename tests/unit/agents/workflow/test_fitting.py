from __future__ import annotations

from typing import Any

import pytest

from services.agents.workflow.fitting import Place, misfit

ROOT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "names": {"type": "array", "items": {"type": "string"}},
        "tree": {"$ref": "#/$defs/Tree"},
        "count": {"type": "integer"},
        "any": {},
        "free": {"type": "object"},
    },
    "$defs": {
        "Tree": {
            "type": "object",
            "properties": {
                "size": {"type": "number"},
                "below": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
            },
        }
    },
}


def test_paths_lead_through_fields_lists_and_references() -> None:
    root = Place.of(ROOT)
    assert root.at(("tree", "below", "0", "below", "2", "size")).kinds == {"number"}
    assert root.at(("any", "whatever", "7")).free
    assert root.at(("free", "x")).free
    assert root.at(("names",)).default == []


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        (("nothing",), "there is no field 'nothing'; there are names, tree"),
        (("names", "x"), "a list has positions"),
        (("count", "x"), "an integer has no field"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(path: tuple[str, ...], cause: str) -> None:
    with pytest.raises(LookupError, match=cause):
        Place.of(ROOT).at(path)


def place(schema: dict[str, Any]) -> Place:
    return Place(schema, ROOT)


TREE, TEXT, WHOLE, NUMBER = (
    {"$ref": "#/$defs/Tree"},
    {"type": "string"},
    {"type": "integer"},
    {"type": "number"},
)


@pytest.mark.parametrize(
    ("source", "target", "cause"),
    [
        (TEXT, TEXT, ""),
        (WHOLE, NUMBER, ""),
        (NUMBER, WHOLE, ""),
        ({}, WHOLE, ""),
        (TEXT, {}, ""),
        (TEXT, WHOLE, "a string stands there, and an integer is needed"),
        ({"type": ["integer", "string"]}, TEXT, ""),
        ({"enum": ["A"]}, TEXT, ""),
        ({"enum": ["A"]}, {"enum": ["A", "B"]}, ""),
        ({"enum": ["A"]}, {"enum": ["B"]}, "the names that may stand there"),
        ({"type": "array", "items": TEXT}, {"type": "array", "items": WHOLE}, "in the list: a string"),
        ({"type": "array"}, {"type": "array", "items": WHOLE}, ""),
    ],
)
def test_whether_something_can_fit(source: dict[str, Any], target: dict[str, Any], cause: str) -> None:
    found = misfit(place(source), place(target))
    assert found == "" if not cause else found.startswith(cause)


def test_messages_that_hold_themselves_are_compared() -> None:
    root = Place.of(ROOT)
    assert misfit(root.at(("tree",)), root.at(("tree", "below", "0"))) == ""
    other = Place.of({"properties": {"size": TEXT, "below": {"type": "array"}}, "type": "object"})
    assert "in 'size': a number stands there" in misfit(root.at(("tree",)), other)
