"""What is measured of runs in the sandbox."""

from __future__ import annotations

from opentelemetry import metrics

from services.chassis import telemetry
from services.sandbox.model import End

# A run that had no outcome.
FAILED = "failed"


class SandboxMeasures:
    """Runs that ended: how many, how, and how long they took together."""

    def __init__(self, meter: metrics.Meter | None = None) -> None:
        meter = meter or telemetry.meter()
        self._finished = meter.create_counter(
            "meldrag.sandbox.finished", "", "Runs of the sandbox that ended, by the way they ended"
        )
        self._time = meter.create_counter(
            "meldrag.sandbox.time", "s", "Time from the start to the end of all runs of the sandbox"
        )
        # None yet is a number as well: a series that is not there would look like a failed scrape.
        for end in (*(end.value for end in End), FAILED):
            self.finished(end, 0.0, count=0)

    def finished(self, end: str, seconds: float, count: int = 1) -> None:
        """end: a value of End, or FAILED."""
        self._finished.add(count, {"end": end})
        self._time.add(seconds, {"end": end})
