"""What a house of several people has on the page: grants, vectors built anew, limits, webhooks."""

from __future__ import annotations

import csv
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.browser.accessibility import program, violations
from tests.browser.conftest import CODE, DESKTOP, arrived, reload, watched
from tests.browser.test_evaluations import at_part
from tests.browser.test_login import PASSWORD, at_the_door, fill_in
from tests.support.launched import House
from tests.support.model_server import Answer, JsonObject, ModelServer
from tests.support.webhook_receiver import Receiver

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(240)]

READY = 60_000
TEXT = b"# The tide\n\nThe spring tide at Hallgrim reaches 4.2 metres above the lowest mark.\n"
BETH = "granite from the north"


class Waiting(ModelServer):
    """A model that makes no vector of a document before it may."""

    def __init__(self, port: int) -> None:
        super().__init__(port=port)
        self.may = threading.Event()

    def _embeddings(self, body: JsonObject) -> JsonObject:
        if "Hallgrim" in str(body["input"]):
            self.may.wait(READY / 1_000)
        return super()._embeddings(body)

    def close(self) -> None:
        """See ModelServer."""
        self.may.set()
        super().close()


def signed_in(house: House, name: str, password: str) -> httpx.Client:
    """A program that acts for somebody."""
    http = httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=60)
    token = http.post("/auth/login", json={"name": name, "password": password}).json()["access_token"]
    http.headers["Authorization"] = f"Bearer {token}"
    return http


@pytest.fixture(scope="module")
def olga(guarded: House) -> Iterator[httpx.Client]:
    """The owner of the house, with a member beth, and a collection with a document in it."""
    with httpx.Client(base_url=f"{guarded.base_url}/api/v1", timeout=30) as http:
        # 409 where another test has made her.
        http.post("/auth/setup", json={"name": "olga", "password": PASSWORD, "setup_code": CODE})
    http = signed_in(guarded, "olga", PASSWORD)
    beth = {"name": "beth", "password": BETH, "role": "member", "groups": ["pilots"]}
    http.post("/users", json=beth).raise_for_status()
    http.post("/collections", json={"name": "granted"}).raise_for_status()
    sent = http.post(
        "/collections/granted/documents",
        files={"file": ("tides.md", TEXT, "text/markdown")},
        headers={"Accept": "text/event-stream"},
    )
    sent.raise_for_status()
    yield http
    http.close()


@contextmanager
def signed_window(browser: Browser, house: House, name: str, password: str, **options: Any) -> Iterator[Page]:
    """A window in which somebody has signed in."""
    context = browser.new_context(viewport=DESKTOP, **options)  # type: ignore[arg-type]  # as the others have it
    page = watched(context.new_page())
    page.set_default_timeout(15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(house.base_url)
    at_the_door(page)
    fill_in(page, name, password)
    page.keyboard.press("Enter")
    arrived(page)  # It loads itself again: what goes elsewhere before that may be overtaken.
    expect(page.get_by_role("dialog")).to_have_count(0)
    try:
        yield page
    finally:
        context.close()
    assert faults == []


@pytest.fixture
def page(browser: Browser, guarded: House, olga: httpx.Client) -> Iterator[Page]:
    """A window in which the owner has signed in."""
    with signed_window(browser, guarded, "olga", PASSWORD, bypass_csp=True) as page:
        yield page


def flawless(page: Page) -> None:
    """In both themes, wide and narrow."""
    for width, theme in ((1440, "dark"), (390, "light")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]  # one of two
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page, program()) == [], (width, theme)
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]  # as the others have it


def test_an_owner_lets_others_in_and_takes_it_back(page: Page, guarded: House, olga: httpx.Client) -> None:
    beth = signed_in(guarded, "beth", BETH)
    assert beth.get("/collections/granted").status_code == 404
    at_part(page, guarded, "granted", "access")
    part = page.locator(".collection-part")
    expect(part).to_contain_text("Nobody else sees this collection.")
    part.get_by_role("combobox", name="Who", exact=True).select_option("user")
    part.get_by_role("combobox", name="User", exact=True).select_option(label="beth")
    part.get_by_role("button", name="Let in").focus()
    page.keyboard.press("Enter")
    expect(part.get_by_role("status")).to_have_text("beth may read.")
    assert beth.get("/collections/granted").json()["role"] == "READER"

    part.get_by_label("What beth may", exact=True).select_option("writer")
    expect(part.get_by_role("status")).to_have_text("beth may read and write.")
    assert beth.get("/collections/granted").json()["role"] == "WRITER"
    part.get_by_role("combobox", name="Who", exact=True).select_option("group")
    part.get_by_role("combobox", name="Group", exact=True).fill("pilots")
    page.keyboard.press("Enter")
    rows = page.get_by_role("region", name="Who may use it").locator("tbody tr")
    expect(rows).to_have_count(2)
    flawless(page)

    part.get_by_role("button", name="Take back what beth may").click()
    part.get_by_role("button", name="Take back: Take back what beth may").click()
    expect(rows).to_have_count(1)
    access = olga.get("/collections/granted").json()["access"]
    assert access == [{"group": "pilots", "role": "READER"}]
    assert beth.get("/collections/granted").json()["role"] == "READER"


