"""Runs are counted by the way they ended."""

from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from services.sandbox.measures import SandboxMeasures
from services.sandbox.model import Job
from services.sandbox.sandbox import Sandbox
from tests.unit.sandbox.rooms import launcher


async def test_a_run_is_measured() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader]).get_meter("test")
    box = Sandbox(launcher("landlock"), measures=SandboxMeasures(meter))

    await box.run(Job(argv=("python", "-c", "")))

    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    found = {metric.name: metric.data.data_points for metric in metrics}
    assert [(point.attributes, point.value) for point in found["meldrag.sandbox.finished"]] == [
        ({"end": "exited"}, 1)
    ]
    assert found["meldrag.sandbox.duration"][0].count == 1
