"""Charts of tables."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest

from meldrag.agents.v1 import results_pb2
from services.agents.measuring.charts import MAX_BYTES
from services.agents.seeing.plots import plot
from services.chassis.errors import InvalidArgumentError

SVG = "{http://www.w3.org/2000/svg}"
SALES = "month,sales,costs\nJan,3,2\nFeb,5,-1\nMar,4,"


def drawn(csv: str = "", **fields: Any) -> ElementTree.Element:
    chart = plot(results_pb2.ChartInputs(csv=csv, **fields))
    assert len(chart.svg.encode()) <= MAX_BYTES
    root = ElementTree.fromstring(chart.svg)
    colours = {e.attrib[k] for e in root.iter() for k in ("fill", "stroke") if k in e.attrib}
    assert colours <= {"currentColor", "none"}
    assert root[0].text == chart.title
    return root


def described(root: ElementTree.Element) -> str:
    return root[1].text or ""


def words(root: ElementTree.Element) -> list[str]:
    return [e.text or "" for e in root.iter(f"{SVG}text")]


def bars_of(root: ElementTree.Element) -> list[ElementTree.Element]:
    return list(root.findall(f"{SVG}rect"))


def test_words_become_bars_from_zero_as_long_as_their_values() -> None:
    root = drawn(SALES)
    assert root[0].text == "sales, costs by month"
    assert described(root) == "Jan: sales 3, costs 2; Feb: sales 5, costs -1; Mar: sales 4, costs none"
    sizes = [float(bar.attrib["height"]) for bar in bars_of(root)]
    # Three of the one, then two of the other.
    assert sizes == pytest.approx(
        [3 * sizes[4], 5 * sizes[4], 4 * sizes[4], 2 * sizes[4], sizes[4]], rel=0.01
    )
    assert {"Jan", "Feb", "Mar", "sales", "costs"} <= set(words(root))
    level = float(bars_of(root)[0].attrib["y"]) + sizes[0]
    assert float(bars_of(root)[4].attrib["y"]) == pytest.approx(level, abs=0.2)


def test_dates_become_lines_in_their_order_with_gaps() -> None:
    root = drawn("day,a,b\n2024-01-05,4,\n2024-01-01,3,2\n2024-01-09,9,3\n2024-01-02,5,1")
    lines = [line.attrib["points"].split() for line in root.findall(f"{SVG}polyline")]
    assert [len(line) for line in lines] == [4, 2, 1]
    across = [float(point.split(",")[0]) for point in lines[0]]
    assert across == sorted(across)
    # Eight days are eight times as far as one.
    assert (across[3] - across[0]) / (across[1] - across[0]) == pytest.approx(8, rel=0.02)
    assert any(word.startswith("2024-01-0") for word in words(root))


def test_numbers_that_go_to_and_fro_become_points() -> None:
    root = drawn("height,weight\n3,4\n1,9\n2,4\n8,3")
    (path,) = [e for e in root.findall(f"{SVG}path") if e.attrib["d"].endswith("h0")]
    assert path.attrib["d"].count("M") == 4
    assert root[0].text == "weight by height"


def test_many_values_without_a_place_are_counted() -> None:
    root = drawn(json=json.dumps([i % 7 for i in range(70)]))
    assert "70 values" in described(root)
    assert len(bars_of(root)) >= 5


def test_a_few_values_are_bars_by_their_row() -> None:
    assert described(drawn(json="[3, 1, 2]")) == "1: 3; 2: 1; 3: 2"


def test_what_is_asked_for_goes_before_what_would_be_chosen() -> None:
    root = drawn(SALES, kind="bars", y=["costs"], title="What it cost <b>")
    assert root[0].text == "What it cost <b>"
    assert described(root) == "Jan: 2; Feb: -1; Mar: none"
    assert root.findall(f"{SVG}g") == []
    turned = drawn("a,b\n3,1\n2,2\n1,3", kind="lines", x="b")
    assert "a" in words(turned)


def test_much_is_drawn_within_the_bounds() -> None:
    rows = [{"x": (i * 7919) % 2_000, **{f"s{k}": (i * k) % 97 for k in range(6)}} for i in range(2_000)]
    root = drawn(json=json.dumps(rows), kind="points", x="x")
    assert "every 4th of 12000 is shown" in described(root)
    drawn(json=json.dumps(rows), kind="lines", x="x")
    labels = [{"word": f"{'long ' * 20}{i}", **{f"s{k}": i for k in range(6)}} for i in range(60)]
    drawn(json=json.dumps(labels))


@pytest.mark.parametrize(
    ("fields", "path", "cause"),
    [
        ({}, "$.chart.csv", "one of the two"),
        ({"csv": SALES, "json": "[1]"}, "$.chart.csv", "one of the two"),
        ({"csv": "a,b\n1"}, "$.chart.csv", "row 1 has 1 cells"),
        ({"json": "{"}, "$.chart.json", "no JSON"),
        ({"json": json.dumps(list(range(2_001)))}, "$.chart.json", "2,000 rows"),
        ({"csv": SALES, "kind": "pie"}, "$.chart.kind", "bars, lines, points, histogram"),
        ({"csv": SALES, "y": ["profit"]}, "$.chart.y", "no column 'profit'"),
        ({"csv": SALES, "x": "year"}, "$.chart.x", "no column 'year'"),
        ({"csv": SALES, "y": ["month"]}, "$.chart.y", "something else than numbers"),
        ({"csv": "a\nx\ny"}, "$.chart.y", "no column holds numbers"),
        ({"csv": SALES, "kind": "lines"}, "$.chart.x", "holds words"),
        ({"csv": SALES, "kind": "histogram"}, "$.chart.y", "name it"),
        ({"json": json.dumps([{f"c{i}": 1 for i in range(9)}])}, "$.chart.y", "at most 6"),
        ({"json": json.dumps([{"w": f"x{i}", "v": i} for i in range(61)])}, "$.chart.kind", "60 can be told"),
        ({"csv": SALES, "title": "x" * 201}, "$.chart.title", "200 characters"),
        ({"csv": "a,b\n,1\n2,2", "kind": "points", "x": "a"}, "$.chart.x", "lacks values"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(fields: dict[str, Any], path: str, cause: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        plot(results_pb2.ChartInputs(**fields))
    assert caught.value.reason == "INPUTS_INVALID"
    assert caught.value.metadata["path"] == path
    assert cause in caught.value.metadata["cause"]