def test_who_may_not_change_it_is_told_so(browser: Browser, guarded: House, olga: httpx.Client) -> None:
    olga.put("/collections/granted/access", json={"access": [{"group": "everyone", "role": "reader"}]})
    with signed_window(browser, guarded, "beth", BETH) as page:
        at_part(page, guarded, "granted", "access")
        part = page.locator(".collection-part")
        expect(part).to_contain_text("You may read this collection.")
        expect(part.get_by_role("button")).to_have_count(0)


def test_who_does_not_own_it_sees_the_model_and_no_button(
    browser: Browser, guarded: House, olga: httpx.Client
) -> None:
    olga.put("/collections/granted/access", json={"access": [{"group": "everyone", "role": "writer"}]})
    with signed_window(browser, guarded, "beth", BETH) as page:
        page.route("**/api/v1/collections/granted", after_a_switch)
        at_part(page, guarded, "granted", "model")
        part = page.locator(".collection-part")
        expect(part).to_contain_text("all-MiniLM-L6-v2 answers now")
        expect(part).to_contain_text("Its 1 vector is kept until")
        expect(part).to_contain_text("Which model it has, its owner says")
        expect(part.get_by_role("button")).to_have_count(0)
        expect(part.get_by_role("combobox")).to_have_count(0)


def after_a_switch(route: Route) -> None:
    """As the house would say it for a week."""
    answer = route.fetch()
    kept = {"embedding_model": "other-model", "dimension": 16, "embedding_revision": None, "vectors": 1}
    told = {**answer.json(), "previous_embedding": {**kept, "expires": "2026-12-04T10:00:00Z"}}
    route.fulfill(response=answer, json=told)


def test_a_model_that_does_not_answer_is_not_begun_with(
    page: Page, guarded: House, olga: httpx.Client
) -> None:
    at_part(page, guarded, "granted", "model")
    page.get_by_role("button", name="Build its vectors").focus()
    page.keyboard.press("Enter")
    # Nobody is at the port of the second model.
    expect(page.get_by_role("alert")).to_contain_text("other-model", timeout=READY)
    expect(page.get_by_role("button", name="Build its vectors")).to_be_focused()
    flawless(page)
    assert olga.get("/collections/granted").json()["reembedding"] is None


def test_a_collection_goes_over_to_another_model_and_back(
    page: Page, guarded: House, olga: httpx.Client, embeddings_port: int
) -> None:
    at_part(page, guarded, "granted", "model")
    expect(page.get_by_role("region", name="Model now")).to_contain_text("1 of 1")
    expect(page.get_by_role("combobox", name="Model", exact=True).locator("option")).to_have_text(
        ["other-model, 16 dimensions"]
    )
    with Waiting(port=embeddings_port) as model:
        given_up(page, olga)
        model.may.set()
        switched_and_back(page, olga)
    assert olga.get("/collections/granted").json()["previous_embedding"] is None


def given_up(page: Page, olga: httpx.Client) -> None:
    page.get_by_role("button", name="Build its vectors").click()
    building = page.get_by_role("region", name="Vectors being built anew")
    expect(building).to_contain_text("Built anew with other-model", timeout=READY)
    expect(building).to_contain_text("Until then all-MiniLM-L6-v2 answers.")
    expect(building).to_contain_text("0 of 1 passage")
    expect(page.locator("#announcer")).to_have_text("Vectors of other-model are being built")
    expect(page.get_by_role("heading", name="all-MiniLM-L6-v2 answers now")).to_be_focused()
    expect(page.get_by_role("button", name="Build its vectors")).to_have_count(0)
    flawless(page)
    page.get_by_role("button", name="Give up other-model").focus()
    page.keyboard.press("Enter")
    # Somebody who has been asked is not interrupted by the next look.
    with page.expect_response("**/api/v1/collections/granted"):
        pass
    page.get_by_role("button", name="Yes: Give up other-model").press("Enter")
    expect(building).to_have_count(0)
    assert olga.get("/collections/granted").json()["reembedding"] is None


def switched_and_back(page: Page, olga: httpx.Client) -> None:
    announcer = page.locator("#announcer")
    now, before = (page.get_by_role("region", name=name) for name in ("Model now", "Vectors before"))
    page.get_by_role("button", name="Build its vectors").click()
    expect(now).to_contain_text("other-model answers now", timeout=READY)
    expect(now).to_contain_text("1 of 1")
    expect(announcer).to_have_text("other-model answers now")
    assert olga.get("/collections/granted").json()["embedding_model"] == "other-model"
    expect(before).to_contain_text("all-MiniLM-L6-v2 answered before")
    expect(before).to_contain_text("Its 1 vector is kept until")
    flawless(page)

    page.get_by_role("button", name="Go back to all-MiniLM-L6-v2").click()
    page.get_by_role("button", name="Yes: Go back to all-MiniLM-L6-v2").click()
    expect(now).to_contain_text("all-MiniLM-L6-v2 answers now", timeout=READY)
    assert olga.get("/collections/granted").json()["embedding_model"] == "all-MiniLM-L6-v2"
    page.get_by_role("button", name="Forget it now: other-model").click()
    page.get_by_role("button", name="Yes: Forget it now: other-model").click()
    expect(before).to_have_count(0)
    expect(announcer).to_have_text("The vectors of other-model are forgotten")


