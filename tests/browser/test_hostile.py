"""Eighty pieces of hostile Markdown and HTML, by document and by model: none runs, none is asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Serve, reload
from tests.browser.scripted import Run, ScriptedGateway

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

# Nobody answers there; a page that asks is seen asking.
AWAY = "http://203.0.113.7"
_HIT = "window.hit=1"

# Elements that run something by themselves or when something happens to them.
_EVENTS = [
    f"<img src=x onerror={_HIT}>",
    f"<img src=x onerror='{_HIT}'/>",
    f"<IMG SRC=x ONERROR={_HIT}>",
    f"<img/src=x/onerror={_HIT}>",
    f"<img src=x:x onerror\n={_HIT}>",
    f"<svg onload={_HIT}>",
    f"<svg><animate onbegin={_HIT} attributeName=x dur=1s>",
    f"<svg><set onbegin={_HIT} attributeName=x to=y>",
    f"<body onload={_HIT}>",
    f"<body onpageshow={_HIT}>",
    f"<video src=x onerror={_HIT}></video>",
    f"<video><source onerror={_HIT}></video>",
    f"<audio src=x onerror={_HIT}></audio>",
    f"<details open ontoggle={_HIT}>",
    f"<input autofocus onfocus={_HIT}>",
    f"<select autofocus onfocus={_HIT}></select>",
    f"<textarea autofocus onfocus={_HIT}></textarea>",
    f"<marquee onstart={_HIT}>x</marquee>",
    f"<div onpointerover={_HIT}>over</div>",
    f"<p style='animation:pulse 1s' onanimationstart={_HIT}>x</p>",
    f"<iframe onload={_HIT}></iframe>",
    f"<object data=x onerror={_HIT}></object>",
]
# Scripts, and what hides them from a filter.
_SCRIPTS = [
    f"<script>{_HIT}</script>",
    f"<SCRIPT>{_HIT}</SCRIPT>",
    f"<scr<script>ipt>{_HIT}</scr</script>ipt>",
    f"<script\n>{_HIT}</script\n>",
    f"<script type=module>{_HIT}</script>",
    f"<script src={AWAY}/a.js></script>",
    "<script src=//203.0.113.7/a.js></script>",
    f"<script src=data:text/javascript,{_HIT}></script>",
    f"<svg><script>{_HIT}</script></svg>",
    f"<svg><script href=data:,{_HIT} /></svg>",
    f"<math><mtext><script>{_HIT}</script></mtext></math>",
    f"<noscript><p title='</noscript><script>{_HIT}</script>'></noscript>",
    f"<style><!--</style><script>{_HIT}//--></script>",
    f"<title><script>{_HIT}</script></title>",
    f"<textarea></textarea><script>{_HIT}</script>",
    f"</p></article></main><script>{_HIT}</script>",
    f"<template><script>{_HIT}</script></template>",
    f"&lt;script&gt;{_HIT}&lt;/script&gt;",
    f"\\u003cscript\\u003e{_HIT}\\u003c/script\\u003e",
    f"+ADw-script+AD4-{_HIT}+ADw-/script+AD4-",
]
# Ways to another place.
_LINKS = [
    f"<a href='javascript:{_HIT}'>open</a>",
    f"<a href='JaVaScRiPt:{_HIT}'>open</a>",
    f"<a href='java\tscript:{_HIT}'>open</a>",
    f"<a href='&#106;avascript:{_HIT}'>open</a>",
    f"<a href='data:text/html,<script>{_HIT}</script>'>open</a>",
    f"<form action=javascript:{_HIT}><button>go</button></form>",
    f"<button formaction=javascript:{_HIT}>go</button>",
    f"<iframe src=javascript:{_HIT}></iframe>",
    f"<iframe srcdoc='<script>parent.{_HIT}</script>'></iframe>",
    f"<object data='javascript:{_HIT}'></object>",
    f"<embed src='javascript:{_HIT}'>",
    f"<meta http-equiv=refresh content='0;url=javascript:{_HIT}'>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>",
    f"<base href='{AWAY}/'>",
    f"<svg><a xlink:href='javascript:{_HIT}'><text>x</text></a></svg>",
    f"<math href='javascript:{_HIT}'>x</math>",
]
# What would be fetched without anybody's doing.
_FETCHED = [
    f"<img src={AWAY}/pixel.png>",
    f"<img srcset='{AWAY}/a.png 1x'>",
    f"<picture><source srcset={AWAY}/b.png><img></picture>",
    f"<link rel=stylesheet href={AWAY}/a.css>",
    f"<link rel=prefetch href={AWAY}/a>",
    f"<style>@import '{AWAY}/b.css';</style>",
    f"<style>body{{background:url({AWAY}/c.png)}}</style>",
    f"<div style='background:url({AWAY}/d.png)'>x</div>",
    f"<video poster={AWAY}/e.png></video>",
    f"<audio src={AWAY}/f.ogg autoplay></audio>",
    f"<input type=image src={AWAY}/g.png>",
    f"<svg><image href={AWAY}/h.png /></svg>",
    f"<svg><use href={AWAY}/i.svg#x /></svg>",
    f"<iframe src={AWAY}/></iframe>",
]
_MARKDOWN = [
    f"[open](javascript:{_HIT})",
    f"[open]( javascript:{_HIT} )",
    f"![x](javascript:{_HIT})",
    f"![pixel]({AWAY}/j.png)",
    f'![x](x "onerror={_HIT}")',
    f"[x]: javascript:{_HIT}\n[x]",
    f"<javascript:{_HIT}>",
    f"```html\n<script>{_HIT}</script>\n```",
]
PAYLOADS = [*_EVENTS, *_SCRIPTS, *_LINKS, *_FETCHED, *_MARKDOWN]

# What the page makes itself out of texts; anything else would come from a payload.
_FOREIGN = [
    "script",
    "iframe",
    "object",
    "embed",
    "video",
    "audio",
    "form",
    "link",
    "style",
    "base",
    "meta",
    "math",
    "marquee",
    "template",
]
FOREIGN = f":is({', '.join(_FOREIGN)})"
# An answer holds these and nothing else.
_MADE_BY_NOBODY = (
    ":not(p, br, h3, h4, h5, h6, em, strong, s, code, pre, blockquote, ul, ol, li, hr, a[target=_blank], "
    "button.cite, span.marker, div.wide, table, thead, tbody, tr, th, td, "
    "div.copiable, .copiable > button.tool, .copiable > button.tool *, .copiable > span.copy-said)"
)
# Attributes that hold a script or a page.
_RUNNING = """() => [...document.querySelectorAll("*")].flatMap((one) =>
    one.getAttributeNames().filter((name) => /^on/i.test(name) || name.toLowerCase() === "srcdoc"))"""


def unharmed(page: Page) -> None:
    """Nothing ran and nothing foreign stands in the page; the fixture looks at what was asked of others."""
    # What waits for a pointer or for time runs now, if ever.
    page.mouse.move(400, 400)
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => setTimeout(drawn, 200)))")
    assert page.evaluate("window.hit") is None
    assert page.locator(f"#turns {FOREIGN}, #reader {FOREIGN}, .library {FOREIGN}").count() == 0
    assert page.evaluate(_RUNNING) == []
    assert page.locator("a[href^='javascript' i], a[href^='data' i], img[src^='http']").count() == 0


def test_there_are_eighty_different_ones() -> None:
    assert len(PAYLOADS) == len(set(PAYLOADS)) == 80


def test_in_documents(serve: Serve, open_page: OpenPage) -> None:
    gateway, url = serve(lambda gateway, run: None)
    text = "\n\n".join(PAYLOADS)
    gateway.put("<img src=x onerror=window.hit=1>.html", text)
    page = open_page(url)
    page.locator(".document button.title").click()
    expect(page.locator("#reader-text")).to_contain_text(PAYLOADS[-1].splitlines()[1])
    assert page.locator("#reader-text").text_content() == text
    assert page.locator("#reader-text :not(div, mark)").count() == 0
    unharmed(page)


# What Markdown makes of the others says the same in other characters.
_AS_WRITTEN = [payload for payload in PAYLOADS if payload not in _MARKDOWN[3:] and "\n" not in payload]
_LITERAL = [payload for payload in _AS_WRITTEN if "&" not in payload and "\\" not in payload]


@pytest.mark.parametrize("mode", ["EXTRACTIVE", "GENERATIVE"])
def test_by_a_model_wherever_its_words_are_shown(mode: str, serve: Serve, open_page: OpenPage) -> None:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        document = next(iter(gateway.documents.values()))
        run.tell("started", {"agent": "research"})
        run.tell("routing", {"agent": "research", "confidence": 0.9, "reasons": PAYLOADS})
        for number, payload in enumerate(PAYLOADS):
            run.tell("tool_started", {"call_id": str(number), "tool": payload})
            finished = {
                "call_id": str(number),
                "succeeded": True,
                "summary": payload,
                "duration_seconds": 0.1,
            }
            run.tell("tool_finished", finished)
            run.tell("text", {"text": f"{payload}\n\n", "reset": False})
        citations = [
            {**gateway.cite(number, document, payload), "title": payload, "location": payload}
            for number, payload in enumerate(PAYLOADS, 1)
        ]
        text = "\n\n".join(f"{payload} [{number}]" for number, payload in enumerate(PAYLOADS, 1))
        gateway.succeed(run, gateway.result(run, text, citations, answer_mode=mode, result=typed()))

    gateway, url = serve(script)
    gateway.put("notes.txt", "\n".join(PAYLOADS))
    page = open_page(url)
    page.fill("#question", PAYLOADS[0])
    page.keyboard.press("Enter")
    turn = page.locator(".turn")
    expect(turn).to_have_attribute("data-outcome", "SUCCEEDED", timeout=60_000)
    expect(turn.locator(".source")).to_have_count(len(PAYLOADS))
    expect(turn.locator(".meld")).to_be_attached(timeout=60_000)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    shown = turn.text_content() or ""
    assert [payload for payload in _AS_WRITTEN if payload not in shown] == []
    answer = turn.locator(".answer")
    assert ("rendered" in (answer.get_attribute("class") or "")) == (mode == "GENERATIVE")
    said = answer.text_content() or ""
    assert [payload for payload in _LITERAL if payload not in said] == []
    assert answer.locator(_MADE_BY_NOBODY).count() == 0
    unharmed(page)
    turn.locator(".source button").nth(2).click()
    expect(page.locator("#reader-title")).to_have_text(PAYLOADS[2])
    unharmed(page)
    reload(page)
    expect(page.locator(".source")).to_have_count(len(PAYLOADS))
    unharmed(page)


def typed() -> dict[str, Any]:
    """A result whose every text is hostile, of all kinds that the page draws."""
    said = [
        {"statement": payload, "agent_ids": [payload], "step_ids": [], "citations": []}
        for payload in PAYLOADS
    ]
    first = PAYLOADS[0]
    conflicts = [{"topic": payload, "sides": said[:2], "explanation": payload} for payload in PAYLOADS]
    step = {"agent_id": first, "title": first}
    return json.loads(  # type: ignore[no-any-return]
        json.dumps(
            {
                "verdict": "FAILED",
                "verdict_reason": first,
                "plan": [{"step_id": payload, **step} for payload in PAYLOADS[:12]],
                "meld": {"agreements": said, "conflicts": conflicts, "singles": said},
                "contradictions": conflicts,
                "diff": "\n".join(f"+{payload}" for payload in PAYLOADS),
                "tests": [
                    {"test_id": payload, "outcome": payload, "message": payload} for payload in PAYLOADS
                ],
                "findings": [
                    {"rule": payload, "severity": payload, "path": payload, "line": 1, "message": payload}
                    for payload in PAYLOADS
                ],
                "milestones": [{"description": payload, "due_time": None} for payload in PAYLOADS],
                "questions": [{"prompt": payload, "answer": payload} for payload in PAYLOADS],
                "metrics": [{"name": payload, "value": 1, "unit": payload} for payload in PAYLOADS],
                "files": [{"path": payload, "content": payload} for payload in PAYLOADS],
                "charts": [
                    {"title": first, "svg": f"<svg xmlns='http://www.w3.org/2000/svg' onload='{_HIT}'/>"}
                ],
                "gaps": PAYLOADS,
            }
        )
    )
