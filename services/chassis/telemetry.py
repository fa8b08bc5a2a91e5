"""Logs, traces and metrics of a process."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from opentelemetry import metrics, trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import REGISTRY, generate_latest

from services.chassis import context
from services.chassis.redaction import redact_value
from services.chassis.settings import ServiceSettings

_SCOPE = "meldrag"

# Upper bounds in seconds for what takes from milliseconds to minutes.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

Reading = tuple[float, Mapping[str, str]]

# What is read of each meter, by the instrument's name: an instrument keeps the first callback it is given.
_reads: WeakKeyDictionary[metrics.Meter, dict[str, Callable[[], Iterable[Reading]]]] = WeakKeyDictionary()

# The exporter collects into one place: two scrapes at once would share each other's samples.
_scraping = threading.Lock()


def tracer() -> trace.Tracer:
    """The tracer of this process; spans go nowhere until `configure` was entered."""
    return trace.get_tracer(_SCOPE)


def meter() -> metrics.Meter:
    """The meter of this process."""
    return metrics.get_meter(_SCOPE)


def observe(
    name: str,
    unit: str,
    description: str,
    read: Callable[[], Iterable[Reading]],
    meter: metrics.Meter | None = None,
    *,
    counter: bool = False,
) -> None:
    """A gauge, or a counter, whose values, each with its attributes, are read at each scrape.

    `read` is called in the thread of whoever scrapes: it looks at what is there and waits for nothing. Called
    again for the same name, it takes the place of the one before: a service begins anew within its process
    when it takes back a backup.
    """
    made = meter or metrics.get_meter(_SCOPE)
    reads = _reads.setdefault(made, {})
    there = name in reads
    reads[name] = read
    if there:
        return

    def observations(options: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
        del options
        return [metrics.Observation(value, dict(attributes)) for value, attributes in reads[name]()]

    create = made.create_observable_counter if counter else made.create_observable_gauge
    create(name, [observations], unit, description)


def prometheus_text() -> bytes:
    """This process's metrics in the Prometheus text format."""
    with _scraping:
        return generate_latest(REGISTRY)


@contextmanager
def configure(service: str, settings: ServiceSettings) -> Iterator[None]:
    """Logs, traces and metrics for the duration of the block; what is pending is sent at its end.

    Enter it after a fork: exporters hold threads and channels.
    """
    _configure_logging(service, settings)
    ending = ExitStack()
    resource = Resource.create({SERVICE_NAME: f"meldrag-{service}"})
    tracers = TracerProvider(resource=resource)
    readers: list[MetricReader] = []
    if settings.metrics_enabled:
        # There is one scope: to name it on each line tells nothing.
        readers.append(PrometheusMetricReader(scope_info_enabled=False))
    if endpoint := settings.otel_exporter_otlp_endpoint:
        # The exporters take a third of a second to load, which a start that exports nothing is spared.
        from services.chassis import export  # noqa: PLC0415

        tracers.add_span_processor(export.spans(endpoint))
        if settings.otel_metrics_exporter == "otlp":
            readers.append(export.metrics(endpoint))
        if settings.otel_logs_exporter == "otlp":
            ending.enter_context(export.logs(endpoint, resource, JsonFormatter(service).record_fields))
    meters = MeterProvider(resource=resource, metric_readers=readers)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    try:
        with ending:
            yield
    finally:
        tracers.shutdown()
        meters.shutdown()


class JsonFormatter(logging.Formatter):
    """One JSON object a line, with trace and request id; `extra={"fields": {...}}` adds fields."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def record_fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """What is written of a record, redacted."""
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        fields: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            fields["trace_id"] = trace.format_trace_id(span.trace_id)
            fields["span_id"] = trace.format_span_id(span.span_id)
        if (call := context.current()) is not None:
            fields["request_id"] = call.request_id
        fields.update(getattr(record, "fields", {}))
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        cleaned: dict[str, Any] = redact_value(fields)
        return cleaned

    def format(self, record: logging.LogRecord) -> str:
        """The line; control characters stay escaped, so a value cannot start a line of its own."""
        return json.dumps(self.record_fields(record), ensure_ascii=True, default=str)


class TextFormatter(JsonFormatter):
    """The same for eyes: time, level, logger, message, then the other fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = self.record_fields(record)
        head = " ".join(str(fields.pop(key)) for key in ("time", "level", "logger"))
        message = json.dumps(fields.pop("message"), ensure_ascii=False)[1:-1]
        exception = fields.pop("exception", "")
        fields.pop("service")
        rest = " ".join(f"{key}={json.dumps(value, default=str)}" for key, value in fields.items())
        return f"{head} {message} {rest}".rstrip() + (f"\n{exception}" if exception else "")


def _configure_logging(service: str, settings: ServiceSettings) -> None:
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.log_file:
        from concurrent_log_handler import ConcurrentRotatingFileHandler  # noqa: PLC0415

        # Several processes may write to one file, as the gateway's workers do.
        handlers.append(
            ConcurrentRotatingFileHandler(
                settings.log_file,
                maxBytes=int(settings.log_max_size),
                backupCount=settings.log_backup_count,
                encoding="utf-8",
            )
        )
    formatter = TextFormatter if settings.log_format == "text" else JsonFormatter
    for handler in handlers:
        handler.setFormatter(formatter(service))
    logging.basicConfig(level=settings.log_level, handlers=handlers, force=True)
    # These log request lines or URLs at INFO, and a URL may carry a key.
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "openai", "urllib3"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
