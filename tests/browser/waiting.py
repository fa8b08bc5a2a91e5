"""Waits for what a page says of itself."""

from __future__ import annotations

import time
from typing import Any

from playwright.sync_api import Page

from tests.support.waits import promised

_EACH_MS = 50


def until(page: Page, expression: str, arg: Any = None, *, seconds: float = 30.0) -> None:
    """Returns when the expression, or the function it is, is true on the page; fails after `seconds`.

    Page.wait_for_function evaluates a string within the page each time but the first, which the page's policy
    forbids: it works where it need not wait.
    """
    end = time.monotonic() + promised(seconds)
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, f"never true: {expression}"
        page.wait_for_timeout(_EACH_MS)
