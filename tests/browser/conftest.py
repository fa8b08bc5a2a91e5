"""A real Chromium, pages in it that must stay free of errors, and the real house."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Literal
from weakref import WeakKeyDictionary

import pytest
from playwright.sync_api import Browser, Page, Request, TimeoutError, expect, sync_playwright

from tests.browser.scripted import Run, ScriptedGateway, serving
from tests.support.launched import House, launched
from tests.support.redis_server import free_port

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

# By which the first owner of the guarded house is made.
CODE = "lift-off-41"

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


# Pages, and how many requests of each were lost because the machine's network changed.
_lost: WeakKeyDictionary[Page, int] = WeakKeyDictionary()


def watched(page: Page) -> Page:
    """Notes what a page loses to changes of the network, for `arrived`; called before it goes anywhere."""
    _lost[page] = 0

    def note(request: Request) -> None:
        if "ERR_NETWORK_CHANGED" in (request.failure or ""):
            _lost[page] += 1

    page.on("requestfailed", note)
    return page


def arrived(
    page: Page,
    selector: str = "#agent option:nth-child(2)",
    state: Literal["attached", "visible"] = "attached",
) -> None:
    """Waits until the page stands, and loads it again where the machine's network changed meanwhile.

    Chromium gives up what it is loading whenever an interface of the machine comes or goes, as those of
    sandboxes and containers do. Whatever else keeps a page from standing fails.
    """
    for timeout in (8_000, 8_000, 20_000):
        try:
            page.wait_for_selector(selector, state=state, timeout=timeout)
            return
        except TimeoutError:
            if timeout == 20_000:
                raise
        if _lost.get(page):
            _lost[page] = 0
            page.reload()


def reload(page: Page) -> None:
    """Loads the page again, and waits until it stands."""
    page.reload()
    arrived(page)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages in a window of their own.

    At the end of the test each is asked for what no page may ever have: script
    errors, violations of the content policy, dialogs, requests to other hosts.
    """
    offences: list[str] = []
    contexts = []

    def open_one(url: str, **options: Any) -> Page:
        # What moves is drawn all the time while a test waits.
        context = browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", **options})
        contexts.append(context)
        page = watched(context.new_page())
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


@pytest.fixture(scope="package")
def embeddings_port() -> int:
    """Where the guarded house looks for a second embedding model; nobody is there unless a test is."""
    return free_port()


@pytest.fixture(scope="package")
def guarded(tmp_path_factory: pytest.TempPathFactory, embeddings_port: int) -> Iterator[House]:
    """A ready house in which people sign in. The first test of test_login.py makes its first owner."""
    environment = {
        "MELD_LOGIN": "required",
        "JWT_SECRET_KEY": "w7Jt-29ds.Kq/Zp4vNn+LrXe83mBhYcU",
        "MELD_SETUP_CODE": CODE,
        "MELD_DAILY_TOKENS": "50000",
        "MELD_WEBHOOK_ALLOW": "127.0.0.1",
        "MELD_EMBEDDING_MODEL": "all-MiniLM-L6-v2",
        "MELD_OTHER_EMBEDDING_MODELS": "other-model:16",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{embeddings_port}/v1",
        "OPENAI_API_KEY": "sk-nobody",
        "OPENAI_MODEL": "priced-model",
        "MELD_MODEL_PRICES": "priced-model=1000/2000",
    }
    with launched(tmp_path_factory.mktemp("guarded-house"), environment) as started:
        yield started
