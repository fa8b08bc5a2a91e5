"""Evaluations of a collection: run with a golden set, read, compared, deleted."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from flask import Blueprint, Response, request, stream_with_context

from meldrag.vector.v1 import vector_pb2
from services.chassis.errors import ServiceError
from services.gateway import rendering
from services.gateway.body import (
    BodyReader,
    Fields,
    Query,
    idempotency_key,
    json_object,
    no_body,
    parse_object,
)
from services.gateway.calls import Client, EndOfStreamError, duplex, unary
from services.gateway.door import answer, door
from services.gateway.lines import LINE_TYPES, numbered
from services.gateway.openapi.operation import (
    EVENTS,
    JSON,
    LINES,
    NOTHING,
    Answer,
    event_of,
    json,
    operation,
    pages,
)
from services.gateway.openapi.schema import reference
from services.gateway.problem import ProblemError, from_service_error
from services.gateway.routes.search import MODES, search_filter
from services.gateway.streaming import Stream, cut_off, event_response, sse, streamed, wants_events

blueprint = Blueprint("evaluations", __name__)

CSV = "text/csv"
# What the service takes, and what the letters of JSON add to it.
_MOST_BYTES = 64 << 20
_MOST_LINE_BYTES = 3 << 20
_PAGE = 500
# What a spreadsheet takes for a formula when a cell begins with it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@blueprint.post("/collections/<collection_id>/evaluations")
@operation(
    answers={
        201: Answer({JSON: reference("Evaluation")}, headers=("Location",)),
        200: Answer({EVENTS: event_of("EvaluationProgress", "Evaluation")}),
    },
    body={
        JSON: reference("NewEvaluation"),
        LINES: {
            "type": "string",
            "description": "A GoldenQuery as JSON in each line; the first line may be an EvaluationHeader.",
        },
    },
    problems=(409, 429, 507),
    repeat="key",
)
def run_evaluation(collection_id: str) -> Response:
    """Asks a golden set and measures the answers; 201 when it is done, or its progress as events."""
    Query(request).finish()
    request_id = idempotency_key(request)
    header, queries = _lines() if request.mimetype in LINE_TYPES else _object()
    header.collection_id, header.request_id = collection_id, request_id
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        upstream = duplex(
            door().clients.vector.RunEvaluation, vector_pb2.RunEvaluationRequest, _parts(header, queries)
        )
        held.callback(upstream.close)
        # What is wrong with the set is said by the status.
        first = last = upstream.first(client)
        if wants_events(request):
            body = Stream(upstream, client, door().drain, door().settings.meld_heartbeat_seconds, _event)
            return event_response(body.chunks(first), held.pop_all().close)
        with contextlib.suppress(EndOfStreamError):
            while True:
                last = upstream.wait(client)
        if not last.HasField("evaluation"):
            raise ProblemError(502, "NO_ANSWER", "a service ended its answer before it was done")
        location = f"/api/v1/collections/{collection_id}/evaluations/{last.evaluation.evaluation_id}"
        return answer(rendering.evaluation(last.evaluation), 201, {"Location": location})


def _event(said: vector_pb2.RunEvaluationResponse) -> bytes:
    if said.HasField("evaluation"):
        return sse("end", rendering.evaluation(said.evaluation))
    return sse("progress", {"done": said.done, "total": said.total})


def _parts(
    header: vector_pb2.EvaluationHeader, queries: Sequence[vector_pb2.GoldenQuery]
) -> Iterator[vector_pb2.RunEvaluationRequest]:
    yield vector_pb2.RunEvaluationRequest(header=header)
    for query in queries:
        yield vector_pb2.RunEvaluationRequest(query=query)


def _object() -> tuple[vector_pb2.EvaluationHeader, list[vector_pb2.GoldenQuery]]:
    fields = json_object(request, door().settings.meld_max_json_bytes)
    queries = [_query(each, number) for number, each in enumerate(fields.objects("queries"), 1)]
    return _header(fields), queries


def _lines() -> tuple[vector_pb2.EvaluationHeader, list[vector_pb2.GoldenQuery]]:
    header = vector_pb2.EvaluationHeader()
    queries: list[vector_pb2.GoldenQuery] = []
    first = True
    for number, line in numbered(BodyReader(request, _MOST_BYTES)):
        try:
            if line is None or len(line) > _MOST_LINE_BYTES:
                raise ProblemError(413, "BODY_TOO_LARGE", f"is longer than {_MOST_LINE_BYTES} bytes")
            fields = Fields(parse_object(line))
            if first and not fields.has("query"):
                header = _header(fields)
            else:
                query = _query(fields, len(queries) + 1)
                query.line = query.line or number
                queries.append(query)
        except ProblemError as problem:
            raise ProblemError(
                problem.status,
                problem.reason,
                f"line {number}: {problem.detail}",
                metadata={**problem.metadata, "line": str(number)},
            ) from None
        first = False
    return header, queries


def _header(fields: Fields) -> vector_pb2.EvaluationHeader:
    given = fields.objects("settings") if fields.has("settings") else []
    fields.drop("settings")
    made = vector_pb2.EvaluationHeader(
        settings=map(_setting, given), cutoffs=fields.integers("cutoffs"), label=fields.text("label")
    )
    fields.finish()
    return made


def _setting(fields: Fields) -> vector_pb2.EvaluationSetting:
    made = vector_pb2.EvaluationSetting(
        name=fields.text("name"),
        mode=fields.choice("mode", MODES),
        top_k=fields.integer("top_k", minimum=1),
        similarity_threshold=fields.number("similarity_threshold"),
        filter=search_filter(fields.object("filter")),
    )
    fields.finish()
    return made


def _query(fields: Fields, number: int) -> vector_pb2.GoldenQuery:
    made = vector_pb2.GoldenQuery(
        query_id=fields.text("id") or str(number),
        query=fields.text("query", required=True),
        line=fields.integer("line"),
        judgements=map(_judgement, fields.objects("relevant")),
    )
    fields.finish()
    return made


def _judgement(fields: Fields) -> vector_pb2.Judgement:
    named = {name: fields.text(name) for name in ("document_id", "external_id", "title") if fields.has(name)}
    if len(named) > 1:
        raise fields.wrong(next(iter(named)), "a document is named by one of its names")
    made = vector_pb2.Judgement(
        quote=fields.text("quote", content=True),
        grade=fields.integer("grade"),
        line=fields.integer("line"),
        **named,
    )
    fields.finish()
    return made


@blueprint.get("/collections/<collection_id>/evaluations")
@operation(answers={200: pages("evaluations", "Evaluation")}, paged=True)
def list_evaluations(collection_id: str) -> Response:
    """A page of the evaluations, newest first."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    page = unary(
        door().clients.vector.ListEvaluations,
        vector_pb2.ListEvaluationsRequest(
            collection_id=collection_id, page_size=page_size, page_token=page_token
        ),
    )
    shown = map(rendering.evaluation, page.evaluations)
    return answer(rendering.page("evaluations", shown, page.next_page_token))


