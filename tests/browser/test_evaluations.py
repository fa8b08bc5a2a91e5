"""Somebody evaluates a collection on the page: progress, the report, two settings side by side, deletion."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.accessibility import program, violations
from tests.browser.conftest import OpenPage, reload
from tests.support.launched import House

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(240)]

READY = 60_000
TEXTS = {
    "tides.md": "# The tide\n\nThe spring tide at Hallgrim reaches 4.2 metres above the lowest mark.\n",
    "granite.md": "# Granite\n\nGranite is a coarse rock of quartz and feldspar that cooled slowly.\n",
}
GOLDEN = [
    {"id": "tide", "query": "How high is the spring tide?", "relevant": [{"title": "The tide"}]},
    {"id": "rock", "query": "What is granite made of?", "relevant": [{"title": "Granite"}]},
]


@pytest.fixture(scope="module")
def measured(house: House) -> str:
    """A collection of two documents with all vectors; its name."""
    with httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60) as http:
        http.post("/collections", json={"name": "measured"}).raise_for_status()
        for name, text in TEXTS.items():
            file = {"file": (name, text.encode(), "text/markdown")}
            told = http.post(
                "/collections/measured/documents", files=file, headers={"Accept": "text/event-stream"}
            )
            told.raise_for_status()
    return "measured"


def at_part(page: Page, house: House, collection: str, part: str) -> None:
    """Opens a part of a collection in Knowledge."""
    page.evaluate("name => localStorage.setItem('meld.collection', name)", collection)
    page.goto(f"{house.base_url}/#view=knowledge&item={part}")
    reload(page)
    expect(page.locator(".collection-part")).not_to_be_empty()
    expect(page.locator(".collection-part")).not_to_have_attribute("aria-busy", "true")


def written(folder: Path, lines: list[Any]) -> Path:
    """A golden set as NDJSON."""
    file = folder / "golden.ndjson"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return file


def test_two_settings_side_by_side_and_deleted(
    open_page: OpenPage, house: House, measured: str, tmp_path: Path
) -> None:
    page = open_page(house.base_url, bypass_csp=True)
    at_part(page, house, measured, "evaluations")
    part = page.locator(".collection-part")
    expect(part).to_contain_text("No evaluation yet")
    # By keyboard alone, but for the file, which the browser's own dialog picks.
    page.get_by_label("Golden set").set_input_files(written(tmp_path, GOLDEN))
    page.get_by_label("Golden set").focus()
    page.keyboard.press("Tab")
    page.keyboard.type("first look")
    page.get_by_label("Setting").select_option("lexical")
    page.get_by_label("Compared with").select_option("dense")
    page.get_by_label("Compared with").focus()
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Evaluate")).to_be_focused()
    page.keyboard.press("Enter")

    report = page.get_by_role("region", name="Report")
    expect(report.get_by_role("heading", name="first look")).to_be_focused(timeout=READY)
    http = httpx.Client(base_url=f"{house.base_url}/api/v1/collections/{measured}", timeout=30)
    (kept,) = http.get("/evaluations").json()["evaluations"]
    assert [setting["mode"] for setting in kept["settings"]] == ["LEXICAL", "DENSE"]
    in_sum = page.get_by_role("region", name="In sum")
    for setting in kept["settings"]:
        mean = setting["metrics"]["ndcg@10"]["mean"]
        expect(in_sum.get_by_role("row", name=re.compile("nDCG at 10"))).to_contain_text(f"{mean:.3f} [")
    expect(in_sum).to_contain_text("Better, worse, alike")
    rows = page.get_by_role("region", name="Query by query").locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("How high is the spring tide?")
    # Another measure of the same queries.
    page.get_by_label("Measure of each query").select_option("mrr")
    queries = http.get(f"/evaluations/{kept['id']}/queries").json()["queries"]
    expect(rows.last).to_contain_text(f"{queries[1]['outcomes'][0]['metrics']['mrr']:.3f}")
    for width, theme in ((1440, "dark"), (390, "light")):
        page.set_viewport_size({"width": width, "height": 844})
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of two
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page, program()) == [], (width, theme)
    with page.expect_download() as saved:
        page.get_by_label("All queries as CSV").click()
    assert Path(saved.value.path()).read_text().startswith("query_id,query,setting,")

    page.get_by_role("button", name="Delete the evaluation first look").click()
    page.get_by_role("button", name="Delete: Delete the evaluation first look").click()
    expect(part).to_contain_text("No evaluation yet")
    expect(report).to_have_count(0)
    assert http.get("/evaluations").json()["evaluations"] == []


def test_progress_is_shown_and_who_stops_keeps_nothing(
    open_page: OpenPage, house: House, measured: str, tmp_path: Path
) -> None:
    many = [{**GOLDEN[0], "id": f"tide {number}"} for number in range(3_000)]
    page = open_page(house.base_url)
    at_part(page, house, measured, "evaluations")
    page.get_by_label("Golden set").set_input_files(written(tmp_path, many))
    page.get_by_role("button", name="Evaluate").click()
    expect(page.locator(".work")).to_contain_text(re.compile(r"[1-9][\d,]* of 3,000 asked"), timeout=READY)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator(".collection-part")).to_contain_text("Stopped. Nothing of it is kept.")
    listed = httpx.get(f"{house.base_url}/api/v1/collections/{measured}/evaluations", timeout=30).json()
    assert listed["evaluations"] == []


def test_a_golden_set_that_is_wrong_says_where(
    open_page: OpenPage, house: House, measured: str, tmp_path: Path
) -> None:
    page = open_page(house.base_url)
    at_part(page, house, measured, "evaluations")
    broken = tmp_path / "broken.ndjson"
    broken.write_text(f'{json.dumps(GOLDEN[0])}\n{{"id": "half\n')
    page.get_by_label("Golden set").set_input_files(broken)
    page.get_by_role("button", name="Evaluate").click()
    alert = page.locator(".collection-part").get_by_role("alert")
    expect(alert).to_contain_text("broken.ndjson, line 2, is not JSON.")
    # What only the house knows.
    stray = {"query": "Where is the moon?", "relevant": [{"title": "No such document"}]}
    page.get_by_label("Golden set").set_input_files(written(tmp_path, [GOLDEN[0], stray]))
    page.get_by_role("button", name="Evaluate").click()
    expect(alert).to_contain_text("line 2")