def at_account(page: Page, house: House) -> None:
    page.goto(f"{house.base_url}/#view=account")
    reload(page)
    expect(page.get_by_role("heading", level=1, name="Account")).to_be_visible()


def test_limits_are_what_the_house_counts(page: Page, guarded: House, olga: httpx.Client) -> None:
    at_account(page, guarded)
    limits = page.get_by_role("region", name="Limits")
    tokens = next(one for one in olga.get("/quotas").json()["quotas"] if one["unit"] == "tokens")
    assert (tokens["limit"], tokens["used"]) == (50_000, 0)
    expect(limits.get_by_role("row", name=re.compile("Tokens of models today"))).to_contain_text("50,000")
    expect(limits.get_by_role("row", name=re.compile("Requests in this minute"))).to_contain_text("600")
    asked = limits.locator("tbody tr").filter(has_text="Requests").locator("td").nth(1)
    assert int(asked.inner_text()) > 0


def test_a_webhook_is_made_tried_and_removed(page: Page, guarded: House, olga: httpx.Client) -> None:
    with Receiver(500, 204) as receiver:
        at_account(page, guarded)
        page.get_by_label("Address").fill(receiver.url)
        page.get_by_label("Webhook's label").fill("build house")
        page.get_by_label("Told of").select_option("Documents that have failed")
        page.get_by_label("Webhook's label").press("Enter")
        secret = page.get_by_label("Secret of the webhook build house")
        expect(secret).to_have_value(re.compile("^whsec_"))
        first = secret.input_value()
        page.get_by_role("button", name="Done").click()
        expect(secret).to_have_count(0)
        (made,) = olga.get("/webhooks").json()["webhooks"]
        assert made["event_types"] == ["document.failed"]
        expect(page.get_by_label("Told of")).to_have_value("")

        send = page.get_by_role("button", name="Send a test to build house")
        send.click()
        messages = page.get_by_role("region", name="Messages to build house")
        row = messages.locator("tbody tr")
        expect(row).to_contain_text("webhook.test")
        expect(row).to_contain_text("Did not arrive")
        expect(row).to_contain_text("500")
        send.click()
        expect(row).to_have_count(2)
        expect(row.first).to_contain_text("Arrived")
        assert [one.path for one in receiver.wait(2)] == ["/hook", "/hook"]
        flawless(page)

        page.get_by_role("button", name="Give build house a new secret").click()
        page.get_by_role("button", name="Yes: Give build house a new secret").click()
        expect(secret).to_have_value(re.compile("^whsec_"))
        assert secret.input_value() != first
        page.get_by_role("button", name="Switch build house off").click()
        expect(page.get_by_role("region", name="Webhooks")).to_contain_text("Off: by you")
        assert [one["enabled"] for one in olga.get("/webhooks").json()["webhooks"]] == [False]
        page.get_by_role("button", name="Delete the webhook build house").click()
        page.get_by_role("button", name="Delete: Delete the webhook build house").click()
        expect(page.locator("#view")).to_contain_text("No webhook yet")
        assert olga.get("/webhooks").json()["webhooks"] == []


def test_tokens_and_cost_are_those_that_were_recorded(
    page: Page, guarded: House, olga: httpx.Client, embeddings_port: int
) -> None:
    def insights() -> None:
        page.goto(f"{guarded.base_url}/#view=insights")
        reload(page)
        expect(page.locator(".insights")).not_to_be_empty()

    insights()
    expect(page.locator(".insights")).to_contain_text("Nothing was recorded in this time")
    with ModelServer(port=embeddings_port, forever=Answer("It reaches 4.2 metres [1].")):
        asked = {"agent": "research", "message": "How high is the spring tide?", "collections": ["granted"]}
        usage = olga.post("/runs", json=asked).json()["usage"]
    assert usage["input_tokens"] > 0
    assert usage["cost_usd"] == (usage["input_tokens"] * 1000 + usage["output_tokens"] * 2000) / 1e6
    insights()
    row = page.get_by_role("region", name="Agents").get_by_role("row", name=re.compile("Research"))
    expect(row).to_contain_text(f"{usage['input_tokens']:,}")
    expect(row).to_contain_text(f"${usage['cost_usd']:.2f}")
    tiles = page.locator(".tile").filter(has_text="Tokens they answered")
    expect(tiles).to_contain_text(f"{usage['output_tokens']:,}")
    flawless(page)
    with page.expect_download() as kept:
        page.get_by_label("Export as CSV").click()
    (line,) = csv.DictReader(kept.value.path().read_text().splitlines())
    assert (line["model"], float(line["cost_usd"])) == ("priced-model", usage["cost_usd"])
    told = olga.get("/insights?period=7d").json()
    assert (told["model_runs"], told["priced_runs"], told["cost_usd"]) == (1, 1, usage["cost_usd"])
