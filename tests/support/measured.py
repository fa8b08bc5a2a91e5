"""What a meter has measured, as a test reads it."""

from __future__ import annotations

from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader


class Measured:
    """A meter of its own, and what was recorded with it."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.meter: Meter = MeterProvider(metric_readers=[self._reader]).get_meter("test")

    def points(self, name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
        """The data points of an instrument, by their sorted attributes."""
        data = self._reader.get_metrics_data()
        return {
            tuple(sorted((point.attributes or {}).items())): point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        }

    def values(self, name: str) -> dict[str, float]:
        """Values by the attributes' values, joined by a blank; of a histogram the count."""
        return {
            " ".join(str(value) for _, value in attributes): getattr(
                point, "value", getattr(point, "count", 0)
            )
            for attributes, point in self.points(name).items()
        }
