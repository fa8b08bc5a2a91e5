"""An answer that a model wrote in Markdown, as people see it: rendered once it is complete."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.accessibility import program, violations
from tests.browser.conftest import DESKTOP, OpenPage, Serve, arrived, reload, watched
from tests.browser.scripted import Run, ScriptedGateway
from tests.browser.test_states import QUOTE, TIDES, ask, started

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

ANSWER = f"""# The tide

It reaches **4.2 metres** [1], so says “{QUOTE} [1]” [9].

- two days after the full moon [1]
- never `on[1]` the day itself

| place | metres |
|---|---|
| Hallgrim [1] | 4.2 |

```python
depth = heights[1]
```

See [the tables](https://example.org/tables).
"""


def script(go_on: threading.Event) -> Any:
    def answer(gateway: ScriptedGateway, run: Run) -> None:
        document = next(iter(gateway.documents.values()))
        started(run)
        run.tell("text", {"text": ANSWER, "reset": False})
        go_on.wait(20)
        # A footnote mark that stands within what is quoted is the document's own.
        citation = gateway.cite(1, document, f"{QUOTE} [1]")
        gateway.succeed(run, gateway.result(run, ANSWER, [citation], answer_mode="GENERATIVE"))

    return answer


def test_markdown_is_rendered_when_the_answer_is_complete_and_numbers_are_sources_outside_code(
    open_page: OpenPage, serve: Serve
) -> None:
    go_on = threading.Event()
    gateway, url = serve(script(go_on))
    gateway.put("tides.txt", TIDES.replace(QUOTE, f"{QUOTE} [1]"))
    page = open_page(url)
    ask(page)
    answer = page.locator(".answer")
    expect(answer).to_contain_text("| Hallgrim [1] | 4.2 |")
    assert answer.locator("table, .cite").count() == 0
    go_on.set()
    for _ in ("as it came", "as it was kept"):
        expect(answer.locator("h3")).to_have_text("The tide")
        expect(answer.locator("strong")).to_have_text("4.2 metres")
        expect(answer.locator("li")).to_have_text(
            ["two days after the full moon [1]", "never on[1] the day itself"]
        )
        expect(answer.get_by_role("region", name="Table").locator("td").first).to_have_text("Hallgrim [1]")
        expect(answer.get_by_role("region", name="Code")).to_have_text("depth = heights[1]\n")
        expect(answer.locator(".cite")).to_have_count(3)
        assert answer.locator(":is(code, pre, a) .cite").count() == 0
        expect(answer.locator(".marker")).to_have_text("[9]")
        link = answer.get_by_role("link", name="the tables")
        expect(link).to_have_attribute("href", "https://example.org/tables")
        expect(link).to_have_attribute("rel", "noopener noreferrer")
        expect(link).to_have_attribute("target", "_blank")
        answer.locator("td .cite").click()
        expect(page.locator("mark.lit")).to_have_text(f"{QUOTE} [1]")
        reload(page)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_rendered_answer_has_no_violation(browser: Browser, serve: Serve, theme: Any) -> None:
    axe = program()
    go_on = threading.Event()
    go_on.set()
    gateway, url = serve(script(go_on))
    gateway.put("tides.txt", TIDES.replace(QUOTE, f"{QUOTE} [1]"))
    context = browser.new_context(viewport=DESKTOP, color_scheme=theme, bypass_csp=True)  # type: ignore[arg-type]
    page = watched(context.new_page())
    page.goto(url)
    arrived(page)
    ask(page)
    expect(page.locator(".answer table")).to_be_visible()
    page.locator(".steps summary").click()
    expect(page.locator(".step").first).to_be_visible()
    assert violations(page, axe) == []
    context.close()


def test_no_other_place_in_the_page_can_make_elements_of_text(browser: Browser, serve: Serve) -> None:
    _, url = serve(lambda gateway, run: None)
    # Not by open_page: what is tried here is what no page may ever do.
    context = browser.new_context()
    page = watched(context.new_page())
    page.goto(url)
    arrived(page)
    refused = page.evaluate(
        """() => [
            () => { document.body.innerHTML = "<b>x</b>"; },
            () => { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); },
            () => { document.createElement("script").text = "x"; },
            () => { trustedTypes.createPolicy("other", { createHTML: (html) => html }); },
            () => { trustedTypes.createPolicy("rendered", { createHTML: (html) => html }); },
        ].map((make) => { try { make(); return ""; } catch (error) { return error.name; } })"""
    )
    assert refused == ["TypeError"] * 5
    context.close()
