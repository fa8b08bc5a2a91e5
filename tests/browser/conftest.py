"""A real Chromium, pages in it that must stay free of errors, and the real house."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, TimeoutError, expect, sync_playwright

from tests.browser.scripted import Run, ScriptedGateway, serving
from tests.support.launched import House, launched

# A sandbox needs rights that a build machine does not give; the rest keeps it from calling its maker.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)

# As long as a page may take to show something on a machine that does much else.
expect.set_options(timeout=20_000)

DESKTOP = {"width": 1440, "height": 900}

OpenPage = Callable[..., Page]
Serve = Callable[[Callable[[ScriptedGateway, Run], None]], tuple[ScriptedGateway, str]]


# Not for the session: Playwright's event loop must be gone before the asynchronous tests of other packages.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Without one the tests are skipped, or fail where MELD_REQUIRE_BROWSER is set."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None and os.environ.get("MELD_REQUIRE_BROWSER"):
        pytest.fail("no chromium on PATH; apt-get install chromium")
    if program is None:
        pytest.skip("no chromium on PATH; apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield chromium
        chromium.close()


def arrived(page: Page) -> None:
    """Waits until the page stands, and loads it again where the machine's network changed meanwhile.

    Chromium gives up what it is loading whenever an interface of the machine comes or goes, as those of
    sandboxes and containers do.
    """
    for last in (False, False, True):
        try:
            timeout = 15_000 if last else 7_000
            page.wait_for_selector("#agent option:nth-child(2)", state="attached", timeout=timeout)
            return
        except TimeoutError:
            if last:
                raise
            page.reload()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages in a window of their own.

    At the end of the test each is asked for what no page may ever have: script
    errors, violations of the content policy, dialogs, requests to other hosts.
    """
    offences: list[str] = []
    contexts = []

    def open_one(url: str, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: offences.append(f"script error: {error}"))
        page.on("dialog", lambda dialog: (offences.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on(
            "console", lambda said: offences.append(said.text) if "Content Security" in said.text else None
        )
        page.on(
            "request", lambda asked: offences.append(asked.url) if not asked.url.startswith(url) else None
        )
        page.goto(url)
        arrived(page)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert offences == []


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves the page with a gateway whose runs follow a script."""
    with ExitStack() as servers:

        def serve_one(script: Callable[[ScriptedGateway, Run], None]) -> tuple[ScriptedGateway, str]:
            gateway = ScriptedGateway(script)
            return gateway, servers.enter_context(serving(gateway))

        yield serve_one


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A ready house without a model."""
    with launched(tmp_path_factory.mktemp("browser-house")) as started:
        yield started