@blueprint.get("/collections/<collection_id>/evaluations/<evaluation_id>")
@operation(answers={200: json("Evaluation")}, conditional=True)
def get_evaluation(collection_id: str, evaluation_id: str) -> Response:
    """What an evaluation measured in sum."""
    Query(request).finish()
    return answer(rendering.evaluation(_evaluation(collection_id, evaluation_id)))


@blueprint.delete("/collections/<collection_id>/evaluations/<evaluation_id>")
@operation(answers={204: NOTHING}, problems=(507,), repeat="key")
def delete_evaluation(collection_id: str, evaluation_id: str) -> Response:
    """Deletes an evaluation with its queries."""
    Query(request).finish()
    no_body(request)
    unary(
        door().clients.vector.DeleteEvaluation,
        vector_pb2.DeleteEvaluationRequest(
            collection_id=collection_id, evaluation_id=evaluation_id, request_id=idempotency_key(request)
        ),
    )
    return Response(status=204)


@blueprint.get("/collections/<collection_id>/evaluations/<evaluation_id>/queries")
@operation(answers={200: pages("queries", "EvaluatedQuery")}, paged=True)
def list_evaluated_queries(collection_id: str, evaluation_id: str) -> Response:
    """A page of what an evaluation measured query by query, in the order of the golden set."""
    query = Query(request)
    page_size, page_token = query.page()
    query.finish()
    page = _queries(collection_id, evaluation_id, page_size, page_token)
    shown = map(rendering.evaluated_query, page.queries)
    return answer(rendering.page("queries", shown, page.next_page_token))


@blueprint.get("/collections/<collection_id>/evaluations/<evaluation_id>/queries.csv")
@operation(answers={200: Answer({CSV: {"type": "string"}})})
def evaluated_queries_as_csv(collection_id: str, evaluation_id: str) -> Response:
    """All queries of an evaluation as CSV, a line for each query and setting."""
    Query(request).finish()
    evaluation = _evaluation(collection_id, evaluation_id)
    first = _queries(collection_id, evaluation_id, _PAGE, "")
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        table = cut_off(_csv(evaluation, first), door().drain, ServiceError, from_service_error)
        return streamed(
            stream_with_context(table),
            f"{CSV}; charset=utf-8",
            held.pop_all().close,
            {"Content-Disposition": f'attachment; filename="evaluation-{evaluation.evaluation_id}.csv"'},
        )


def _csv(evaluation: Any, page: Any) -> Iterator[bytes]:
    names = list(dict.fromkeys(one.metric for report in evaluation.settings for one in report.metrics))
    labels = [report.setting.name for report in evaluation.settings]
    head = ["query_id", "query", "setting", *names, "first_rank", "hits", "missed", "elapsed_seconds"]
    rows: list[list[Any]] = [head]
    while True:
        for query in page.queries:
            for label, outcome in zip(labels, query.outcomes, strict=True):
                rows.append(
                    [
                        *map(_cell, (query.query_id, query.query, label)),
                        *(repr(outcome.metrics[name]) if name in outcome.metrics else "" for name in names),
                        outcome.first_rank,
                        outcome.hits,
                        " ".join(map(str, outcome.missed)),
                        outcome.elapsed.ToNanoseconds() / 1e9,
                    ]
                )
        file = io.StringIO()
        csv.writer(file).writerows(rows)
        yield file.getvalue().encode()
        rows = []
        if not page.next_page_token:
            return
        page = _queries(evaluation.collection_id, evaluation.evaluation_id, _PAGE, page.next_page_token)


def _cell(text: str) -> str:
    """Text that no spreadsheet computes."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _evaluation(collection_id: str, evaluation_id: str) -> Any:
    found = unary(
        door().clients.vector.GetEvaluation,
        vector_pb2.GetEvaluationRequest(collection_id=collection_id, evaluation_id=evaluation_id),
    )
    return found.evaluation


def _queries(collection_id: str, evaluation_id: str, page_size: int, page_token: str) -> Any:
    return unary(
        door().clients.vector.ListEvaluationQueries,
        vector_pb2.ListEvaluationQueriesRequest(
            collection_id=collection_id,
            evaluation_id=evaluation_id,
            page_size=page_size,
            page_token=page_token,
        ),
    )
