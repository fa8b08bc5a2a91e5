"""What goes to a collector."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider

from services.chassis import redaction
from services.chassis.export import LogSender
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
