"""Traces and metrics on their way to a collector: OTLP over gRPC, secrets taken out."""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from services.chassis.redaction import redact, redact_value

# A collector that does not answer costs no more than this at the end of a process.
_TIMEOUT_SECONDS = 2
_SPAN_DELAY_MILLISECONDS = 500


def spans(endpoint: str) -> SpanProcessor:
    """Sends ended spans to `endpoint`, twice a second."""
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=_insecure(endpoint), timeout=_TIMEOUT_SECONDS)
    return BatchSpanProcessor(RedactingSpanExporter(exporter), schedule_delay_millis=_SPAN_DELAY_MILLISECONDS)


def metrics(endpoint: str) -> MetricReader:
    """Sends the metrics to `endpoint`, once a minute."""
    return PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=endpoint, insecure=_insecure(endpoint), timeout=_TIMEOUT_SECONDS)
    )


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
