"""Drawings."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.agents.measuring.charts import (
    MAX_BYTES,
    Chart,
    growth_plot,
    histogram,
    moment,
    number,
    time_series,
)

SVG = "{http://www.w3.org/2000/svg}"


def parsed(chart: Chart) -> ElementTree.Element:
    assert len(chart.svg.encode()) <= MAX_BYTES
    return ElementTree.fromstring(chart.svg)


def series(values: np.ndarray, name: str = "latency", **marks: object) -> Chart:
    return time_series(name, "ms", np.arange(len(values), dtype=np.float64), values, dated=False, **marks)


def test_a_chart_says_in_words_what_it_shows() -> None:
    root = parsed(series(np.arange(50.0), changes=[20], anomalies=[3, 4]))
    title, description = root[0], root[1]
    assert (title.tag, description.tag) == (f"{SVG}title", f"{SVG}desc")
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-labelledby"] == f"{title.attrib['id']} {description.attrib['id']}"
    assert "latency" in (title.text or "")
    assert description.text == "50 values from 0 to 49 ms; 1 changes of the level; 2 anomalies"
    assert len(root.findall(f"{SVG}circle")) == 2


def test_it_takes_the_colour_of_the_text_around_it() -> None:
    for chart in (
        series(np.arange(50.0)),
        histogram("a", "", np.arange(50.0)),
        growth_plot(
            "t", "s", np.arange(1.0, 9), np.arange(1.0, 9), fitted=np.arange(1.0, 9), fit_name="O(n)"
        ),
    ):
        root = parsed(chart)
        colours = {e.attrib[k] for e in root.iter() for k in ("fill", "stroke") if k in e.attrib}
        assert colours <= {"currentColor", "none"}
        assert {e.tag.removeprefix(SVG) for e in root.iter()} <= {
            *("svg", "title", "desc", "path", "text", "polyline", "circle", "rect", "line")
        }


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a & b", 'x" onload="y', "nul\x00\x1b", "ü" * 500]
)
def test_names_of_columns_are_text_and_nothing_else(name: str) -> None:
    for chart in (series(np.arange(20.0), name), histogram(name, "ms", np.arange(20.0))):
        root = parsed(chart)
        assert not list(root.iter(f"{SVG}script"))
        assert not any(key.startswith("on") for e in root.iter() for key in e.attrib)


def test_no_extreme_of_a_long_series_is_lost() -> None:
    values = np.zeros(100_000)
    values[77_777] = 50
    points = parsed(series(values)).find(f"{SVG}polyline")
    assert points is not None
    heights = {point.split(",")[1] for point in points.attrib["points"].split()}
    assert len(heights) == 2


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=60))
def test_whatever_the_values_are_the_drawing_stays_within_its_frame(values: list[float]) -> None:
    for chart in (series(np.array(values)), histogram("v", "", np.array(values))):
        root = parsed(chart)
        assert "nan" not in chart.svg
        assert "inf" not in chart.svg
        for line in root.iter(f"{SVG}polyline"):
            for point in line.attrib["points"].split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= 720
                assert 0 <= y <= 320


def test_numbers_and_moments_are_short() -> None:
    assert [number(v) for v in (0.000123456, 12.3456, 123456.0, 1e9)] == [
        *("0.0001235", "12.35", "123,456", "1.000e+09")
    ]
    assert moment(1_767_225_600) == "2026-01-01"
    assert moment(1_767_229_260) == "2026-01-01 01:01"
    assert moment(1e18) == "1.000e+18"
