"""What a person sees when things take long, fail or come back, with a scripted gateway behind the page."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import OpenPage, Serve, reload
from tests.browser.scripted import Document, Run, ScriptedGateway
from tests.browser.waiting import until
from tests.support.waits import promised

pytestmark = pytest.mark.browser

TIDES = (
    "The tide at Hallgrim\n\nThe spring tide reaches 4.2 metres — café level 🌊. "
    "It comes two days after the full moon.\n"
)
QUOTE = "The spring tide reaches 4.2 metres — café level 🌊."
ANSWER = "It reaches 4.2 metres. [1]\n\nThat is all."


def ask(page: Page, question: str = "How high is the tide?") -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")


def upload(page: Page, name: str, content: str) -> None:
    page.set_input_files("#picker", [{"name": name, "mimeType": "text/plain", "buffer": content.encode()}])


def started(run: Run) -> None:
    run.tell("started", {"agent": "auto", "session_id": None, "collections": [], "recorded": True})
    routing = {
        "agent": "research",
        "confidence": 0.8,
        "reasons": ["it asks what is written"],
        "alternatives": [],
    }
    run.tell("routing", routing)


def words(run: Run, text: str) -> None:
    for word in text.split(" "):
        run.tell("text", {"text": f"{word} ", "reset": False})


def answered(document: Callable[[], Document]) -> Callable[[ScriptedGateway, Run], None]:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        started(run)
        gateway.succeed(run, gateway.result(run, ANSWER, [gateway.cite(1, document(), QUOTE, page=3)]))

    return script


def test_text_appears_while_it_is_written_and_numbers_become_sources_at_the_end(
    open_page: OpenPage, serve: Serve
) -> None:
    go_on = threading.Event()

    def script(gateway: ScriptedGateway, run: Run) -> None:
        started(run)
        words(run, "It reaches 4.2 metres. [1]")
        go_on.wait(10)
        citation = gateway.cite(1, tides, QUOTE, page=3)
        gateway.succeed(run, gateway.result(run, ANSWER, [citation]))

    gateway, url = serve(script)
    tides = gateway.put("tides.txt", TIDES)
    page = open_page(url)
    ask(page)
    expect(page.locator(".answer")).to_have_text("It reaches 4.2 metres. [1]")
    expect(page.locator(".answer")).to_have_attribute("aria-busy", "true")
    expect(page.locator(".cite")).to_have_count(0)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    go_on.set()
    expect(page.locator(".cite")).to_have_text("[1]")
    expect(page.locator(".answer p")).to_have_text(["It reaches 4.2 metres. [1]", "That is all."])
    expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
    expect(page.locator(".source")).to_contain_text("page 3")
    expect(page.locator(".source .mark-verified")).to_have_text("Verified")
    page.locator(".steps summary").click()
    expect(page.locator(".step").first).to_have_text("Research takes it80 % sure. it asks what is written")


def test_steps_tokens_time_and_cost_show_while_the_run_goes_on(open_page: OpenPage, serve: Serve) -> None:
    hold = threading.Event()

    def script(gateway: ScriptedGateway, run: Run) -> None:
        started(run)
        usage = {"input_tokens": 1200, "output_tokens": 34, "model": "gpt-x", "cost_usd": 0.0123}
        run.tell("usage", {**usage, "duration_seconds": 1.5})
        run.tell("tool_started", {"call_id": "call_1", "tool": "run_tests", "arguments": {"path": "a.py"}})
        hold.wait(10)
        end = {"succeeded": True, "summary": "2 of 3 tests pass", "duration_seconds": 2.5}
        run.tell("tool_finished", {"call_id": "call_1", "tool": "run_tests", **end})
        degradation = {"component": "budget", "reason": "the run has reached its limit of 1 tool calls"}
        run.tell("degradation", degradation)
        gateway.succeed(run, gateway.result(run, ANSWER, [], degraded=[degradation]))

    _, url = serve(script)
    page = open_page(url)
    ask(page)
    expect(page.locator(".steps summary")).to_have_text("Using run_tests")
    page.locator(".steps summary").click()
    expect(page.locator(".step").last).to_have_text("gpt-x1,200 tokens read, 34 written, $0.0123")
    expect(page.locator(".step[data-state=running]")).to_have_text("run_tests")
    hold.set()
    expect(page.locator(".step", has_text="run_tests")).to_have_text("run_tests2 of 3 tests pass, 2.5 s")
    expect(page.locator(".notice")).to_have_text(
        "Ended at a limit: the run has reached its limit of 1 tool calls."
    )


def test_an_old_answer_tells_its_steps_from_the_record_when_they_are_unfolded(
    open_page: OpenPage, serve: Serve
) -> None:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        clock = "2026-05-04T10:00:0{}Z".format
        run.tell("started", {"agent": "auto"}, clock("0.000"))
        routing = {"agent": "research", "confidence": 0.8, "reasons": ["it asks what is written"]}
        run.tell("routing", routing, clock("0.100"))
        run.tell("tool_started", {"call_id": "c", "tool": "look_up", "arguments": {}}, clock("0.400"))
        end = {"succeeded": True, "summary": "found", "duration_seconds": 0.5}
        run.tell("tool_finished", {"call_id": "c", "tool": "look_up", **end}, clock("0.900"))
        found = {**gateway.cite(1, tides, QUOTE), "text": QUOTE, "score": 1.0}
        run.tell("passages", {"query": "tide", "passages": [found]}, clock("1.200"))
        run.tell("text", {"text": ANSWER, "reset": False}, clock("2.000"))
        usage = {"input_tokens": 1200, "output_tokens": 34, "model": "gpt-x", "cost_usd": 0.0123}
        usage |= {"duration_seconds": 3.0}
        run.tell("usage", usage, clock("2.500"))
        result = gateway.result(run, ANSWER, [gateway.cite(1, tides, QUOTE)], usage=usage)
        gateway.keep_exchange(run, result)
        run.tell("ended", {"outcome": "SUCCEEDED", "result": result, "error": None}, clock("3.000"))

    gateway, url = serve(script)
    tides = gateway.put("tides.txt", TIDES)
    page = open_page(url)
    ask(page)
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    page.locator(".steps summary").click()
    steps = [
        "0.1 sResearch takes it80 % sure. it asks what is written",
        "0.4 slook_upfound, 0.5 s",
        "1.2 s1 passage from 1 documenttides.txt" + QUOTE,
        "2.0 sgpt-x1,200 tokens read, 34 written, $0.0123",
        "3.0 sAnswered",
    ]
    expect(page.locator(".step")).to_have_text(steps)
    reload(page)
    expect(page.locator(".answer")).to_contain_text("That is all.")
    before = sum("/events" in asked for asked in gateway.requests)
    page.locator(".steps summary").click()
    expect(page.locator(".step")).to_have_text(steps)
    assert sum("/events" in asked for asked in gateway.requests) == before + 1
    page.locator(".passages button").click()
    expect(page.locator("mark.lit")).to_have_text(QUOTE)
    gateway.runs.clear()
    reload(page)
    page.locator(".steps summary").click()
    expect(page.locator(".step")).to_have_text("The steps of this answer are no longer kept.")


def test_a_reset_replaces_what_was_written(open_page: OpenPage, serve: Serve) -> None:
    hold = threading.Event()

    def script(gateway: ScriptedGateway, run: Run) -> None:
        words(run, "A claim that does not hold.\n\nAnd more.")
        hold.wait(10)
        run.tell("text", {"text": "Begun again.", "reset": True})

    _, url = serve(script)
    page = open_page(url)
    ask(page)
    expect(page.locator(".answer p")).to_have_count(2)
    hold.set()
    expect(page.locator(".answer")).to_have_text("Begun again.")


def test_a_lost_connection_is_told_and_the_answer_goes_on_without_gap_or_double(
    open_page: OpenPage, serve: Serve
) -> None:
    numbers = " ".join(str(number) for number in range(1, 301))

    cut_once = threading.Event()

    def script(gateway: ScriptedGateway, run: Run) -> None:
        for part in numbers.split(" "):
            run.tell("text", {"text": f"{part} ", "reset": False})
            time.sleep(0.005)
            if part == "60":
                cut_once.wait(60)
        gateway.succeed(run, gateway.result(run, numbers, []))

    gateway, url = serve(script)
    page = open_page(url)
    page.evaluate(
        """() => {
            window.seen = new Set();
            new MutationObserver(() => {
                const text = document.querySelector(".answer")?.textContent.trim();
                if (text) window.seen.add(text);
                if (document.querySelector(".connection:not([hidden])")) window.seen.add("lost");
            }).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
        }"""
    )
    ask(page)
    expect(page.locator(".answer")).to_contain_text("20 ")
    next(iter(gateway.runs.values())).cut_connections()
    until(page, "window.seen.has('lost')")
    cut_once.set()
    for _ in range(2):
        page.wait_for_timeout(250)
        next(iter(gateway.runs.values())).cut_connections()
    expect(page.locator(".answer")).to_have_text(numbers)
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    expect(page.locator(".connection")).to_be_hidden()
    seen = page.evaluate("[...window.seen]")
    assert [text for text in seen if text != "lost" and not numbers.startswith(text)] == []
    followed = [request for request in gateway.requests if "/events" in request]
    assert len(followed) >= 2


def test_a_question_goes_to_one_collection_or_to_all_of_them(open_page: OpenPage, serve: Serve) -> None:
    asked: list[list[str]] = []

    def script(gateway: ScriptedGateway, run: Run) -> None:
        asked.append(run.request["collections"])
        gateway.succeed(run, gateway.result(run, ANSWER, [gateway.cite(1, tides, QUOTE)]))

    gateway, url = serve(script)
    tides = gateway.put("tides.txt", TIDES, "tides")
    page = open_page(url)
    scope = page.get_by_label("Where to look")
    # With one there is nothing to choose.
    expect(scope).to_be_hidden()
    gateway.put("quay.txt", "The old quay was rebuilt in 2001.", "quays")
    reload(page)
    expect(page.locator("#collection")).to_have_value("tides")
    expect(scope.locator("option")).to_have_text(["In tides", "In all 2 collections"])
    ask(page)
    expect(page.locator(".turn[data-outcome=SUCCEEDED]")).to_have_count(1)
    page.select_option("#collection", "quays")
    scope.select_option("In all 2 collections")
    ask(page)
    expect(page.locator(".turn[data-outcome=SUCCEEDED]")).to_have_count(2)
    # The source is read where it is, whatever is open beside it.
    page.locator(".turn").last.locator(".cite").click()
    expect(page.locator("mark.lit").first).to_be_in_viewport()
    reload(page)
    expect(scope).to_have_value("all")
    scope.select_option("In quays")
    ask(page)
    expect(page.locator(".turn[data-outcome=SUCCEEDED]")).to_have_count(3)
    assert asked == [["tides"], ["tides", "quays"], ["quays"]]


def test_a_reload_in_the_middle_finds_the_question_and_the_rest_of_the_answer(
    open_page: OpenPage, serve: Serve
) -> None:
    go_on = threading.Event()

    def script(gateway: ScriptedGateway, run: Run) -> None:
        started(run)
        words(run, "It reaches")
        go_on.wait(20)
        words(run, "4.2 metres. [1]")
        gateway.succeed(run, gateway.result(run, ANSWER, [gateway.cite(1, tides, QUOTE)]))

    gateway, url = serve(script)
    tides = gateway.put("tides.txt", TIDES)
    page = open_page(url)
    ask(page, "How high?")
    expect(page.locator(".answer")).to_have_text("It reaches")
    reload(page)
    expect(page.locator(".question")).to_have_text("How high?")
    expect(page.locator(".answer")).to_have_text("It reaches")
    go_on.set()
    expect(page.locator(".cite")).to_have_count(1)
    reload(page)
    expect(page.locator(".question")).to_have_text(["How high?"])
    expect(page.locator(".answer p")).to_have_text(["It reaches 4.2 metres. [1]", "That is all."])
    page.locator(".cite").click()
    expect(page.locator("mark.lit")).to_have_text(QUOTE)
    assert len(gateway.runs) == 1


def test_a_second_window_follows_the_same_run(open_page: OpenPage, serve: Serve) -> None:
    go_on = threading.Event()

    def script(gateway: ScriptedGateway, run: Run) -> None:
        words(run, "It reaches")
        go_on.wait(20)
        gateway.succeed(run, gateway.result(run, ANSWER, [gateway.cite(1, tides, QUOTE)]))

    gateway, url = serve(script)
    tides = gateway.put("tides.txt", TIDES)
    first, second = open_page(url), open_page(url)
    ask(first, "How high?")
    expect(first.locator(".answer")).to_have_text("It reaches")
    second.goto(first.url)
    expect(second.locator(".answer")).to_have_text("It reaches")
    go_on.set()
    for page in (first, second):
        expect(page.locator(".question")).to_have_text(["How high?"])
        expect(page.locator(".cite")).to_have_count(1)
    assert len(gateway.runs) == 1


def test_stop_ends_the_run_keeps_its_text_and_offers_to_ask_again(open_page: OpenPage, serve: Serve) -> None:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        words(run, "The beginning of")

    gateway, url = serve(script)
    page = open_page(url)
    ask(page)
    expect(page.locator(".answer")).to_have_text("The beginning of")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".stopped")).to_contain_text("Stopped.")
    expect(page.locator(".answer")).to_have_text("The beginning of")
    assert next(iter(gateway.runs.values())).cancelled.is_set()
    reload(page)
    expect(page.locator(".question")).to_have_text(["How high is the tide?"])
    expect(page.locator(".answer")).to_have_text("The beginning of")
    expect(page.locator(".stopped")).to_contain_text("Stopped.")
    page.get_by_role("button", name="Ask again").click()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    assert len(gateway.runs) == 2


def test_a_failed_run_names_its_reason_and_can_be_tried_again(open_page: OpenPage, serve: Serve) -> None:
    tries = []

    def script(gateway: ScriptedGateway, run: Run) -> None:
        tries.append(run)
        if len(tries) == 1:
            error = {"reason": "RETRIEVAL_UNAVAILABLE", "message": "the vector service is away", "code": 14}
            run.tell("ended", {"outcome": "FAILED", "result": None, "error": error})
        else:
            gateway.succeed(run, gateway.result(run, "Now it works.", []))

    _, url = serve(script)
    page = open_page(url)
    ask(page)
    failure = page.get_by_role("alert")
    expect(failure).to_contain_text("the vector service is away")
    expect(failure).to_contain_text("RETRIEVAL_UNAVAILABLE")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".answer")).to_have_text("Now it works.")
    expect(failure).to_have_count(0)
    expect(page.locator(".turn")).to_have_count(1)


def test_a_question_whose_start_was_not_heard_is_not_asked_twice(open_page: OpenPage, serve: Serve) -> None:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        gateway.succeed(run, gateway.result(run, "Once.", []))

    gateway, url = serve(script)
    page = open_page(url)
    lost = []

    def lose(route: Route) -> None:
        if lost:
            route.fallback()
            return
        lost.append(route.fetch())
        route.abort("connectionreset")

    page.route("**/api/v1/runs", lose)
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".answer")).to_have_text("Once.")
    assert len(lost) == 1
    assert len(gateway.runs) == 1


def test_a_refused_question_shows_what_the_server_said(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(lambda gateway, run: None)
    page = open_page(url)
    gateway.refusals.append(("POST /api/v1/runs", 429, "TOO_MANY_RUNS", "8 runs are under way already"))
    ask(page)
    expect(page.get_by_role("alert")).to_contain_text("8 runs are under way already")
    expect(page.get_by_role("alert")).to_contain_text("TOO_MANY_RUNS, request req_1")
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()


def test_without_the_session_service_questions_are_answered_and_that_is_said(
    open_page: OpenPage, serve: Serve
) -> None:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        if run.request["message"] == "stop me":
            words(run, "Going on and on")
            return
        gateway.succeed(run, gateway.result(run, ANSWER, [gateway.cite(1, tides, QUOTE)]))

    gateway, url = serve(script)
    tides = gateway.put("tides.txt", TIDES)
    page = open_page(url)
    for question in ("How high?", "stop me"):
        gateway.refusals.append(("POST /api/v1/sessions", 503, "STORE_UNAVAILABLE", "Redis is away"))
        ask(page, question)
        expect(page.locator(".turn").last.locator(".notice")).to_contain_text("not being kept")
    expect(page.locator(".cite")).to_have_count(1)
    expect(page.locator(".answer").last).to_have_text("Going on and on")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".stopped")).to_be_visible()
    assert list(gateway.runs.values())[-1].left.wait(5)


def test_a_degradation_is_a_quiet_notice(open_page: OpenPage, serve: Serve) -> None:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        degraded = {"component": "model", "reason": "connection refused"}
        run.tell("degradation", degraded)
        gateway.succeed(run, gateway.result(run, "Quoted instead.", [], degraded=[degraded]))

    _, url = serve(script)
    page = open_page(url)
    ask(page)
    expect(page.locator(".notice")).to_have_text(["The model is not answering: connection refused."])
    expect(page.locator(".steps summary")).to_contain_text("quoted from your documents")


def test_a_file_goes_through_its_states(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(lambda gateway, run: None)
    gateway.stage_seconds, gateway.embedding_seconds = 0.4, 2.5
    page = open_page(url)
    page.evaluate(
        """() => {
            window.seen = [];
            new MutationObserver(() => {
                const text = document.querySelector(".document .progress-text")?.textContent;
                if (text && window.seen.at(-1) !== text) window.seen.push(text);
            }).observe(document, { subtree: true, childList: true, characterData: true });
        }"""
    )
    upload(page, "log.txt", "A line of the log.\n" * 600)
    row = page.locator(".document")
    expect(row).to_have_attribute("data-state", "EMBEDDING")
    expect(row.get_by_role("button", name="log.txt", exact=True)).to_be_enabled()
    expect(row.locator("progress")).to_be_visible()
    expect(row).to_have_attribute("data-state", "READY")
    expect(row.locator(".progress-text")).to_have_text("16 passages, 11 KB")
    expect(row.locator("progress")).to_be_hidden()
    seen = page.evaluate("window.seen")
    stages = [
        "Uploading",
        "Extracting the text",
        "Splitting into passages",
        "Storing 16 passages",
        "Embedding",
    ]
    places = [next(index for index, text in enumerate(seen) if text.startswith(stage)) for stage in stages]
    assert places == sorted(places)
    embedded = [int(text.split()[1]) for text in seen if text.startswith("Embedding")]
    assert embedded == sorted(embedded)
    assert len(set(embedded)) >= 3


def test_a_file_that_is_not_taken_says_why_and_can_be_dismissed(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(lambda gateway, run: None)
    page = open_page(url)
    upload(page, "empty.txt", "  \n")
    expect(page.locator(".document .progress-text")).to_have_text("the document has no text")
    gateway.refusals.append(("POST /api/v1/collections", 413, "DOCUMENT_TOO_LARGE", "more than 100 MB"))
    upload(page, "big.txt", "x")
    row = page.locator(".document", has_text="big.txt")
    expect(row.locator(".progress-text")).to_have_text("more than 100 MB")
    row.get_by_role("button", name="Send big.txt again").click()
    expect(row).to_have_attribute("data-state", "READY")
    page.get_by_role("button", name="Dismiss empty.txt").click()
    expect(page.locator(".document")).to_have_count(1)


def test_the_same_file_twice_is_one_document(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(lambda gateway, run: None)
    page = open_page(url)
    upload(page, "first.txt", TIDES)
    expect(page.locator(".document")).to_have_attribute("data-state", "READY")
    upload(page, "second.txt", TIDES)
    expect(page.locator("#library-note")).to_have_text("“first.txt” is already here.")
    expect(page.locator(".document")).to_have_count(1)
    assert len(gateway.documents) == 1


def test_a_delete_asks_first_and_then_shows_the_receipt(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(lambda gateway, run: None)
    gateway.put("tides.txt", TIDES)
    page = open_page(url)
    page.get_by_role("button", name="Delete tides.txt").click()
    page.get_by_role("button", name="Keep").click()
    assert len(gateway.documents) == 1
    page.get_by_role("button", name="Delete tides.txt").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#library-note")).to_have_text("Deleted “tides.txt”. Nothing of it is left.")
    expect(page.locator(".document")).to_have_count(0)
    expect(page.get_by_role("heading", name="Ask your own documents")).to_be_visible()
    assert gateway.documents == {}


def test_more_documents_than_a_page_are_all_there(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(lambda gateway, run: None)
    for number in range(130):
        gateway.put(f"note-{number}.txt", f"Note {number}")
    page = open_page(url)
    expect(page.locator(".document")).to_have_count(100)
    expect(page.locator(".document .title").first).to_have_text("note-129.txt")
    page.get_by_role("button", name="Show more").click()
    expect(page.locator(".document")).to_have_count(130)
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()


def test_an_outage_is_named_and_the_page_comes_back_by_itself(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(lambda gateway, run: None)
    gateway.put("tides.txt", TIDES)
    gateway.down = ["vector", "redis"]
    gateway.refusals.append(
        ("GET /api/v1/collections", 503, "UPSTREAM_UNAVAILABLE", "vector cannot be reached")
    )
    page = open_page(url)
    expect(page.locator("#outage")).to_contain_text("Not available: documents and search (vector), redis.")
    expect(page.locator("#library-note")).to_contain_text("vector cannot be reached")
    gateway.down = []
    expect(page.locator("#outage")).to_be_hidden()
    expect(page.locator(".document")).to_have_count(1)
    expect(page.locator("#library-note")).to_be_hidden()


def test_a_passage_that_is_not_there_any_more_is_not_marked(open_page: OpenPage, serve: Serve) -> None:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        citation = gateway.cite(1, tides, QUOTE)
        tides.text = tides.text.replace(b"4.2", b"9.9")
        gateway.succeed(run, gateway.result(run, "It reaches 4.2 metres. [1]", [citation]))

    gateway, url = serve(script)
    tides = gateway.put("tides.txt", TIDES)
    page = open_page(url)
    ask(page)
    page.locator(".cite").click()
    expect(page.locator("#reader-notice")).to_contain_text("does not stand in this document any more")
    expect(page.locator("#reader-text")).to_contain_text("9.9 metres")
    expect(page.locator("#reader-text mark")).to_have_count(0)
    expect(page.locator(".source .mark-verified")).to_have_text("Other words stand there")


def test_a_footnote_mark_in_a_quote_is_not_taken_for_a_source(open_page: OpenPage, serve: Serve) -> None:
    quote = "He grew up in Barmouth.[1] In 1990[2]\nhe left."

    def script(gateway: ScriptedGateway, run: Run) -> None:
        first, second = gateway.cite(1, life, "He was born in Bangor."), gateway.cite(2, life, quote)
        gateway.succeed(
            run, gateway.result(run, f"He was born in Bangor. [1]\n\n{quote} [2]", [first, second])
        )

    gateway, url = serve(script)
    life = gateway.put("life.txt", f"He was born in Bangor. {quote}")
    page = open_page(url)
    ask(page)
    expect(page.locator(".cite")).to_have_text(["[1]", "[2]"])
    expect(page.locator(".answer p").last).to_have_text("He grew up in Barmouth.[1] In 1990[2] he left. [2]")
    page.locator(".cite").last.click()
    assert page.locator("mark.lit").text_content() == quote


def test_sources_can_be_gone_through_across_documents(open_page: OpenPage, serve: Serve) -> None:
    quay = "The quay was raised in 2001."
    overlapping = "4.2 metres — café level 🌊. It comes two days"

    def script(gateway: ScriptedGateway, run: Run) -> None:
        citations = [
            gateway.cite(1, tides, QUOTE),
            gateway.cite(2, other, quay),
            gateway.cite(3, tides, overlapping),
        ]
        gateway.succeed(run, gateway.result(run, "High [1], raised [2], late [3], unknown [7].", citations))

    gateway, url = serve(script)
    tides, other = gateway.put("tides.txt", TIDES), gateway.put("quay.txt", f"Work\n\n{quay}\n")
    page = open_page(url)
    ask(page)
    expect(page.locator(".cite")).to_have_count(3)
    page.locator(".cite").first.click()
    for position, title, quote in (
        ("1 of 3", "tides.txt", QUOTE),
        ("2 of 3", "quay.txt", quay),
        ("3 of 3", "tides.txt", overlapping),
        ("1 of 3", "tides.txt", QUOTE),
    ):
        expect(page.locator("#reader-position")).to_have_text(position)
        expect(page.locator("#reader-title")).to_have_text(title)
        expect(page.locator("mark.lit").first).to_be_in_viewport()
        assert "".join(page.locator("mark.lit").all_text_contents()) == quote
        page.get_by_role("button", name="Next source").click()
    page.keyboard.press("Escape")
    expect(page.locator("#reader")).to_be_hidden()
    expect(page.locator(".cite").first).to_be_focused()


def test_a_passage_deep_in_a_book_is_shown_at_once(open_page: OpenPage, serve: Serve) -> None:
    lines = [
        f"Line {number} of a long log — with ümlauts and 🌊 and words to fill it.\n"
        for number in range(150_000)
    ]
    quote = "Line 110000 of a long log — with ümlauts and 🌊"

    def script(gateway: ScriptedGateway, run: Run) -> None:
        gateway.succeed(run, gateway.result(run, "There. [1]", [gateway.cite(1, book, quote)]))

    gateway, url = serve(script)
    book = gateway.put("log.txt", "".join(lines))
    page = open_page(url)
    ask(page)
    began = time.monotonic()
    page.locator(".cite").click()
    expect(page.locator("mark.lit")).to_be_in_viewport()
    # Half a second alone on a laptop.
    assert time.monotonic() - began < promised(5)
    assert page.locator("mark.lit").text_content() == quote
    assert len(book.text) > 10_000_000
    page.wait_for_timeout(300)
    expect(page.locator("mark.lit")).to_be_in_viewport()


def test_the_theme_is_chosen_once_and_kept(open_page: OpenPage, serve: Serve) -> None:
    _, url = serve(lambda gateway, run: None)
    page = open_page(url, color_scheme="dark")

    def ground() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    body, dark = page.locator("body"), ground()
    page.get_by_role("button", name="Theme: as the system").click()
    expect(body).not_to_have_css("background-color", dark)
    light = ground()
    reload(page)
    expect(body).to_have_css("background-color", light)
    page.get_by_role("button", name="Theme: light").click()
    expect(body).to_have_css("background-color", dark)


def test_a_new_collection_is_made_checked_and_opened(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(answered(lambda: next(iter(gateway.documents.values()))))
    gateway.put("tides.txt", TIDES)
    page = open_page(url)
    page.get_by_role("button", name="New collection").click()
    page.get_by_label("Name").fill("a b")
    page.keyboard.press("Enter")
    expect(page.locator("#new-collection-error")).to_contain_text("3 to 63 characters are needed")
    page.get_by_label("Name").fill("harbour")
    page.keyboard.press("Enter")
    expect(page.locator("#collection")).to_have_value("harbour")
    expect(page.locator(".document")).to_have_count(0)
    ask(page)
    expect(page.locator(".cite")).to_have_count(1)
    assert next(iter(gateway.runs.values())).request["collections"] == ["harbour"]
    reload(page)
    expect(page.locator("#collection")).to_have_value("harbour")
    page.locator("#collection").select_option("documents")
    expect(page.locator(".document")).to_have_count(1)


def test_earlier_conversations_can_be_opened_again(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(answered(lambda: tides))
    tides = gateway.put("tides.txt", TIDES)
    page = open_page(url)
    ask(page, "The first question")
    expect(page.locator(".cite")).to_have_count(1)
    page.get_by_role("button", name="New conversation").click()
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    ask(page, "The second question")
    expect(page.locator(".cite")).to_have_count(1)
    page.locator("summary").get_by_text("Conversations", exact=True).click()
    page.get_by_role("button", name="The first question").click()
    expect(page.locator(".question")).to_have_text("The first question")
    expect(page.locator(".cite")).to_have_count(1)
    assert len(gateway.sessions) == 2
