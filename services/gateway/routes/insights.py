"""What was recorded about runs, and what this gateway is and has answered."""

from __future__ import annotations

import functools
import hashlib
import platform
import time
from collections import Counter
from importlib.metadata import version

from flask import Blueprint, Response, request
from google.protobuf import timestamp_pb2
from google.protobuf.descriptor import FileDescriptor
from prometheus_client.parser import text_string_to_metric_families

from meldrag.session.v1 import session_pb2
from services.chassis import context
from services.gateway import insights, rendering
from services.gateway.body import Query
from services.gateway.calls import unary
from services.gateway.clients import AGENTS, IDENTITY, SESSION, VECTOR
from services.gateway.door import answer, door
from services.gateway.openapi.document import VERSION
from services.gateway.openapi.operation import JSON, Answer, Parameter, json, operation
from services.gateway.openapi.schema import reference
from services.gateway.problem import invalid

blueprint = Blueprint("insights", __name__)

_PERIODS = {"type": "string", "enum": list(insights.PERIODS)}
_FORMATS = {"type": "string", "enum": ["json", "csv"]}
_PAGE = 500
# How many runs are looked at, and for how long.
_MOST_RUNS = 10_000
_SECONDS = 10.0
_MOST_ERRORS = 50
# Who asks these asks how the house is; "not ready" is a good answer.
_PROBES = frozenset(("/livez", "/readyz", "/health", "/metrics"))
_MEASURE = "http_server_request_duration_seconds"


@blueprint.get("/insights")
@operation(
    answers={
        200: Answer(
            {JSON: reference("Insights"), "text/csv": {"type": "string"}}, headers=("Content-Disposition",)
        )
    },
    query=(
        Parameter("period", _PERIODS, "Up to now; 7d when absent."),
        Parameter("format", _FORMATS, "json when absent; csv has a line a run."),
    ),
)
def get_insights() -> Response:
    """What the record tells about the caller's runs of a period."""
    query = Query(request)
    period, form = query.text("period") or "7d", query.text("format") or "json"
    query.finish()
    if period not in insights.PERIODS:
        raise invalid("period", f"must be one of {', '.join(insights.PERIODS)}")
    if form not in ("json", "csv"):
        raise invalid("format", "must be json or csv")
    now = time.time()
    runs, complete = _runs(now - insights.PERIODS[period].seconds)
    if form == "csv":
        response = Response(insights.table(runs), content_type="text/csv; charset=utf-8")
    else:
        response = answer(insights.summary(runs, period, now, complete))
    response.headers["Content-Disposition"] = f'attachment; filename="insights-{period}.{form}"'
    return response


@blueprint.get("/system")
@operation(answers={200: json("System")})
def get_system() -> Response:
    """What runs here, and, for administrators of the house, which requests failed since the start."""
    Query(request).finish()
    told = context.principal().administers_house and door().settings.metrics_enabled
    return answer(
        {
            "versions": {
                "interface": VERSION,
                "contracts_sha256": contracts_sha256(),
                "python": platform.python_version(),
                "grpc": version("grpcio"),
                "flask": version("flask"),
            },
            "login": door().settings.login_required,
            "requests": _requests() if told else None,
        }
    )


@functools.cache
def contracts_sha256() -> str:
    """SHA-256 over the compiled contracts, by name: equal where two builds speak the same."""
    files: dict[str, FileDescriptor] = {}
    waiting = [service.file for service in (AGENTS, IDENTITY, SESSION, VECTOR)]
    while waiting:
        file = waiting.pop()
        if file.name.startswith("meldrag/") and file.name not in files:
            files[file.name] = file
            waiting += file.dependencies
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(files[name].serialized_pb)
    return digest.hexdigest()


def _runs(since: float) -> tuple[list[insights.RecordedRun], bool]:
    """The runs that began since then, newest first, without those that are steps of others; and whether
    these are all.
    """
    earliest = timestamp_pb2.Timestamp()
    earliest.FromNanoseconds(int(since * 1e9))
    end = time.monotonic() + _SECONDS
    found: list[insights.RecordedRun] = []
    read, token = 0, ""
    while True:
        page = unary(
            door().clients.session.ListRuns,
            session_pb2.ListRunsRequest(page_size=_PAGE, page_token=token, earliest_create_time=earliest),
        )
        found += [_recorded(run) for run in page.runs if not run.parent_run_id]
        read, token = read + len(page.runs), page.next_page_token
        if not token:
            return found, True
        if read >= _MOST_RUNS or time.monotonic() > end:
            return found, False


def _recorded(run: session_pb2.Run) -> insights.RecordedRun:
    return insights.RecordedRun(
        run_id=run.run_id,
        agent=run.agent_id,
        session_id=run.session_id,
        state=str(rendering.enum_name(session_pb2.RunState.DESCRIPTOR, run.state)),
        begun=run.create_time.ToNanoseconds() / 1e9,
        ended=run.end_time.ToNanoseconds() / 1e9 if run.HasField("end_time") else None,
        usage=_usage(run.usage) if run.HasField("usage") else None,
    )


def _usage(used: session_pb2.RunUsage) -> insights.Usage:
    cost = used.cost_usd if used.HasField("cost_usd") else None
    return insights.Usage(used.input_tokens, used.output_tokens, used.model, cost)


def _requests() -> dict[str, object]:
    """How many requests this gateway has answered since it started, and those that did not go well."""
    counts: Counter[tuple[str, str, int]] = Counter()
    for family in text_string_to_metric_families(door().metrics().decode()):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == f"{_MEASURE}_count" and labels.get("http_route") not in _PROBES:
                status = int(labels.get("http_response_status_code") or 0)
                key = (labels.get("http_request_method", ""), labels.get("http_route", ""), status)
                counts[key] += int(sample.value)
    bad = sorted(
        ((key, count) for key, count in counts.items() if key[2] >= 400),
        key=lambda item: (-item[0][2] // 100, -item[1], item[0]),
    )
    return {
        "answered": sum(counts.values()),
        "refused": sum(count for (_, _, status), count in bad if status < 500),
        "failed": sum(count for (_, _, status), count in bad if status >= 500),
        "errors": [
            {"method": method, "route": route, "status": status, "count": count}
            for (method, route, status), count in bad[:_MOST_ERRORS]
        ],
    }
