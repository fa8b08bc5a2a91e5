"""What the record of runs tells about a span of time: how many, how fast, how well, and by which agents."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

Json = object

HOUR = 3600
DAY = 24 * HOUR
_LATEST_FAILURES = 10
_USED = ("input_tokens", "output_tokens", "model", "cost_usd")
_STATES = ("SUCCEEDED", "FAILED", "CANCELLED", "RUNNING")


@dataclass(frozen=True)
class Period:
    """A span that ends now, and the spans that it is drawn in; all in seconds."""

    seconds: int
    step: int


PERIODS: Mapping[str, Period] = {
    "24h": Period(DAY, HOUR),
    "7d": Period(7 * DAY, DAY),
    "30d": Period(30 * DAY, DAY),
}


@dataclass(frozen=True)
class Usage:
    """What a run has used of models, as its end said. model: "" when none answered. cost_usd: None where no
    price is known, or no model was asked.
    """

    input_tokens: int
    output_tokens: int
    model: str
    cost_usd: float | None

    @property
    def asked(self) -> bool:
        """Whether a model was asked."""
        return self.input_tokens + self.output_tokens > 0


@dataclass(frozen=True)
class RecordedRun:
    """A run as the record has it. state: a word of RunState; begun, ended: seconds since 1970, ended None
    while it runs. usage: None where nobody said it.
    """

    run_id: str
    agent: str
    session_id: str
    state: str
    begun: float
    ended: float | None
    usage: Usage | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took; None while it runs."""
        return None if self.ended is None else max(0.0, self.ended - self.begun)


def summary(runs: Sequence[RecordedRun], name: str, now: float, complete: bool) -> dict[str, Json]:
    """The runs that began within the period before `now`, newest first, as JSON.

    complete: whether the runs are all there are of that time. Rates and times are None where nothing was
    recorded that they could come from.
    """
    period = PERIODS[name]
    since = now - period.seconds
    within = [run for run in runs if since <= run.begun <= now]
    agents = defaultdict(list)
    for run in within:
        agents[run.agent].append(run)
    by_use = sorted(agents.items(), key=lambda item: (-len(item[1]), item[0]))
    return {
        "period": name,
        "since": _moment(since),
        "until": _moment(now),
        "complete": complete,
        **_figures(within),
        "sessions": len({run.session_id for run in within if run.session_id}),
        "agents": [{"agent": agent, **_figures(theirs)} for agent, theirs in by_use],
        "spans": _spans(within, since, period),
        "failures": [
            {"run_id": run.run_id, "agent": run.agent, "session_id": run.session_id or None,
             "created": _moment(run.begun)}
            for run in within if run.state == "FAILED"
        ][:_LATEST_FAILURES],
    }  # fmt: skip


def table(runs: Iterable[RecordedRun]) -> str:
    """One line a run, as CSV."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(("run_id", "agent", "session_id", "state", "created", "ended", "seconds", *_USED))
    for run in runs:
        ended = "" if run.ended is None else _moment(run.ended)
        seconds = "" if run.seconds is None else f"{run.seconds:.3f}"
        told = (run.run_id, run.agent, run.session_id, run.state, _moment(run.begun), ended, seconds)
        lines.writerow((*told, *_used(run.usage)))
    return text.getvalue()


def _used(usage: Usage | None) -> tuple[object, ...]:
    """Cells; empty where nobody knows."""
    if usage is None:
        return ("",) * len(_USED)
    cost = "" if usage.cost_usd is None else repr(usage.cost_usd)
    return usage.input_tokens, usage.output_tokens, usage.model, cost


def _figures(runs: Sequence[RecordedRun]) -> dict[str, Json]:
    """Counts by state, the share of good ends among good and bad ones, and times of those that answered.

    What somebody stopped is neither good nor bad.
    """
    states = Counter(run.state for run in runs)
    judged = states["SUCCEEDED"] + states["FAILED"]
    times = sorted(run.seconds for run in runs if run.state == "SUCCEEDED" and run.seconds is not None)
    return {
        "runs": len(runs),
        **{state.lower(): states[state] for state in _STATES},
        "success_rate": states["SUCCEEDED"] / judged if judged else None,
        "median_seconds": round(statistics.median(times), 3) if times else None,
        # The nearest rank: a time that was really measured.
        "p95_seconds": round(times[math.ceil(0.95 * len(times)) - 1], 3) if times else None,
        **_usage(runs),
    }


def _usage(runs: Sequence[RecordedRun]) -> dict[str, Json]:
    """Tokens and cost in sum, each None where no run has said it, and of how many runs they are the sum."""
    told = [run.usage for run in runs if run.usage is not None]
    asked = [usage for usage in told if usage.asked]
    costs = [usage.cost_usd for usage in asked if usage.cost_usd is not None]
    return {
        "input_tokens": sum(usage.input_tokens for usage in told) if told else None,
        "output_tokens": sum(usage.output_tokens for usage in told) if told else None,
        "cost_usd": math.fsum(costs) if costs else None,
        "measured_runs": len(told),
        "model_runs": len(asked),
        "priced_runs": len(costs),
    }


def _spans(runs: Sequence[RecordedRun], since: float, period: Period) -> list[Json]:
    """Runs by the span that they began in, the oldest first."""
    count = period.seconds // period.step
    begun, failed = Counter[int](), Counter[int]()
    for run in runs:
        at = min(count - 1, int((run.begun - since) // period.step))
        begun[at] += 1
        failed[at] += run.state == "FAILED"
    return [
        {"until": _moment(since + (at + 1) * period.step), "runs": begun[at], "failed": failed[at]}
        for at in range(count)
    ]


def _moment(seconds: float) -> str:
    """RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
