"""What goes to a collector."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from services.chassis import export, redaction, telemetry
from services.chassis.export import LogSender
from services.chassis.settings import ServiceSettings, SettingsError, load
from services.chassis.telemetry import JsonFormatter

CANARY = "canary-in-a-log-4711"


@pytest.fixture
def kept() -> tuple[logging.Logger, InMemoryLogRecordExporter]:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider()
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    logger = logging.Logger("services.test")
    logger.addHandler(LogSender(provider, JsonFormatter("test").record_fields))
    return logger, exporter


def sent(exporter: InMemoryLogRecordExporter) -> list[Any]:
    return [one.log_record for one in exporter.get_finished_logs()]


def test_a_record_is_sent_with_its_fields_and_its_trace(
    kept: tuple[logging.Logger, InMemoryLogRecordExporter],
) -> None:
    logger, exporter = kept
    with TracerProvider().get_tracer("t").start_as_current_span("s") as span:
        logger.warning("waited %d s", 3, extra={"fields": {"status": 503, "names": ["a", "b"]}})
    (record,) = sent(exporter)
    assert (record.body, record.severity_number) == ("waited 3 s", SeverityNumber.WARN)
    assert record.attributes["status"] == 503
    assert record.attributes["names"] == '["a", "b"]'
    assert "time" not in record.attributes
    assert record.trace_id == span.get_span_context().trace_id


def test_a_secret_is_nowhere_in_what_is_sent(
    kept: tuple[logging.Logger, InMemoryLogRecordExporter],
) -> None:
    redaction.register(CANARY)
    logger, exporter = kept
    try:
        raise RuntimeError(CANARY)
    except RuntimeError:
        logger.exception(
            "asked with %s", CANARY, extra={"fields": {"url": f"http://h/{CANARY}", CANARY: [CANARY]}}
        )
    (one,) = exporter.get_finished_logs()
    assert "asked with" in one.to_json()
    assert "exception" in one.log_record.attributes
    assert CANARY not in one.to_json()


def test_what_the_exporter_says_of_itself_is_not_exported(
    kept: tuple[logging.Logger, InMemoryLogRecordExporter],
) -> None:
    logger, exporter = kept
    logger.name = "opentelemetry.exporter.otlp"
    logger.error("the collector does not answer")
    assert sent(exporter) == []


class _Nothing:
    """An exporter's stand-in that notes that it was asked for."""

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def spans(self, endpoint: str) -> SpanProcessor:
        self._asked.append("traces")
        return SpanProcessor()

    def metrics(self, endpoint: str) -> MetricReader:
        self._asked.append("metrics")
        return InMemoryMetricReader()

    @contextmanager
    def logs(self, endpoint: str, resource: Any, fields: Any) -> Iterator[None]:
        self._asked.append("logs")
        yield


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, ["traces", "metrics", "logs"]),
        ({"OTEL_METRICS_EXPORTER": "none"}, ["traces", "logs"]),
        ({"OTEL_LOGS_EXPORTER": "none"}, ["traces", "metrics"]),
        ({"OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none"}, ["traces"]),
    ],
    ids=str,
)
def test_a_trace_store_is_spared_what_it_does_not_take(
    variables: dict[str, str], expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    stand_in = _Nothing(asked)
    for name in ("spans", "metrics", "logs"):
        monkeypatch.setattr(export, name, getattr(stand_in, name))
    # The process has one of each for its whole life; a test leaves them alone.
    monkeypatch.setattr(telemetry.trace, "set_tracer_provider", lambda provider: None)
    monkeypatch.setattr(telemetry.metrics, "set_meter_provider", lambda provider: None)
    monkeypatch.setattr(telemetry, "_configure_logging", lambda service, settings: None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("METRICS_ENABLED", "no")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    with telemetry.configure("test", load(ServiceSettings)):
        assert asked == expected


def test_an_exporter_that_we_do_not_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_LOGS_EXPORTER", "console")
    with pytest.raises(SettingsError, match="OTEL_LOGS_EXPORTER"):
        load(ServiceSettings)
