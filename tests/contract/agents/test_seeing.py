"""A real task for the image agent, without and with a model, over real channels and in the real sandbox."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from google.protobuf import struct_pb2

from meldrag.agents.v1 import agents_pb2, results_pb2
from services.agents import recorder
from services.agents.ports import Sandboxed
from services.agents.seeing import hocr
from services.sandbox.sandbox import open_sandbox
from tests.contract.agents.conftest import Client, Event, agents_house, kinds, result_of
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, hosted
from tests.contract.agents.test_journal import REQUEST, RUN, bytes_of, cut, kind_of, replayed
from tests.support.model_server import Answer, Drawing, Failure, ModelServer
from tests.support.pictures import camera_exif, page, photo, saved, whole_png

Open = Callable[..., Any]
PRINT = ("The harbour of Elmsund is", "fourteen metres deep.")
BLIND = Answer("What is in the picture follows.")
READING = {
    "answer": "It is fourteen metres deep.",
    "pictures": [
        {
            "description": "A printed page about a harbour.",
            "text": " ".join(PRINT),
            "values": [{"name": "depth", "value": "fourteen metres"}],
        }
    ],
}
SEEING = {"meld_model_capabilities": "gpt-4=vision+json_schema"}


@pytest.fixture
async def sandbox() -> Sandboxed:
    box = await open_sandbox()
    if box.layer is None:
        pytest.skip(box.reason)
    return box


@pytest.fixture
async def session() -> SessionNeighbour:
    keeper = SessionNeighbour()
    for name, kind, data in (
        ("scan", "png", saved(page(*PRINT), dpi=(300, 300))),
        ("pier", "jpeg", saved(photo(), "JPEG", exif=camera_exif(position=True))),
        ("bomb", "png", whole_png(20_000, 20_000)),
    ):
        keeper.attach(f"{name}.{kind}", f"image/{kind}", data, attachment_id=name)
    return keeper


@pytest.fixture
async def vector() -> VectorNeighbour:
    return VectorNeighbour()


@pytest.fixture
async def open_easel(session: SessionNeighbour, vector: VectorNeighbour) -> AsyncIterator[Open]:
    """Opens an agents service; `on` is another session service than the fixture's."""
    async with AsyncExitStack() as stack:
        vectors = await stack.enter_async_context(hosted("vector", vector))

        async def open_it(model_url: str = "", on: Any = session, **more: Any) -> Client:
            sessions = await stack.enter_async_context(hosted("session", on))
            return await stack.enter_async_context(agents_house(vectors, sessions, model_url, **more))

        yield open_it


async def run(house: Client, message: str, inputs: dict[str, Any], **fields: Any) -> list[Event]:
    given = struct_pb2.Struct()
    given.update(inputs)
    return await house.run(message, "image", seconds=110, inputs=given, **fields)


@pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")
async def test_without_a_model_pictures_are_measured_and_their_text_becomes_a_document(
    open_easel: Open, session: SessionNeighbour, vector: VectorNeighbour, sandbox: Sandboxed
) -> None:
    house = await open_easel(sandbox=sandbox)
    inputs = {"attachment_ids": ["scan", "pier", "bomb"], "ingest_collection_id": "notes"}
    events = await run(house, "How deep is the harbour?", inputs)
    ended = result_of(events)
    result = ended.result.image

    scan, pier, bomb = result.pictures
    assert [line.text for line in scan.lines] == list(PRINT)
    assert (scan.dpi_x, scan.background_contrast) == (pytest.approx(300, abs=0.5), 21)
    assert (pier.camera.model, pier.position_present, pier.HasField("position")) == ("EO-7", True, False)
    assert "more pixels" in bomb.reason
    assert ended.answer_mode == agents_pb2.ANSWER_MODE_TOOLS
    assert "fourteen metres deep." in ended.text
    ((header, data),) = vector.ingested.values()
    assert (header.collection_id, header.title) == ("notes", "scan.png")
    assert (header.media_type, header.external_id) == ("text/vnd.hocr+html", "attachment-scan")
    assert [line.text for line in hocr.read(data.decode())] == list(PRINT)
    assert [document.document_id for document in result.documents] == ["doc-attachment-scan"]
    assert session.attachments[result.files[0].attachment_id][1] == data
    assert [e.tool_finished.succeeded for e in events if e.HasField("tool_finished")] == [True] * 4

    # Nothing but the record is needed to do it again.
    session.attachments.clear()
    reads = session.faults.calls.count("ReadAttachment")
    repeated, outcome = await replayed(house, events[0].run_id)
    assert outcome.identical, outcome
    assert list(map(bytes_of, repeated)) == list(map(bytes_of, events))
    assert session.faults.calls.count("ReadAttachment") == reads
    assert vector.faults.calls.count("IngestDocument") == 1


async def test_with_a_model_that_sees_the_description_stands_beside_the_facts(
    open_easel: Open, session: SessionNeighbour, sandbox: Sandboxed
) -> None:
    with ModelServer(BLIND, Answer(json.dumps(READING))) as server:
        house = await open_easel(server.base_url, sandbox=sandbox, **SEEING)
        inputs = {"attachment_ids": ["scan", "bomb"], "skip_text": True}
        events = await run(house, "How deep is the harbour?", inputs)
    result = result_of(events).result.image
    assert result.reading.answer == "It is fourteen metres deep."
    assert result.reading.pictures[0].values[0].value == "fourteen metres"
    assert result.pictures[0].width > 0
    assert "A model sees: It is fourteen metres deep." in result_of(events).text
    asked = server.chats[1].messages[-1]["content"]
    # The bomb is not shown.
    (shown,) = [part["image_url"]["url"] for part in asked if part["type"] == "image_url"]
    assert shown.startswith("data:image/png;base64,")
    assert "How deep is the harbour?" in asked[0]["text"]
    assert "scan.png: PNG" in asked[0]["text"]

    # Again, with no model and no picture: what was shown is known by its digest.
    session.attachments.clear()
    again = await open_easel(sandbox=sandbox)
    repeated, outcome = await replayed(again, events[0].run_id)
    assert outcome.identical, outcome
    assert list(map(bytes_of, repeated)) == list(map(bytes_of, events))


