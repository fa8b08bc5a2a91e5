"""Answers and code are copied, by keyboard and without a clipboard too, with a scripted gateway."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Serve
from tests.browser.scripted import Run, ScriptedGateway

pytestmark = pytest.mark.browser

CODE = "print('ebb')\n\nprint('flood')"
TEXT = f"The spring tide reaches **4.2 metres**. [1]\n\n```python\n{CODE}\n```"
REFUSED = "() => { document.execCommand = () => false; }"
INSECURE = "() => Object.defineProperty(navigator, 'clipboard', { value: undefined })"
KEPT = """() => Object.defineProperty(navigator, 'clipboard', {
    value: { writeText: async (text) => { window.kept = text; } } })"""


def opened(open_page: OpenPage, serve: Serve, mode: str, *scripts: str) -> Page:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        citation = gateway.cite(1, tides, "The spring tide reaches 4.2 metres.")
        made: dict[str, Any] = {"answer_mode": mode}
        gateway.succeed(run, gateway.result(run, TEXT, [citation], **made))

    gateway, url = serve(script)
    tides = gateway.put("tides.txt", "The spring tide reaches 4.2 metres.")
    page = open_page(url)
    for one in scripts:
        page.evaluate(one)
    page.fill("#question", "How high is the tide?")
    page.keyboard.press("Enter")
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    return page


@pytest.mark.parametrize("mode", ["EXTRACTIVE", "GENERATIVE"])
def test_an_answer_and_its_code_are_copied_by_keyboard(open_page: OpenPage, serve: Serve, mode: str) -> None:
    page = opened(open_page, serve, mode, KEPT)
    for name, text in (("Copy the answer", TEXT), ("Copy the code", CODE)):
        page.evaluate("document.getElementById('announcer').textContent = ''")
        button = page.get_by_role("button", name=name)
        button.press("Enter")
        expect(page.locator("#announcer")).to_contain_text("Copied")
        expect(button).to_be_focused()
        assert page.evaluate("window.kept").strip() == text
    expect(page.locator(".copy-said").first).to_be_hidden()


def test_without_the_clipboard_a_selection_is_copied(open_page: OpenPage, serve: Serve) -> None:
    page = opened(open_page, serve, "EXTRACTIVE", INSECURE)
    button = page.get_by_role("button", name="Copy the answer")
    button.press("Enter")
    expect(page.locator("#announcer")).to_contain_text("Copied")
    expect(button).to_be_focused()
    page.focus("#question")
    page.keyboard.press("Control+V")
    expect(page.locator("#question")).to_have_value(TEXT)


def test_what_cannot_be_copied_is_told(open_page: OpenPage, serve: Serve) -> None:
    page = opened(open_page, serve, "EXTRACTIVE", INSECURE, REFUSED)
    said = "Not copied: the browser refused. Select the text and copy it by hand."
    page.get_by_role("button", name="Copy the code").click()
    expect(page.locator("#announcer")).to_have_text(said)
    expect(page.locator(".answer .copy-said")).to_have_text(said)
