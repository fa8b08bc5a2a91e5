"""What is measured of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from opentelemetry import metrics

from services.chassis import telemetry


class RunMeasures:
    """Runs at work, and those that ended: how many, how, and after what time."""

    def __init__(self, meter: metrics.Meter | None = None) -> None:
        self._meter = meter or telemetry.meter()
        self._seen: set[str] = set()
        self._finished = self._meter.create_counter(
            "meldrag.runs.finished", "", "Runs that ended, by agent, outcome and mode of the answer"
        )
        self._duration = self._meter.create_histogram(
            "meldrag.run.duration",
            "s",
            "Time from the request of a run to its end",
            explicit_bucket_boundaries_advisory=telemetry.SECONDS,
        )

    def watch(self, at_work: Callable[[], Iterable[str]]) -> None:
        """Exports how many runs are at work. at_work: the agent of each, read at a scrape."""
        telemetry.observe(
            "meldrag.runs.active",
            "",
            "Runs at work, by agent",
            lambda: self._counted(at_work()),
            self._meter,
        )

    def _counted(self, agents: Iterable[str]) -> list[telemetry.Reading]:
        # An agent that has had a run is told with 0: a series that is gone would look like a failed scrape.
        counts = {**dict.fromkeys(list(self._seen), 0), **Counter(agents)}
        return [(float(count), {"agent": agent}) for agent, count in counts.items()]

    def finished(self, agent: str, outcome: str, mode: str, seconds: float) -> None:
        """A run ended. mode: how it was answered; "none" without an answer."""
        self._seen.add(agent)
        self._finished.add(1, {"agent": agent, "outcome": outcome, "mode": mode})
        self._duration.record(seconds, {"agent": agent, "outcome": outcome})
