"""Messages as JSON: names, numbers, times, and what absence looks like."""

from __future__ import annotations

from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2

from meldrag.agents.v1 import agents_pb2, results_pb2
from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2
from services.gateway import rendering


def test_whole_numbers_are_numbers_and_enums_lose_their_prefix() -> None:
    document = vector_pb2.Document(
        document_id="doc_1", state=vector_pb2.DOCUMENT_STATE_READY, bytes=2**53, pages=0
    )
    shown = rendering.document(document)
    assert shown["bytes"] == 2**53
    assert shown["state"] == "READY"
    assert shown["pages"] is None
    assert shown["error"] is None
    assert shown["created"] is None


def test_a_refused_document_says_why() -> None:
    document = vector_pb2.Document(
        state=vector_pb2.DOCUMENT_STATE_FAILED,
        error=vector_pb2.DocumentError(reason="DOCUMENT_EMPTY", message="no text"),
    )
    assert rendering.document(document)["error"] == {"reason": "DOCUMENT_EMPTY", "message": "no text"}


def test_times_are_rfc_3339_with_milliseconds() -> None:
    session = session_pb2.Session(
        session_id="s",
        create_time=timestamp_pb2.Timestamp(seconds=1_700_000_000, nanos=123_456_789),
        update_time=timestamp_pb2.Timestamp(seconds=1_700_000_000),
    )
    shown = rendering.session(session)
    assert shown["created"] == "2023-11-14T22:13:20.123Z"
    assert shown["updated"] == "2023-11-14T22:13:20.000Z"
    assert shown["expires"] is None


def test_struct_numbers_without_fraction_are_whole() -> None:
    struct = struct_pb2.Struct()
    struct.update({"year": 1999, "ratio": 0.5, "deep": {"list": [1, "a", None, True]}, "big": 1e300})
    assert rendering.struct(struct) == {
        "year": 1999,
        "ratio": 0.5,
        "deep": {"list": [1, "a", None, True]},
        "big": 1e300,
    }
    assert isinstance(rendering.struct(struct)["year"], int)


def test_a_run_has_exactly_the_documented_members() -> None:
    result = agents_pb2.RunResult(
        run_id="run_1",
        agent_id="research",
        answer_mode=agents_pb2.ANSWER_MODE_EXTRACTIVE,
        text="Yes [1].",
        citations=[
            agents_pb2.Citation(
                document_id="d",
                title="T",
                extraction_sha256="ab",
                byte_start=1,
                byte_end=4,
                quote="Yes",
                number=1,
                collection_id="c",
            )
        ],
        result=results_pb2.AgentResult(
            research=results_pb2.ResearchResult(
                findings=[results_pb2.Finding(statement="Yes", citations=[1])], confidence=0.5
            )
        ),
        usage=agents_pb2.Usage(model_calls=0, duration=duration_pb2.Duration(seconds=1, nanos=500_000_000)),
        degradations=[agents_pb2.Degradation(component="model", reason="down")],
    )
    assert rendering.run_result(result) == {
        "run_id": "run_1",
        "agent": "research",
        "answer_mode": "EXTRACTIVE",
        "text": "Yes [1].",
        "citations": [
            {
                "number": 1,
                "document_id": "d",
                "collection": "c",
                "title": "T",
                "extraction_sha256": "ab",
                "byte_start": 1,
                "byte_end": 4,
                "quote": "Yes",
                "page": None,
                "location": None,
            }
        ],
        "result": {
            "findings": [{"statement": "Yes", "citations": [1]}],
            "gaps": [],
            "confidence": 0.5,
            "confidence_basis": "",
            "contradictions": [],
            "queries": [],
            "sources": [],
            "synthesis": [],
            "dropped_claim_count": 0,
            "further": [],
            "consulted": [],
        },
        "usage": {
            "input_tokens": 0,
            "output_tokens": 0,
            "model_calls": 0,
            "tool_calls": 0,
            "duration_seconds": 1.5,
            "first_text_seconds": None,
            "model": "",
            "cost_usd": None,
        },
        "degraded": [{"component": "model", "reason": "down"}],
        "session_id": None,
        "events_url": "/api/v1/runs/run_1/events",
    }


def test_absent_optional_numbers_are_null_and_zero_is_zero() -> None:
    generated = results_pb2.TestGeneratorResult(passed=0)
    shown = rendering.message(generated)
    assert shown["mutation_score"] is None
    assert shown["passed"] == 0
    assert shown["coverage"] is None
    generated.mutation_score = 0.0
    assert rendering.message(generated)["mutation_score"] == 0.0


def test_an_event_stands_under_its_own_name() -> None:
    event = agents_pb2.RunAgentResponse(
        run_id="run_1", sequence=3, text=agents_pb2.TextDelta(text="Hi", reset=True)
    )
    assert rendering.run_event(event) == {
        "run_id": "run_1",
        "sequence": 3,
        "event_time": None,
        "type": "text",
        "text": {"text": "Hi", "reset": True},
    }


def test_the_last_event_carries_the_answer_in_the_shape_of_a_run() -> None:
    event = agents_pb2.RunAgentResponse(
        run_id="run_1",
        sequence=9,
        ended=agents_pb2.RunEnded(
            outcome=agents_pb2.RUN_OUTCOME_SUCCEEDED, result=agents_pb2.RunResult(run_id="run_1", text="x")
        ),
    )
    shown = rendering.run_event(event)
    assert shown["ended"]["outcome"] == "SUCCEEDED"
    assert shown["ended"]["error"] is None
    assert shown["ended"]["result"]["events_url"] == "/api/v1/runs/run_1/events"


def test_a_value_of_a_later_contract_is_shown_as_its_number() -> None:
    assert rendering.enum_name(vector_pb2.DocumentState.DESCRIPTOR, 77) == "77"
