import pytest
from shortest_costs import shortest_costs


@pytest.mark.parametrize(
    ("graph", "source", "expected"),
    [
        ({}, "a", {"a": 0}),
        ({"a": {"b": 1}}, "a", {"a": 0, "b": 1}),
        ({"a": {"b": 4, "c": 1}, "c": {"b": 2}}, "a", {"a": 0, "b": 3, "c": 1}),
        ({"a": {"b": 1}, "b": {"a": 1, "c": 5}}, "a", {"a": 0, "b": 1, "c": 6}),
        (
            {"a": {"b": 2, "c": 9}, "b": {"c": 3, "d": 8}, "c": {"d": 1}},
            "a",
            {"a": 0, "b": 2, "c": 5, "d": 6},
        ),
        (
            {"a": {"b": 7, "c": 3}, "c": {"b": 1, "d": 8}, "b": {"d": 2}},
            "a",
            {"a": 0, "b": 4, "c": 3, "d": 6},
        ),
        ({"x": {"y": 1}, "a": {}}, "a", {"a": 0}),
    ],
)
def test_shortest_costs(graph, source, expected):
    assert shortest_costs(graph, source) == expected
