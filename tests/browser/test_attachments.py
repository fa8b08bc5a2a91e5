"""Pictures and recordings that go with a question, and those that come back, with a scripted gateway."""

from __future__ import annotations

import io
import struct
import wave
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage, Serve, reload
from tests.browser.scripted import Run, ScriptedGateway
from tests.browser.waiting import until
from tests.support.pictures import photo, saved

pytestmark = pytest.mark.browser

PNG = saved(photo(64, 48))
DRAWING = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="60" height="40" viewBox="0 0 60 40">'
    b'<style>rect { fill: currentColor }</style><rect x="5" y="5" width="20" height="30"/>'
    b"<script>parent.hit = 1; top.hit = 1</script></svg>"
)
CHART = {"title": "Time by size", "svg": DRAWING.decode()}


def recording(seconds: float = 0.2) -> bytes:
    """A WAV of silence at 8 kHz."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams((1, 2, 8_000, 0, "NONE", ""))
        file.writeframes(struct.pack("<h", 0) * int(8_000 * seconds))
    return target.getvalue()


WAV = recording()
Files = list[tuple[str, str, bytes]]


def attach(page: Page, *files: tuple[str, str, bytes]) -> None:
    page.set_input_files(
        "#attach-picker", [{"name": name, "mimeType": kind, "buffer": data} for name, kind, data in files]
    )


def transfer(page: Page, *files: tuple[str, str]) -> Any:
    """What a mouse or the clipboard carries: files of a name and a media type."""
    return page.evaluate_handle(
        """(files) => {
            const transfer = new DataTransfer();
            for (const [name, type] of files) transfer.items.add(new File(["file " + name], name, { type }));
            return transfer;
        }""",
        [list(file) for file in files],
    )


def drop(page: Page, target: str, *files: tuple[str, str]) -> str:
    """Drops files onto an element; gives what the veil had said."""
    carried = transfer(page, *files)
    page.dispatch_event(target, "dragover", {"dataTransfer": carried})
    said = page.locator("#drop-veil").inner_text()
    page.dispatch_event(target, "drop", {"dataTransfer": carried})
    return said


def ask(page: Page, question: str = "What does it show?") -> None:
    page.fill("#question", question)
    page.keyboard.press("Enter")


def making(*files: tuple[str, str, bytes], **more: Any) -> Callable[[ScriptedGateway, Run], None]:
    """A script that answers with these files."""

    def script(gateway: ScriptedGateway, run: Run) -> None:
        made = [gateway.keep(run, *file) for file in files]
        agent = run.request["agent"]
        gateway.succeed(
            run,
            gateway.result(run, "Done.", [], agent=agent, result={"files": made, "documents": [], **more}),
        )

    return script


@pytest.mark.parametrize(
    ("attached", "agent"),
    [(("pier.png", "image/png", PNG), "image"), (("talk.wav", "audio/wav", WAV), "audio")],
)
def test_auto_takes_the_agent_of_what_is_attached(
    open_page: OpenPage, serve: Serve, attached: tuple[str, str, bytes], agent: str
) -> None:
    name, kind, data = attached
    gateway, url = serve(making())
    gateway.put("tides.txt", "The tide.")
    page = open_page(url)
    attach(page, (name, kind, data))
    expect(page.locator(".chip")).to_have_text(f"{name}{len(data) / 1000:.1f} KB")
    ask(page)
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    # Another agent would be asked without them.
    expect(page.get_by_label("Ask another agent")).to_have_count(0)
    (run,) = gateway.runs.values()
    (file,) = gateway.files.values()
    assert (file.filename, file.media_type, file.data) == (name, kind, data)
    assert run.request["agent"] == agent
    assert run.request["inputs"] == {"attachment_ids": [file.id], "ingest_collection_id": "documents"}
    expect(page.locator(".chip")).to_have_count(0)
    expect(page.locator(f".asked-files {'img' if agent == 'image' else 'audio'}")).to_have_count(1)


def test_a_question_without_files_has_no_inputs(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(making())
    page = open_page(url)
    ask(page)
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    expect(page.get_by_label("Ask another agent")).to_be_visible()
    (run,) = gateway.runs.values()
    assert "inputs" not in run.request
    assert run.request["agent"] == "auto"


@pytest.mark.parametrize(
    ("agent", "files", "said"),
    [
        ("auto", [("a.png", "image/png"), ("b.wav", "audio/wav")], "different agents"),
        ("auto", [("a.png", "image/png"), ("slow.py", "text/x-python")], "different agents"),
        ("image", [("b.wav", "audio/wav")], "Image takes pictures, and b.wav is none"),
        ("research", [("a.png", "image/png")], "Research takes no pictures and no recordings"),
        ("audio", [(f"{n}.wav", "audio/wav") for n in range(5)], "At most 4 recordings"),
    ],
)
def test_files_that_nobody_takes_are_told_and_the_question_stays(
    open_page: OpenPage, serve: Serve, agent: str, files: list[tuple[str, str]], said: str
) -> None:
    gateway, url = serve(making())
    page = open_page(url)
    page.select_option("#agent", agent)
    attach(page, *((name, kind, b"data") for name, kind in files))
    expect(page.locator(".chip[data-phase=taken]")).to_have_count(len(files))
    ask(page)
    expect(page.locator("#ask-note")).to_contain_text(said)
    expect(page.locator("#announcer")).to_contain_text(said)
    expect(page.locator("#question")).to_have_value("What does it show?")
    assert gateway.runs == {}


def test_a_question_waits_for_its_files_and_then_goes_by_itself(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(making())
    gateway.attaching.clear()
    page = open_page(url)
    attach(page, ("pier.png", "image/png", PNG))
    ask(page)
    expect(page.locator("#ask-note")).to_contain_text("as soon as all files have arrived")
    assert gateway.runs == {}
    gateway.attaching.set()
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")
    expect(page.locator("#ask-note")).to_be_hidden()
    expect(page.locator("#question")).to_have_value("")
    (run,) = gateway.runs.values()
    assert len(run.request["inputs"]["attachment_ids"]) == 1


def test_a_file_that_does_not_arrive_says_why_and_leaves_the_question(
    open_page: OpenPage, serve: Serve
) -> None:
    gateway, url = serve(making())
    refusal = ("POST /api/v1/attachments", 413, "ATTACHMENT_TOO_LARGE", "the file is larger than 9 bytes")
    gateway.refusals.append(refusal)
    gateway.attaching.clear()
    page = open_page(url)
    page.fill("#question", "What does it show?")
    attach(page, ("pier.png", "image/png", PNG))
    expect(page.locator(".chip[data-phase=failed]")).to_contain_text("the file is larger than 9 bytes")
    expect(page.locator("#ask-note")).to_contain_text("pier.png did not arrive")
    page.focus("#question")
    page.keyboard.press("Enter")
    expect(page.locator("#question")).to_have_value("What does it show?")
    assert gateway.runs == {}
    gateway.attaching.set()
    page.get_by_role("button", name="Send pier.png again").click()
    expect(page.locator(".chip[data-phase=taken]")).to_have_count(1)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator(".turn")).to_have_attribute("data-outcome", "SUCCEEDED")


def test_files_are_removed_by_keyboard_and_the_focus_stays_near(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(making())
    page = open_page(url)
    attach(page, ("a.png", "image/png", PNG), ("b.png", "image/png", PNG))
    expect(page.locator(".chip[data-phase=taken]")).to_have_count(2)
    page.get_by_role("button", name="Remove a.png").focus()
    with page.expect_response("**/attachments/att_*"):
        page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Remove b.png")).to_be_focused()
    with page.expect_response("**/attachments/att_*"):
        page.keyboard.press("Enter")
    expect(page.locator("#question")).to_be_focused()
    expect(page.locator("#attachments")).to_be_hidden()
    # What is not asked about is not kept either.
    assert gateway.files == {}


def test_dropped_and_pasted_files_go_to_the_question_or_to_the_documents(
    open_page: OpenPage, serve: Serve
) -> None:
    _, url = serve(making())
    page = open_page(url)
    chips, documents = page.locator(".chip-name"), page.locator(".document .title")
    # Nobody asks about files: all are documents.
    assert drop(page, "#thread", ("a.png", "image/png")) == "Drop to add to your documents"
    expect(documents).to_have_text(["a.png"])
    # Over the question box pictures are for the question, other files are not.
    said = drop(page, "#question", ("b.png", "image/png"), ("b.md", "text/markdown"))
    assert said == "Drop to attach to your question"
    expect(chips).to_have_text(["b.png"])
    expect(documents).to_have_text(["b.md", "a.png"])
    # So is code. Tables are for the question where its agent takes them.
    drop(page, "#question", ("slow.py", "text/x-python"), ("a.csv", "text/csv"))
    expect(chips).to_have_text(["b.png", "slow.py"])
    expect(documents).to_have_text(["a.csv", "b.md", "a.png"])
    page.get_by_role("button", name="Remove slow.py").click()
    page.get_by_role("button", name="Delete a.csv").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.select_option("#agent", "ceo")
    drop(page, "#thread", ("b.csv", "text/csv"))
    expect(chips).to_have_text(["b.png", "b.csv"])
    page.get_by_role("button", name="Remove b.csv").click()
    # While the agent works on files, they may be dropped anywhere.
    page.select_option("#agent", "audio")
    drop(page, "#thread", ("c.flac", ""), ("c.md", "text/markdown"))
    expect(chips).to_have_text(["b.png", "c.flac"])
    expect(documents).to_have_text(["c.md", "b.md", "a.png"])
    page.select_option("#agent", "auto")
    for target, name in (("#question", "d.png"), ("#thread", "e.png")):
        page.evaluate(
            """([selector, carried]) => document.querySelector(selector).dispatchEvent(
                new ClipboardEvent("paste", { clipboardData: carried, bubbles: true, cancelable: true }))""",
            [target, transfer(page, (name, "image/png"))],
        )
    expect(chips).to_have_text(["b.png", "c.flac", "d.png"])
    expect(documents).to_have_text(["e.png", "c.md", "b.md", "a.png"])


def test_what_a_run_made_shows_as_what_it_is_also_after_a_reload(open_page: OpenPage, serve: Serve) -> None:
    files: Files = [
        ("plan.svg", "image/svg+xml", DRAWING),
        ("copy.png", "image/png", PNG),
        ("said.wav", "audio/wav", WAV),
        ("scan.hocr", "text/vnd.hocr+html", b"<script>parent.hit = 2</script>"),
    ]
    _, url = serve(making(*files))
    page = open_page(url)
    page.select_option("#agent", "image")
    ask(page)
    for _ in range(2):
        made = page.locator(".files")
        expect(made.locator("img")).to_have_count(2)
        until(
            page,
            """() => [...document.querySelectorAll(".files img")].every((image) => image.naturalWidth > 0)
                && document.querySelector(".files audio").duration > 0.1""",
        )
        expect(made.locator("figcaption a").first).to_have_attribute("download", "plan.svg")
        expect(made.locator(".downloads a")).to_have_text(["scan.hocr, 31 bytes"])
        with page.expect_download() as loading:
            made.locator(".downloads a").click()
        assert loading.value.path().read_bytes() == files[3][2]
        assert page.evaluate("window.hit") is None
        reload(page)


def test_charts_are_pictures_and_run_nothing(open_page: OpenPage, serve: Serve) -> None:
    _, url = serve(making(charts=[CHART]))
    page = open_page(url)
    ask(page)
    chart = page.get_by_role("img", name="Time by size")
    expect(chart).to_be_visible()
    assert chart.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 60
    expect(page.locator(".files svg")).to_have_count(0)
    assert page.evaluate("window.hit") is None


def test_a_file_that_is_gone_is_told(open_page: OpenPage, serve: Serve) -> None:
    gateway, url = serve(making(("copy.png", "image/png", PNG)))
    page = open_page(url)
    ask(page)
    expect(page.locator(".files img")).to_have_count(1)
    gateway.files.clear()
    page.evaluate("document.querySelector('.files img').src += '?again'")
    expect(page.locator(".files .gone")).to_have_text("It cannot be shown. It may no longer be kept.")


def test_what_was_read_in_a_file_appears_among_the_documents(open_page: OpenPage, serve: Serve) -> None:
    def script(gateway: ScriptedGateway, run: Run) -> None:
        where = run.request["inputs"]["ingest_collection_id"]
        document = gateway.put("pier.png", "The quay of Varnholm", where)
        made = {"collection_id": where, "document_id": document.id, "title": "pier.png"}
        gateway.succeed(run, gateway.result(run, "Read.", [], result={"files": [], "documents": [made]}))

    _, url = serve(script)
    page = open_page(url)
    attach(page, ("pier.png", "image/png", PNG))
    ask(page)
    expect(page.locator(".document .title")).to_have_text("pier.png")
    expect(page.locator("#collection")).to_have_value("documents")
