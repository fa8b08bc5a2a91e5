"""Traces, metrics and logs on their way to a collector: OTLP over gRPC, secrets taken out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from services.chassis.redaction import redact, redact_value

# A collector that does not answer costs no more than this at the end of a process.
_TIMEOUT_SECONDS = 2
_SPAN_DELAY_MILLISECONDS = 500
_LOG_DELAY_MILLISECONDS = 1000


def spans(endpoint: str) -> SpanProcessor:
    """Sends ended spans to `endpoint`, twice a second."""
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=_insecure(endpoint), timeout=_TIMEOUT_SECONDS)
    return BatchSpanProcessor(RedactingSpanExporter(exporter), schedule_delay_millis=_SPAN_DELAY_MILLISECONDS)


def metrics(endpoint: str) -> MetricReader:
    """Sends the metrics to `endpoint`, once a minute."""
    return PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=endpoint, insecure=_insecure(endpoint), timeout=_TIMEOUT_SECONDS)
    )


@contextmanager
def logs(
    endpoint: str, resource: Resource, fields: Callable[[logging.LogRecord], dict[str, Any]]
) -> Iterator[None]:
    """Sends the log to `endpoint`, once a second, besides wherever it is written.

    fields: what is sent of a record, redacted; "message", "level", "logger" and "time" are known by name.
    """
    exporter = OTLPLogExporter(endpoint=endpoint, insecure=_insecure(endpoint), timeout=_TIMEOUT_SECONDS)
    provider = LoggerProvider(resource=resource)
    provider.add_log_record_processor(
        BatchLogRecordProcessor(exporter, schedule_delay_millis=_LOG_DELAY_MILLISECONDS)
    )
    handler = LogSender(provider, fields)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        provider.shutdown()


class LogSender(logging.Handler):
    """Gives log records to OpenTelemetry as the formatter of the log file would write them."""

    # The exporter logs that it cannot export; to export that as well would never end.
    _OWN = ("opentelemetry.", "grpc.")

    def __init__(
        self, provider: LoggerProvider, fields: Callable[[logging.LogRecord], dict[str, Any]]
    ) -> None:
        super().__init__()
        self._provider = provider
        self._fields = fields

    def emit(self, record: logging.LogRecord) -> None:
        """Queues the record; called by logging. Belongs to the span that is current now."""
        if record.name.startswith(self._OWN):
            return
        try:
            fields = self._fields(record)
            plain = (str, bool, int, float)
            sent = LogRecord(
                timestamp=int(record.created * 1e9),
                severity_text=record.levelname,
                severity_number=_severity(record.levelno),
                body=fields.pop("message", ""),
                attributes={
                    key: value if isinstance(value, plain) else json.dumps(value, default=str)
                    for key, value in fields.items()
                    if key not in _TOLD_ELSEWHERE
                },
            )
            self._provider.get_logger(record.name).emit(sent)
        except Exception:  # what logging expects of a handler: the program goes on
            self.handleError(record)


# Fields that OTLP has a place of its own for.
_TOLD_ELSEWHERE = frozenset(("time", "level", "service", "logger", "trace_id", "span_id"))


def _severity(level: int) -> SeverityNumber:
    if level >= logging.CRITICAL:
        return SeverityNumber.FATAL
    if level >= logging.ERROR:
        return SeverityNumber.ERROR
    if level >= logging.WARNING:
        return SeverityNumber.WARN
    return SeverityNumber.INFO if level >= logging.INFO else SeverityNumber.DEBUG


def _insecure(endpoint: str) -> bool:
    return not endpoint.startswith("https://")


class RedactingSpanExporter(SpanExporter):
    """Takes secrets out of spans on their way to `inner`."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Exports copies of the spans."""
        return self._inner.export([self._clean(span) for span in spans])

    def shutdown(self) -> None:
        """Closes the inner exporter."""
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Flushes the inner exporter."""
        return self._inner.force_flush(timeout_millis)

    @staticmethod
    def _clean(span: ReadableSpan) -> ReadableSpan:
        return ReadableSpan(
            name=redact(span.name),
            context=span.context,
            parent=span.parent,
            resource=span.resource,
            attributes=redact_value(dict(span.attributes or {})),
            events=[
                Event(event.name, redact_value(dict(event.attributes or {})), event.timestamp)
                for event in span.events
            ],
            links=span.links,
            kind=span.kind,
            status=trace.Status(span.status.status_code, redact(span.status.description or "") or None),
            start_time=span.start_time,
            end_time=span.end_time,
            instrumentation_scope=span.instrumentation_scope,
        )
