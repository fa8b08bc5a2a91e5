"""What is measured of runs in the sandbox."""

from __future__ import annotations

from opentelemetry import metrics

from services.chassis import telemetry


class SandboxMeasures:
    """Runs that ended: how many, how, and after what time."""

    def __init__(self, meter: metrics.Meter | None = None) -> None:
        meter = meter or telemetry.meter()
        self._finished = meter.create_counter(
            "meldrag.sandbox.finished", "", "Runs of the sandbox that ended, by the way they ended"
        )
        self._duration = meter.create_histogram(
            "meldrag.sandbox.duration",
            "s",
            "Time from the start of a sandboxed program to its end",
            explicit_bucket_boundaries_advisory=telemetry.SECONDS,
        )

    def finished(self, end: str, seconds: float) -> None:
        """end: a value of End, or "failed" where there was no outcome."""
        self._finished.add(1, {"end": end})
        self._duration.record(seconds, {"end": end})
