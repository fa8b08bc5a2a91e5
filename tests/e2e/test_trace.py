"""One trace joins every room that a question passes, down to the model's HTTP request."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.support.fleet import running_fleet
from tests.support.model_server import Answer, ModelServer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


class Collector(
    trace_service_pb2_grpc.TraceServiceServicer,
    metrics_service_pb2_grpc.MetricsServiceServicer,
    logs_service_pb2_grpc.LogsServiceServicer,
):
    """Takes OTLP over gRPC and keeps spans and log lines: {trace id: {(service, span name or message)}}."""

    def __init__(self) -> None:
        self.spans: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self.logs: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self.raw: list[bytes] = []
        self._lock = threading.Lock()

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:
        with self._lock:
            self.raw.append(request.SerializeToString())
            if isinstance(request, metrics_service_pb2.ExportMetricsServiceRequest):
                return metrics_service_pb2.ExportMetricsServiceResponse()
            if isinstance(request, logs_service_pb2.ExportLogsServiceRequest):
                for resource in request.resource_logs:
                    for scope in resource.scope_logs:
                        for record in scope.log_records:
                            line = (_service(resource), record.body.string_value)
                            self.logs[record.trace_id.hex()].add(line)
                return logs_service_pb2.ExportLogsServiceResponse()
            for resource in request.resource_spans:
                service = _service(resource)
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        self.spans[span.trace_id.hex()].add((service, span.name))
        return trace_service_pb2.ExportTraceServiceResponse()


def _service(resource: Any) -> str:
    (name,) = [a.value.string_value for a in resource.resource.attributes if a.key == "service.name"]
    return str(name)


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    kept = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(kept, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(kept, server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(kept, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield kept, f"http://127.0.0.1:{port}"
    server.stop(0)


def test_one_trace_id_joins_gateway_agents_vector_session_and_model(
    tmp_path: Path, collector: tuple[Collector, str]
) -> None:
    kept, endpoint = collector
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    key = "sk-canary-in-a-trace-77"
    with (
        ModelServer(Answer("It is fourteen metres deep [1].")) as model,
        running_fleet(
            tmp_path,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                "OPENAI_BASE_URL": model.base_url,
                "OPENAI_API_KEY": key,
            },
        ) as fleet,
    ):
        api = f"{fleet.base_url}/api/v1"
        httpx.post(f"{api}/collections", json={"name": "harbours"}).raise_for_status()
        files = {"file": ("a.txt", b"The harbour of Elmsund is fourteen metres deep.", "text/plain")}
        httpx.post(f"{api}/collections/harbours/documents", files=files, timeout=30).raise_for_status()
        session = httpx.post(f"{api}/sessions", json={"title": "t"}).json()["id"]
        answer = httpx.post(
            f"{api}/runs",
            json={
                "agent": "research",
                "message": "How deep is the harbour?",
                "collections": ["harbours"],
                "session_id": session,
            },
            headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"},
            timeout=30,
        ).raise_for_status()
        assert answer.json()["answer_mode"] == "GENERATIVE"
        # What somebody looks for is nobody else's: it stands in no span, no line and no measurement.
        looked = {"headers": {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}, "timeout": 30}
        search = f"{api}/sessions/search"
        found = httpx.post(search, json={"query": "met fourt"}, **looked).raise_for_status()
        assert len(found.json()["matches"]) == 1
        nothing = httpx.post(search, json={"query": "sesquipedalian"}, **looked).raise_for_status()
        assert nothing.json() == {"matches": [], "next_page_token": None}
        refused = httpx.post(search, json={"query": "sesquipedalian" * 60}, **looked)
        assert (refused.status_code, refused.json()["reason"]) == (400, "INVALID_FIELD")
        wanted = {
            ("meldrag-session", "meldrag.session.v1.SessionService/SearchSessions"),
            ("meldrag-session", "redis sessions_read"),
            ("meldrag-agents", "meldrag.agents.v1.AgentService/RunAgent"),
            ("meldrag-vector", "meldrag.vector.v1.VectorService/Search"),
            ("meldrag-vector", "meldrag.vector.v1.VectorService/VerifyCitations"),
            ("meldrag-session", "meldrag.session.v1.SessionService/ListMessages"),
            ("meldrag-session", "meldrag.session.v1.SessionService/AppendMessage"),
        }
        end = time.monotonic() + 10
        while not (
            wanted <= kept.spans[trace_id] and "meldrag-gateway" in {s for s, _ in kept.spans[trace_id]}
        ):
            assert time.monotonic() < end, f"missing from the trace: {wanted - kept.spans[trace_id]}"
            time.sleep(0.1)
        # The log line of the request belongs to its trace; what the services say at their start to none.
        while ("meldrag-gateway", "request") not in kept.logs[trace_id]:
            assert time.monotonic() < end, "no log line of the request came"
            time.sleep(0.1)
        serving = {(f"meldrag-{name}", "serving") for name in ("agents", "vector", "session")}
        assert serving <= set().union(*kept.logs.values())
        (chat,) = model.chats
        assert chat.headers["traceparent"].split("-")[1] == trace_id
        logs = b"".join(path.read_bytes() for path in (tmp_path / "logs").iterdir())
    for secret in (key.encode(), b"sesquipedalian"):
        assert not any(secret in raw for raw in kept.raw)
        assert secret not in logs
