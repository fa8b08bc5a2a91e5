"""The agents' values as the contract has them."""

from __future__ import annotations

from google.protobuf import duration_pb2

from meldrag.agents.v1 import agents_pb2
from services.agents.journal.difference import Difference
from services.agents.ledger import Ledger
from services.agents.model import Citation, Degradation, Passage
from services.agents.routing.route import Route
from services.chassis.errors import ServiceError


def passage(value: Passage) -> agents_pb2.Passage:
    """A retrieved passage."""
    return agents_pb2.Passage(
        document_id=value.document_id,
        title=value.title,
        chunk_id=value.chunk_id,
        text=value.text,
        extraction_sha256=value.extraction_sha256,
        byte_start=value.byte_start,
        byte_end=value.byte_end,
        page=value.page,
        score=value.score,
        collection_id=value.collection_id,
        location=value.location,
    )


def citation(value: Citation) -> agents_pb2.Citation:
    """A citation."""
    quote = value.quote
    return agents_pb2.Citation(
        document_id=quote.passage.document_id,
        title=quote.passage.title,
        extraction_sha256=quote.passage.extraction_sha256,
        byte_start=quote.byte_start,
        byte_end=quote.byte_end,
        quote=quote.text,
        page=quote.page or quote.passage.page,
        number=value.number,
        collection_id=quote.passage.collection_id,
        location=quote.location or quote.passage.location,
    )


def route(value: Route) -> agents_pb2.RouteTaskResponse:
    """The outcome of routing."""
    return agents_pb2.RouteTaskResponse(
        agent_id=value.agent_id,
        confidence=value.confidence,
        reasons=value.reasons,
        alternatives=[
            agents_pb2.RouteAlternative(agent_id=other.agent_id, confidence=other.confidence)
            for other in value.alternatives
        ],
    )


def degradation(value: Degradation) -> agents_pb2.Degradation:
    """What a run does without."""
    return agents_pb2.Degradation(component=value.component, reason=value.reason)


def usage(ledger: Ledger) -> agents_pb2.Usage:
    """What has been used so far."""
    return agents_pb2.Usage(
        input_tokens=ledger.input_tokens,
        output_tokens=ledger.output_tokens,
        model_calls=ledger.model_calls,
        tool_calls=ledger.tool_calls,
        duration=duration(ledger.elapsed()),
        first_text=None if ledger.first_text is None else duration(ledger.first_text),
        model=ledger.model,
        cost_usd=ledger.cost_usd,
    )


def error(value: ServiceError) -> agents_pb2.RunError:
    """Why a run failed."""
    return agents_pb2.RunError(reason=value.reason, message=value.message, code=value.code.value[0])


def difference(value: Difference) -> agents_pb2.ReplayDifference:
    """Where a repeated run goes another way."""
    return agents_pb2.ReplayDifference(
        kind=value.kind,
        position=value.position,
        recorded=value.recorded,
        repeated=value.repeated,
        path=value.path,
    )


def attributes(result: agents_pb2.RunResult) -> dict[str, object]:
    """What is kept of an answer beside its text, in plain JSON values."""
    return {
        "answer_mode": agents_pb2.AnswerMode.Name(result.answer_mode).removeprefix("ANSWER_MODE_"),
        "citations": [
            {
                "number": citation.number,
                "document_id": citation.document_id,
                "collection_id": citation.collection_id,
                "title": citation.title,
                "extraction_sha256": citation.extraction_sha256,
                "byte_start": citation.byte_start,
                "byte_end": citation.byte_end,
                "quote": citation.quote,
                "page": citation.page,
                "location": citation.location,
            }
            for citation in result.citations
        ],
        "degradations": [
            {"component": degradation.component, "reason": degradation.reason}
            for degradation in result.degradations
        ],
    }


def duration(seconds: float) -> duration_pb2.Duration:
    """Seconds as a span."""
    made = duration_pb2.Duration()
    made.FromMicroseconds(round(seconds * 1e6))
    return made
