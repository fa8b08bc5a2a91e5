"""axe-core on a page. It comes with the package axe-playwright-python, or as the file that MELD_AXE names."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.waiting import until

# WCAG 2.2 AA, what it builds on, and what axe calls good practice.
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
# Of these, the rules about colours.
COLOURS = ("color-contrast", "link-in-text-block")


def program() -> str:
    """The text of axe; without one the test is skipped, or fails where MELD_REQUIRE_BROWSER is set."""
    named = os.environ.get("MELD_AXE")
    package = importlib.util.find_spec("axe_playwright_python")
    if named:
        return Path(named).read_text()
    if package and package.origin:
        return (Path(package.origin).parent / "axe.min.js").read_text()
    if os.environ.get("MELD_REQUIRE_BROWSER"):
        pytest.fail("no axe: install axe-playwright-python or set MELD_AXE to an axe.min.js")
    pytest.skip("no axe: install axe-playwright-python or set MELD_AXE to an axe.min.js")


def violations(page: Page, axe: str, *, colours: bool = False) -> list[str]:
    """What axe finds wrong on the page as it is, one line each. The page's policy must be put aside.

    colours: only what another theme can change.
    """
    # Colours on their way from one theme to another are those of neither.
    until(page, "document.getAnimations().every((one) => one.playState !== 'running' || "
                           "one.effect.getComputedTiming().iterations === Infinity)")  # fmt: skip
    page.evaluate(axe)
    rules = {"type": "rule", "values": list(COLOURS)} if colours else {"type": "tag", "values": list(RULES)}
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", rules)
    return [
        f"{fault['id']}: {node['html'][:160]}" for fault in found["violations"] for node in fault["nodes"]
    ]
