"""Boxes and arrows."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meldrag.agents.v1 import results_pb2
from services.agents.measuring.charts import MAX_BYTES
from services.agents.seeing.diagrams import draw, graph
from services.chassis.errors import InvalidArgumentError

SVG = "{http://www.w3.org/2000/svg}"
Inputs = results_pb2.DiagramInputs


def drawn(inputs: results_pb2.DiagramInputs) -> ElementTree.Element:
    chart = draw(inputs)
    assert len(chart.svg.encode()) <= MAX_BYTES
    return ElementTree.fromstring(chart.svg)


def boxes(root: ElementTree.Element) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of each, in the order in which they were named."""
    found = []
    for rect in root.findall(f"{SVG}rect"):
        x, y, width, height = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height))
    return found


def overlap(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]


def test_text_says_boxes_arrows_and_labels() -> None:
    made = graph(
        Inputs(text="# the house\npage -> gateway: HTTP\ngateway => agents\nagents: The agents\nalone\n")
    )
    assert dict(made.nodes) == {
        "page": "page",
        "gateway": "gateway",
        "agents": "The agents",
        "alone": "alone",
    }
    assert made.edges == (("page", "gateway", "HTTP"), ("gateway", "agents", ""))


def test_boxes_and_arrows_may_be_given_one_by_one_as_well() -> None:
    made = graph(
        Inputs(
            nodes=[results_pb2.DiagramNode(id="a", label="First")],
            edges=[results_pb2.DiagramEdge(source="a", target="b", label="then")],
            text="b -> c",
        )
    )
    assert dict(made.nodes) == {"a": "First", "b": "b", "c": "c"}
    assert made.edges == (("a", "b", "then"), ("b", "c", ""))


def test_an_arrow_leads_down_and_one_back_is_dashed() -> None:
    root = drawn(Inputs(text="a -> b\nb -> c\nc -> a: again", title="Round"))
    first, second, third = boxes(root)
    assert first[3] < second[1] < second[3] < third[1]
    arrows = root.findall(f"{SVG}g/{SVG}path")
    assert ["stroke-dasharray" in arrow.attrib for arrow in arrows] == [False, False, True]
    assert root[0].text == "Round"
    assert "c to a (again)" in (root[1].text or "")


def test_an_arrow_starts_and_ends_at_its_boxes() -> None:
    root = drawn(Inputs(text="a -> b"))
    (arrow,) = root.findall(f"{SVG}g/{SVG}path")
    start, end = (tuple(map(float, p.split())) for p in arrow.attrib["d"].removeprefix("M").split("L"))
    first, second = boxes(root)
    assert start[1] == first[3]
    assert end[1] == second[1]
    assert first[0] <= start[0] <= first[2]


@given(st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_boxes_never_cover_each_other(pairs: list[tuple[int, int]]) -> None:
    edges = [results_pb2.DiagramEdge(source=f"n{a}", target=f"n{b}", label=f"{a}") for a, b in pairs]
    root = drawn(Inputs(edges=edges))
    found = boxes(root)
    assert len(found) == len({node for pair in pairs for node in pair})
    assert not any(overlap(one, other) for i, one in enumerate(found) for other in found[:i])
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    assert all(left >= 0 and right <= width and bottom <= height for left, _, right, bottom in found)


def test_markup_stays_text() -> None:
    chart = draw(Inputs(text='<script>alert(1)</script> : "x" & y\x07', title="<b>"))
    assert "<script" not in chart.svg
    ElementTree.fromstring(chart.svg)


@pytest.mark.parametrize(
    ("fields", "path", "cause"),
    [
        ({}, "$.diagram.nodes", "nothing to draw"),
        ({"text": "a -> "}, "$.diagram.text", "line 1"),
        ({"text": "\n".join(f"n{i}" for i in range(61))}, "$.diagram.nodes", "61 boxes"),
        (
            {"text": "\n".join(f"n{i % 20} -> n{i // 20}: {i}" for i in range(201))},
            "$.diagram.nodes",
            "201 arrows",
        ),
        ({"text": "a: " + "x" * 121}, "$.diagram.nodes", "at most 120"),
        ({"text": "a -> b: " + "x" * 121}, "$.diagram.edges", "at most 120"),
        ({"text": "x" * 20_001}, "$.diagram.text", "20,000"),
        ({"text": "a", "title": "x" * 201}, "$.diagram.title", "200"),
        ({"nodes": [{"id": "a"}, {"id": "a"}]}, "$.diagram.nodes", "two boxes"),
        ({"nodes": [{"label": "a"}]}, "$.diagram.nodes", "1 to 60"),
    ],
)
def test_what_cannot_be_drawn_is_named_with_its_place(fields: dict[str, Any], path: str, cause: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        draw(Inputs(**fields))
    assert caught.value.metadata["path"] == path
    assert cause in caught.value.metadata["cause"]
