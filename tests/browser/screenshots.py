"""Screenshots of every view at three widths in both themes, for people to look at.

`make screenshots`, or `python -m tests.browser.screenshots [folder]`: starts a house of its own without a
model, gives it documents and questions, and writes PNG files into build/screenshots.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.conftest import FLAGS, arrived, watched
from tests.support.launched import ROOT, launched

WIDTHS = (390, 820, 1440)
HEIGHT = 900
THEMES = ("light", "dark")
VIEWS = ("knowledge", "conversations", "workflows", "insights", "system", "account")
# Parts of views: the name of the picture, and the address.
PARTS = {part: f"#view=knowledge&item={part}" for part in ("queue", "evaluations", "model", "access")}
DOCUMENTS = {
    "tides.md": "# The tide at Hallgrim Bay\n\n"
    "The spring tide at Hallgrim reaches 4.2 metres above the lowest mark. "
    "It comes two days after the new and the full moon.\n\n"
    "The storm of 1999 flooded the quay for three hours.\n",
    "quay.md": "# Quay maintenance\n\n"
    "The old quay was rebuilt in 2001 after the flood. Its edge now lies at 5.3 metres.\n",
    "harbour log.txt": "The storm of 1999 flooded the quay for five hours.\n",
}
CODE = "import os\n\ndef half(values):\n    try:\n        return sum(values) / 2\n    except:\n        pass\n"
QUESTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("How high is the spring tide at Hallgrim?", "research", {}),
    ("How long did the storm of 1999 flood the quay?", "research", {}),
    ("What is wrong with this code?", "code_analyzer", {"files": [{"path": "half.py", "content": CODE}]}),
)
GOLDEN: dict[str, Any] = {
    "label": "the harbour, two ways",
    "settings": [{"name": "words", "mode": "lexical"}, {"name": "both", "mode": "hybrid"}],
    "queries": [
        {"query": "How high is the spring tide?", "relevant": [{"external_id": "tides.md"}]},
        {"query": "When was the quay rebuilt?", "relevant": [{"external_id": "quay.md"}]},
    ],
}
READY_SECONDS = 60
# What is drawn after an answer has come.
_DRAWN_MILLISECONDS = 300


def furnish(base_url: str) -> list[str]:
    """Gives the house documents and questions; the sessions, in order."""
    sessions = []
    with httpx.Client(base_url=f"{base_url}/api/v1", timeout=READY_SECONDS) as http:
        http.post("/collections", json={"name": "harbour"}).raise_for_status()
        for name, text in DOCUMENTS.items():
            file = {"file": (name, text.encode(), "text/plain" if name.endswith("txt") else "text/markdown")}
            sent = http.post("/collections/harbour/documents", files=file, data={"external_id": name})
            sent.raise_for_status()
        for question, agent, inputs in QUESTIONS:
            session = http.post("/sessions", json={"title": question, "collections": ["harbour"]}).json()[
                "id"
            ]
            body = {"message": question, "agent": agent, "collections": ["harbour"], "session_id": session}
            http.post("/runs", json={**body, **({"inputs": inputs} if inputs else {})}).raise_for_status()
            sessions.append(session)
        http.post("/collections/harbour/evaluations", json=GOLDEN).raise_for_status()
    return sessions


def shoot(browser: Browser, base_url: str, sessions: list[str], folder: Path) -> int:
    """Writes the pictures; how many."""
    places = {"ask": "", **{view: f"#view={view}" for view in VIEWS}, **PARTS}
    places |= {f"answer-{number}": f"#session={session}" for number, session in enumerate(sessions, 1)}
    made = 0
    for theme in THEMES:
        for width in WIDTHS:
            context = browser.new_context(
                viewport={"width": width, "height": HEIGHT},
                color_scheme="light" if theme == "light" else "dark",
                reduced_motion="reduce",
            )
            page = watched(context.new_page())
            for name, place in places.items():
                page.goto(f"{base_url}/{place}")
                page.reload()
                settled(page)
                page.screenshot(path=folder / f"{name}-{theme}-{width}.png")
                made += 1
            page.goto(f"{base_url}/{PARTS['evaluations']}")
            page.reload()
            settled(page)
            page.get_by_role("button", name=GOLDEN["label"], exact=True).evaluate("button => button.click()")
            expect(page.get_by_role("region", name="Report")).to_be_visible()
            page.get_by_role("region", name="Report").screenshot(path=folder / f"report-{theme}-{width}.png")
            made += 1
            page.goto(f"{base_url}/{places[f'answer-{len(sessions)}']}")
            settled(page)
            page.locator(".cite").first.or_(page.locator("#help-open")).first.evaluate(
                "button => button.click()"
            )
            page.wait_for_timeout(300)
            page.screenshot(path=folder / f"beside-{theme}-{width}.png")
            made += 1
            context.close()
    return made


def settled(page: Page) -> None:
    """Waits until everything that was asked for is drawn."""
    arrived(page)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    page.wait_for_timeout(_DRAWN_MILLISECONDS)


def main() -> None:
    """Makes the pictures anew."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "screenshots"
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        sys.exit("no chromium on PATH; apt-get install chromium")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    with (
        tempfile.TemporaryDirectory() as data,
        launched(Path(data)) as house,
        sync_playwright() as playwright,
    ):
        sessions = furnish(house.base_url)
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        made = shoot(browser, house.base_url, sessions, folder)
        browser.close()
    print(f"{made} pictures in {folder}")


if __name__ == "__main__":
    main()
