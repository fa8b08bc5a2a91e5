"""RunAgent without a model, as a caller on the other side of a channel sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from meldrag.agents.v1 import agents_pb2, results_pb2
from meldrag.session.v1 import session_pb2
from services.agents.routing.triage import packaged, packaged_with_questions
from services.chassis.errors import NotFoundError, ServiceError, UnavailableError
from tests.contract.agents.conftest import DEFAULT, agents_house, kinds, result_of, streamed
from tests.contract.agents.neighbours import SessionNeighbour, VectorNeighbour, hosted, silent, unavailable
from tests.support.waits import promised

# What a machine that is busy with other things may add.
BUSY_SECONDS = 1.0
QUESTION = "When was the lighthouse of Brava built?"
Open = Callable[..., Any]


async def test_answers_with_a_quote_that_stands_in_the_document(
    open_house: Open, vector: VectorNeighbour
) -> None:
    house = await open_house()
    events = await house.run(QUESTION)
    result = result_of(events)
    assert kinds(events) == ["started", "passages", "text", "result", "usage", "ended"]
    assert [event.sequence for event in events] == list(range(1, 7))
    assert result.answer_mode == agents_pb2.ANSWER_MODE_EXTRACTIVE
    assert result.text == streamed(events) == "The lighthouse of Brava was built in 1884. [1]"
    (citation,) = result.citations
    document = (
        "Ünïcode in front. The lighthouse of Brava was built in 1884. Its lamp burns whale oil.".encode()
    )
    assert document[citation.byte_start : citation.byte_end].decode() == citation.quote
    assert citation.quote == "The lighthouse of Brava was built in 1884."
    assert (citation.number, citation.title) == (1, "Lighthouse")
    assert result.result.research.findings[0].citations == [1]
    assert result.usage.model_calls == 0
    assert result.usage.first_text.ToSeconds() <= result.usage.duration.ToSeconds() + 1


async def test_every_citation_was_verified_before_it_was_sent(
    open_house: Open, vector: VectorNeighbour
) -> None:
    house = await open_house()
    result = result_of(await house.run("What does rye bread cost and when does the bakery open?"))
    checked = {(c.document_id, c.span.byte_start, c.span.byte_end, c.quote) for c in vector.verified}
    assert result.citations
    for citation in result.citations:
        assert (citation.document_id, citation.byte_start, citation.byte_end, citation.quote) in checked


async def test_a_quote_that_does_not_hold_is_never_sent(open_house: Open, vector: VectorNeighbour) -> None:
    vector.forged = {"1884"}
    house = await open_house()
    events = await house.run(QUESTION)
    result = result_of(events)
    assert "1884" not in result.text
    assert all("1884" not in citation.quote for citation in result.citations)
    assert "1884" not in str(result.result)


async def test_says_so_when_nothing_answers(open_house: Open) -> None:
    house = await open_house()
    result = result_of(await house.run("Which quantum chromodynamics lattice spacing converges?"))
    assert result.answer_mode == agents_pb2.ANSWER_MODE_NO_ANSWER
    assert result.text == "Nothing was found in the documents that answers this."
    assert not result.citations
    assert result.result.research.gaps
    assert result.result.research.confidence == 0


async def test_shows_what_is_nearest_as_no_answer(open_house: Open, vector: VectorNeighbour) -> None:
    house = await open_house()
    events = await house.run("Who harpooned the whale of Nantucket?")
    result = result_of(events)
    assert result.answer_mode == agents_pb2.ANSWER_MODE_NO_ANSWER
    assert result.text == streamed(events)
    assert result.text.startswith("No sentence answers this surely. Nearest passages:\n\n")
    assert "Its lamp burns whale oil. [1]" in result.text
    assert result.citations[0].quote == "Its lamp burns whale oil."
    assert {citation.quote for citation in result.citations} <= {quote.quote for quote in vector.verified}
    assert not result.result.research.findings
    assert result.result.research.confidence == 0


async def test_says_that_there_are_no_documents_yet(open_house: Open, vector: VectorNeighbour) -> None:
    vector.collections.clear()
    house = await open_house()
    result = result_of(await house.run(QUESTION))
    assert result.answer_mode == agents_pb2.ANSWER_MODE_NO_ANSWER
    assert "no documents yet" in result.text


async def test_a_missing_collection_that_was_named_is_an_error(open_house: Open) -> None:
    house = await open_house()
    error = await house.refusal(QUESTION, collection_ids=["contracts"])
    assert isinstance(error, NotFoundError)
    assert (error.reason, error.metadata["collection_id"]) == ("COLLECTION_NOT_FOUND", "contracts")


async def test_searches_the_sessions_collections(
    open_house: Open, vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    vector.put("harbour", "Pier", "The pier of Brava was built in 1790.")
    session.open("s-1", "harbour")
    house = await open_house()
    events = await house.run("When was the pier built?", session_id="s-1")
    assert list(events[0].started.collection_ids) == ["harbour"]
    assert "1790" in result_of(events).text
    other = await house.run("When was the pier built?", session_id="s-1", collection_ids=[DEFAULT])
    assert list(other[0].started.collection_ids) == [DEFAULT]


async def test_a_question_that_names_no_collection_is_asked_of_all(
    open_house: Open, vector: VectorNeighbour
) -> None:
    vector.put("harbour", "Pier", "The pier of Brava was built in 1790.")
    house = await open_house()
    events = await house.run("When was the pier built?")
    assert list(events[0].started.collection_ids) == ["harbour", DEFAULT]
    assert "1790" in result_of(events).text
    assert not result_of(events).degradations


async def test_the_default_collection_is_asked_alone_where_it_is_there(
    open_house: Open, vector: VectorNeighbour
) -> None:
    vector.put("harbour", "Pier", "The pier of Brava was built in 1790.")
    house = await open_house(collection_name="harbour")
    assert list((await house.run("When was the pier built?"))[0].started.collection_ids) == ["harbour"]
    del vector.collections["harbour"]
    assert list((await house.run(QUESTION))[0].started.collection_ids) == [DEFAULT]


async def test_collections_beyond_what_one_search_takes_are_told_of(
    open_house: Open, vector: VectorNeighbour
) -> None:
    for number in range(16):
        vector.put(f"book-{number:02d}", "Pier", f"The pier {number} of Brava was built in 1790.")
    house = await open_house()
    events = await house.run("When was the pier built?")
    assert list(events[0].started.collection_ids) == [f"book-{number:02d}" for number in range(16)]
    assert [one.component for one in result_of(events).degradations] == ["collections"]


async def test_a_collection_that_goes_while_all_are_asked_costs_no_other(
    open_house: Open, vector: VectorNeighbour
) -> None:
    vector.going.add("harbour")
    house = await open_house()
    events = await house.run(QUESTION)
    assert list(events[0].started.collection_ids) == [DEFAULT]
    assert "1884" in result_of(events).text
    vector.collections.clear()
    vector.going.add("harbour")
    assert "no documents yet" in result_of(await house.run(QUESTION)).text


async def test_top_k_limits_the_passages(open_house: Open, vector: VectorNeighbour) -> None:
    house = await open_house()
    events = await house.run("Brava bakery ferry lighthouse", top_k=2)
    assert len(events[1].passages.passages) == 2
    assert {search.top_k for search in vector.searches} == {2}


async def test_appends_question_and_answer_to_the_session_once(
    open_house: Open, session: SessionNeighbour
) -> None:
    session.open("s-1")
    house = await open_house()
    result = result_of(await house.run(QUESTION, session_id="s-1"))
    question, answer = session.messages["s-1"]
    assert (question.role, question.text) == (session_pb2.ROLE_USER, QUESTION)
    assert (answer.role, answer.text, answer.agent_id, answer.run_id) == (
        session_pb2.ROLE_ASSISTANT,
        result.text,
        "research",
        result.run_id,
    )
    stored = answer.attributes["citations"][0]
    assert stored["quote"] == result.citations[0].quote
    assert stored["byte_start"] == result.citations[0].byte_start
    assert answer.attributes["answer_mode"] == "EXTRACTIVE"


async def test_a_follow_up_is_searched_with_the_turn_before(
    open_house: Open, vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    session.open("s-1")
    house = await open_house()
    await house.run("Tell me about the lighthouse of Brava", session_id="s-1")
    events = await house.run("And when was it built?", session_id="s-1")
    assert events[1].passages.query == "Tell me about the lighthouse of Brava\nAnd when was it built?"
    assert "1884" in result_of(events).text


async def test_a_follow_up_is_searched_with_the_turn_before_that_the_request_brings(
    open_house: Open, vector: VectorNeighbour
) -> None:
    house = await open_house()
    history = [
        agents_pb2.PriorTurn(from_caller=True, text="Tell me about the lighthouse of Brava"),
        agents_pb2.PriorTurn(text="It is old."),
    ]
    events = await house.run("And when was it built?", history=history)
    assert events[1].passages.query == "Tell me about the lighthouse of Brava\nAnd when was it built?"
    assert not result_of(events).cut


async def test_events_are_recorded_as_they_were_sent(open_house: Open, session: SessionNeighbour) -> None:
    house = await open_house()
    events = await house.run(QUESTION)
    run_id = events[0].run_id
    assert session.runs[run_id].state == session_pb2.RUN_STATE_SUCCEEDED
    assert session.runs[run_id].agent_id == "research"
    recorded = []
    for event in session.events[run_id]:
        payload = agents_pb2.RunAgentResponse()
        assert event.payload.Unpack(payload)
        recorded.append(payload)
    assert recorded == events


async def test_auto_lets_triage_choose_and_says_who_answered(open_house: Open) -> None:
    house = await open_house()
    events = await house.run("Write unit tests for the date parser", agent_id="auto")
    assert kinds(events)[:2] == ["started", "routing"]
    assert events[0].started.agent_id == "auto"
    assert events[1].routing.agent_id == "test_generator"
    result = result_of(events)
    assert result.agent_id == "test_generator"
    assert result.result.WhichOneof("result") == "test_generator"
    assert result.result.test_generator.verdict == results_pb2.VERDICT_NOT_RUN
    assert result.result.test_generator.verdict_reason


async def test_auto_takes_a_question_to_the_documents(open_house: Open) -> None:
    house = await open_house(examples=packaged(), asking=packaged_with_questions())
    asked = "Tell me everything about the lamp of Brava"
    other = "Transcribe interview.mp3"
    for message, agent_id in (
        ("How long may the ferry stay?", "research"),
        (asked, "research"),
        (other, "audio"),
    ):
        events = await house.run(message, agent_id="auto")
        assert events[1].routing.agent_id == result_of(events).agent_id == agent_id
    assert (
        await house.stub.RouteTask(agents_pb2.RouteTaskRequest(message="How long may the ferry stay?"))
    ).agent_id != ("research")


async def test_auto_without_documents_goes_by_the_request_alone(
    open_house: Open, vector: VectorNeighbour
) -> None:
    vector.collections.clear()
    house = await open_house(examples=packaged(), asking=packaged_with_questions())
    events = await house.run("How long may the ferry stay?", agent_id="auto")
    assert events[1].routing.agent_id != "research"


async def test_vector_down_is_unavailable(open_house: Open) -> None:
    house = await open_house(vector_address="127.0.0.1:1")
    error = await house.refusal(QUESTION)
    assert isinstance(error, UnavailableError)
    assert error.reason == "RETRIEVAL_UNAVAILABLE"


async def test_a_hung_vector_service_does_not_outlast_the_deadline(open_house: Open) -> None:
    async with silent() as address:
        house = await open_house(vector_address=address)
        started = time.monotonic()
        with pytest.raises(ServiceError):
            await house.run(QUESTION, seconds=1.0)
        assert time.monotonic() - started < promised(1.0 + BUSY_SECONDS)


async def test_the_vector_service_failing_midway_ends_the_run_failed(
    open_house: Open, vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    vector.faults.methods = {"VerifyCitations"}
    vector.faults.error = UnavailableError("gone", reason="UPSTREAM_UNAVAILABLE")
    house = await open_house()
    events = await house.run(QUESTION)
    ended = events[-1].ended
    assert kinds(events)[0] == "started"
    assert ended.outcome == agents_pb2.RUN_OUTCOME_FAILED
    assert ended.error.reason == "RETRIEVAL_UNAVAILABLE"
    assert ended.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert session.runs[events[0].run_id].state == session_pb2.RUN_STATE_FAILED


async def test_words_alone_choose_when_nothing_can_be_embedded(
    open_house: Open, vector: VectorNeighbour
) -> None:
    vector.faults.methods = {"EmbedTexts"}
    vector.faults.error = UnavailableError("no model", reason="EMBEDDER_UNAVAILABLE")
    house = await open_house()
    result = result_of(await house.run(QUESTION))
    assert "1884" in result.text
    assert [degradation.component for degradation in result.degradations] == ["vector_index"]


async def test_cosines_count_as_the_vector_service_says(open_house: Open, vector: VectorNeighbour) -> None:
    """By a model that finds all texts alike nothing would ever not be answered."""
    house = await open_house()
    assert result_of(await house.run(QUESTION)).answer_mode != agents_pb2.ANSWER_MODE_NO_ANSWER
    vector.similarity = (1.0, -1.0)
    assert result_of(await house.run(QUESTION)).answer_mode == agents_pb2.ANSWER_MODE_NO_ANSWER


async def test_without_the_session_service_a_named_session_fails(open_house: Open) -> None:
    house = await open_house(session_address="127.0.0.1:1")
    error = await house.refusal(QUESTION, session_id="s-1")
    assert isinstance(error, UnavailableError)
    assert error.reason == "SESSION_UNAVAILABLE"


async def test_a_missing_session_is_an_error(open_house: Open) -> None:
    house = await open_house()
    error = await house.refusal(QUESTION, session_id="nobody")
    assert (type(error), error.reason) == (NotFoundError, "SESSION_NOT_FOUND")


async def test_without_the_session_service_other_runs_go_on_and_say_so(open_house: Open) -> None:
    house = await open_house(session_address="127.0.0.1:1", meld_session_wait_seconds=0.25)
    events = await house.run(QUESTION)
    assert not events[0].started.recorded
    result = result_of(events)
    assert "1884" in result.text
    assert {degradation.component for degradation in result.degradations} == {"session"}


async def test_a_hung_session_service_holds_a_run_up_by_half_a_second_at_most(open_house: Open) -> None:
    async with silent() as address:
        house = await open_house(session_address=address, meld_session_wait_seconds=0.25)
        await house.run(QUESTION)
        started = time.monotonic()
        events = await house.run(QUESTION)
        assert time.monotonic() - started < promised(0.5 + BUSY_SECONDS)
        assert "1884" in result_of(events).text


async def test_a_hung_session_service_does_not_outlast_the_deadline(open_house: Open) -> None:
    async with silent() as address:
        house = await open_house(session_address=address)
        started = time.monotonic()
        error = await house.refusal(QUESTION, session_id="s-1", seconds=1.0)
        assert time.monotonic() - started < promised(1.0 + BUSY_SECONDS)
        assert error.reason in {"SESSION_UNAVAILABLE", "UPSTREAM_DEADLINE"}


async def test_the_record_is_completed_when_the_session_service_comes_back(
    open_house: Open, session: SessionNeighbour
) -> None:
    session.open("s-1")
    house = await open_house(meld_session_wait_seconds=0.25)
    session.faults.methods = {"AppendRunEvents", "AppendMessage"}
    session.faults.error = unavailable()
    events = await house.run(QUESTION, session_id="s-1")
    result = result_of(events)
    assert "1884" in result.text
    assert "session" in {degradation.component for degradation in result.degradations}
    assert not session.messages["s-1"]
    session.faults.error = None
    async with asyncio.timeout(5):
        while session.runs[events[0].run_id].state != session_pb2.RUN_STATE_SUCCEEDED:
            await asyncio.sleep(0.05)
        while len(session.messages["s-1"]) != 2:
            await asyncio.sleep(0.05)
    assert len(session.events[events[0].run_id]) == len(events)


async def test_recovers_by_itself_when_the_vector_service_comes_back(
    vector: VectorNeighbour, session: SessionNeighbour
) -> None:
    async with hosted("session", session) as session_address:
        async with hosted("vector", vector) as vector_address:
            port = int(vector_address.rpartition(":")[2])
        async with agents_house(vector_address, session_address) as house:
            assert (await house.refusal(QUESTION)).reason == "RETRIEVAL_UNAVAILABLE"
            async with hosted("vector", vector, port):
                async with asyncio.timeout(5):
                    while True:
                        try:
                            assert "1884" in result_of(await house.run(QUESTION)).text
                            break
                        except UnavailableError:
                            await asyncio.sleep(0.1)


async def test_bad_fields_are_named(open_house: Open) -> None:
    house = await open_house()
    error = await house.refusal(QUESTION, top_k=101)
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.reason, error.metadata["field"]) == ("INVALID_FIELD", "top_k")


async def test_the_longest_message_is_taken(open_house: Open) -> None:
    house = await open_house()
    result_of(await house.run("lighthouse " * 2909))


async def test_an_unknown_agent_is_named(open_house: Open) -> None:
    house = await open_house()
    error = await house.refusal(agent_id="wizard")
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND")
    assert error.metadata["agent_id"] == "wizard"


async def test_inputs_that_do_not_fit_are_located(open_house: Open) -> None:
    house = await open_house()
    inputs = {"criteria": [{"name": "cost", "weight": "high"}]}
    error = await house.refusal(QUESTION, agent_id="ceo", inputs=inputs)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INPUTS_INVALID")
    assert error.metadata["path"] == "$.criteria[0].weight"


async def test_bad_inputs_are_refused_before_anything_is_asked(open_house: Open) -> None:
    house = await open_house(vector_address="127.0.0.1:1")
    error = await house.refusal(QUESTION, agent_id="research", inputs={"depth": 3})
    assert error.reason == "INPUTS_INVALID"


async def test_auto_checks_inputs_once_the_agent_is_chosen(open_house: Open) -> None:
    house = await open_house()
    error = await house.refusal("Transcribe this recording", agent_id="auto", inputs={"depth": 3})
    assert (error.reason, error.metadata["agent_id"]) == ("INPUTS_INVALID", "audio")


async def test_too_many_options_end_the_run(open_house: Open) -> None:
    house = await open_house()
    inputs = {"options": [f"option {number}" for number in range(21)]}
    events = await house.run(QUESTION, agent_id="ceo", inputs=inputs)
    assert events[-1].ended.error.reason == "INPUTS_INVALID"


async def test_one_run_too_many_is_refused(open_house: Open, vector: VectorNeighbour) -> None:
    vector.faults.methods, vector.faults.delay = {"Search"}, 0.5
    house = await open_house(meld_max_runs=2)
    outcomes = await asyncio.gather(*(house.run(QUESTION) for _ in range(3)), return_exceptions=True)
    (error,) = (outcome for outcome in outcomes if isinstance(outcome, ServiceError))
    assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_RUNS")
    assert error.retry_after
    result_of(await house.run(QUESTION))
