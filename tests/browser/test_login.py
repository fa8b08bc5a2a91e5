"""A person makes the first owner, signs in, comes back and signs out, in a house that asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import CODE, DESKTOP, OpenPage, arrived, watched
from tests.support.launched import House

pytestmark = pytest.mark.browser

PASSWORD = "the tide comes at nine"


@pytest.fixture
def window(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=DESKTOP)  # type: ignore[arg-type]  # as the others have it
    yield context
    context.close()


def at_the_door(page: Page) -> None:
    """Waits until it asks who is there."""
    arrived(page, "#login[open]", "visible")


def fill_in(page: Page, name: str, password: str) -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("User").fill(name)
    dialog.get_by_label("Password").fill(password)


def test_from_the_first_owner_to_signing_out(guarded: House, window: BrowserContext) -> None:
    page = watched(window.new_page())
    page.set_default_timeout(15_000)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    page.goto(guarded.base_url)
    at_the_door(page)
    dialog = page.get_by_role("dialog", name="Create the first owner")
    expect(dialog).to_be_visible()
    # Escape leads nowhere: there is nothing to see behind it.
    page.keyboard.press("Escape")
    expect(dialog).to_be_visible()

    fill_in(page, "olga", PASSWORD)
    dialog.get_by_label("Setup code").fill("wrong-code")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="code")).to_be_visible()
    dialog.get_by_label("Setup code").fill(CODE)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#agent option").nth(2)).to_be_attached()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    # No script can read what the browser keeps.
    assert page.evaluate("document.cookie") == ""
    kept = {cookie.get("name"): cookie for cookie in window.cookies()}
    assert kept["meld_access"].get("httpOnly")

    # Another tab is signed in; and so is one whose short cookie has ended.
    window.clear_cookies(name="meld_access")
    second = window.new_page()
    second.goto(guarded.base_url)
    expect(second.locator("#agent option").nth(2)).to_be_attached()
    expect(second.get_by_role("dialog")).to_have_count(0)
    second.close()

    page.get_by_role("button", name="Sign out").click()
    signing_in = page.get_by_role("dialog", name="Sign in")
    expect(signing_in).to_be_visible()
    expect(signing_in.get_by_label("Setup code")).to_be_hidden()
    fill_in(page, "olga", "not the password")
    page.keyboard.press("Enter")
    expect(page.locator("#login-error")).not_to_be_empty()
    fill_in(page, "olga", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#agent option").nth(2)).to_be_attached()
    assert faults == []


def test_keys_users_and_the_audit_log(guarded: House, window: BrowserContext) -> None:
    api = httpx.Client(base_url=f"{guarded.base_url}/api/v1", timeout=30)
    # 409 where another test has made her.
    api.post("/auth/setup", json={"name": "olga", "password": PASSWORD, "setup_code": CODE})
    page = watched(window.new_page())
    page.set_default_timeout(15_000)
    page.goto(f"{guarded.base_url}/#view=account")
    at_the_door(page)
    expect(page.get_by_role("dialog", name="Sign in")).to_be_visible()
    fill_in(page, "olga", PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#view")).to_contain_text("You are signed in, with the role owner.")

    page.get_by_label("What it is for").fill("nightly backup")
    page.get_by_role("button", name="Create key").click()
    secret = page.get_by_label("Secret of the key nightly backup")
    expect(secret).to_be_visible()
    key = {"Authorization": f"Bearer {secret.input_value()}"}
    assert api.get("/auth/me", headers=key).json()["role"] == "owner"
    page.get_by_role("button", name="Done").click()
    expect(secret).to_have_count(0)
    expect(page.get_by_role("region", name="API keys")).to_contain_text("nightly backup")
    page.get_by_role("button", name="End the key nightly backup").click()
    page.get_by_role("button", name="End it: End the key nightly backup").click()
    expect(page.locator("#view")).to_contain_text("No key yet")
    assert api.get("/auth/me", headers=key).status_code == 401

    page.locator("#view").get_by_label("Name", exact=True).fill("piet")
    page.get_by_label("First password").fill("granite from the north")
    page.get_by_role("button", name="Add user").click()
    page.get_by_label("Role of piet").select_option("viewer")
    expect(page.locator("#view")).to_contain_text("piet is changed.")
    page.get_by_role("button", name="Lock piet out").click()
    expect(page.get_by_role("button", name="Let piet in again")).to_be_visible()
    refused = api.post("/auth/login", json={"name": "piet", "password": "granite from the north"})
    assert refused.status_code in (401, 403)
    page.reload()
    expect(page.get_by_role("region", name="Audit log")).to_contain_text("olga")


def test_a_local_house_asks_nobody(house: House, open_page: OpenPage) -> None:
    page = open_page(house.base_url)
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator("#sign-out")).to_be_hidden()