async def test_a_model_that_does_not_see_is_not_shown_the_picture_and_the_run_says_so(
    open_easel: Open, sandbox: Sandboxed
) -> None:
    with ModelServer(BLIND) as server:
        house = await open_easel(server.base_url, sandbox=sandbox)
        events = await run(house, "What is it?", {"attachment_ids": ["pier"], "skip_text": True})
    ended = result_of(events)
    assert not ended.result.image.HasField("reading")
    assert ended.result.image.pictures[0].format == "JPEG"
    (degradation,) = ended.degradations
    assert "no model with vision is configured" in degradation.reason


async def test_a_picture_is_made_kept_and_counted_and_a_replay_makes_none(
    open_easel: Open, session: SessionNeighbour
) -> None:
    made = saved(photo(seed=7))
    with ModelServer(BLIND, Drawing(made, "a pier in oil", (11, 272))) as server:
        house = await open_easel(server.base_url, openai_image_model="brush")
        inputs = {"generation": {"prompt": "A pier in oil", "size": "512x512"}}
        events = await run(house, "Paint a pier.", inputs)
    ended = result_of(events)
    result = ended.result.image
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert (result.generated.model, result.generated.revised_prompt) == ("brush", "a pier in oil")
    assert session.attachments[result.generated.file.attachment_id][1] == made
    (asked,) = server.drawings
    assert {**asked.body, "response_format": "b64_json"} == asked.body
    assert (asked.body["model"], asked.body["prompt"], asked.body["size"], asked.body["n"]) == (
        *("brush", "A pier in oil", "512x512"),
        1,
    )
    # One call writes, one paints; their tokens are the run's.
    assert ended.usage.model_calls == 2
    assert ended.usage.output_tokens == 12 + 272
    again = await open_easel()
    repeated, outcome = await replayed(again, events[0].run_id)
    assert outcome.identical, outcome
    assert list(map(bytes_of, repeated)) == list(map(bytes_of, events))


async def test_where_no_model_makes_pictures_or_it_refuses_the_reason_is_told(open_easel: Open) -> None:
    inputs = {"generation": {"prompt": "A pier"}}
    house = await open_easel()
    result = result_of(await run(house, "Paint a pier.", inputs)).result.image
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert "OPENAI_IMAGE_MODEL" in result.generated.reason
    with ModelServer(BLIND, Failure(400)) as server:
        house = await open_easel(server.base_url, openai_image_model="brush")
        ended = result_of(await run(house, "Paint a pier.", inputs))
    assert "brush: the model answered with HTTP status 400" in ended.result.image.generated.reason
    assert ended.usage.model_calls == 2


async def test_a_picture_of_which_nobody_knows_whether_it_was_made_is_not_made_again(
    open_easel: Open, session: SessionNeighbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_MAX_BATCH", 1)
    inputs = {"generation": {"prompt": "A pier"}}
    with ModelServer(BLIND, Drawing(saved(photo()))) as server:
        house = await open_easel(server.base_url, openai_image_model="brush")
        await run(house, "Paint a pier.", inputs, request_id=REQUEST)
        uses = [
            sum(kind_of(entry) == "tool" for append in session.appends[:count] for entry in append.entries)
            for count in range(len(session.appends))
        ]
        # That it begins is in the record, and what came of it is not.
        left = cut(session, uses.index(1))
        keeper = SessionNeighbour()
        keeper.runs, keeper.events, keeper.entries = left.runs, left.events, left.entries
        resumed = await open_easel(server.base_url, on=keeper, openai_image_model="brush")
        events = await run(resumed, "Paint a pier.", inputs, request_id=REQUEST)
    assert len(server.drawings) == 1
    assert events[0].run_id == RUN
    result = result_of(events).result.image
    assert "nobody knows whether it did what it should" in result.generated.reason
    assert not keeper.attachments


async def test_charts_and_diagrams_come_with_the_answer_and_as_files(
    open_easel: Open, session: SessionNeighbour
) -> None:
    house = await open_easel()
    events = await run(
        house,
        "Draw a bar chart of these sales figures.",
        {
            "chart": {"csv": "month,sales\nJan,3\nFeb,5", "title": "Sales"},
            "diagram": {"text": "order -> delivery: paid"},
        },
    )
    result = result_of(events).result.image
    assert [drawing.title for drawing in result.drawings] == ["Sales", "Diagram"]
    assert [session.attachments[file.attachment_id][1].decode() for file in result.files] == [
        drawing.svg for drawing in result.drawings
    ]
    assert kinds(events).count("tool_finished") == 2


async def test_an_attachment_that_is_not_there_and_inputs_that_do_not_fit_are_named(
    open_easel: Open, sandbox: Sandboxed
) -> None:
    house = await open_easel(sandbox=sandbox)
    events = await run(house, "What is it?", {"attachment_ids": ["gone"]})
    assert events[-1].ended.error.reason == "ATTACHMENT_NOT_FOUND"
    events = await run(house, "Draw it.", {"chart": {"csv": "a,b\n1"}})
    assert events[-1].ended.error.reason == "INPUTS_INVALID"
    assert "$.chart.csv: row 1 has 1 cells" in events[-1].ended.error.message
