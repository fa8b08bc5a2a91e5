from __future__ import annotations

import csv
import dataclasses
import io
from typing import Any

import pytest

from services.gateway.insights import PERIODS, RecordedRun, Usage, summary, table

NOW = 1_800_000_000.0
HOUR = 3600.0


def run(
    number: int, state: str, ago: float, seconds: float | None = 1.0, agent: str = "research"
) -> RecordedRun:
    begun = NOW - ago
    ended = None if seconds is None else begun + seconds
    return RecordedRun(f"run_{number}", agent, f"ses_{number % 2}", state, begun, ended)


def told(runs: list[RecordedRun], period: str = "24h", complete: bool = True) -> Any:
    return summary(runs, period, NOW, complete)


def test_nothing_recorded_gives_no_figure_that_was_not_measured() -> None:
    empty = told([])
    assert (empty["runs"], empty["sessions"], empty["agents"], empty["failures"]) == (0, 0, [], [])
    assert (empty["success_rate"], empty["median_seconds"], empty["p95_seconds"]) == (None, None, None)
    assert [span["runs"] for span in empty["spans"]] == [0] * 24


def test_runs_of_other_times_do_not_count() -> None:
    runs = [run(1, "SUCCEEDED", 60), run(2, "SUCCEEDED", 25 * HOUR), run(3, "SUCCEEDED", -60)]
    assert told(runs)["runs"] == 1
    assert told(runs, "7d")["runs"] == 2


def test_what_somebody_stopped_is_neither_a_success_nor_a_failure() -> None:
    runs = [run(1, "SUCCEEDED", 1), run(2, "SUCCEEDED", 2), run(3, "FAILED", 3), run(4, "CANCELLED", 4),
            run(5, "RUNNING", 5, None)]  # fmt: skip
    found = told(runs)
    assert found["success_rate"] == pytest.approx(2 / 3)
    assert (found["succeeded"], found["failed"], found["cancelled"], found["running"]) == (2, 1, 1, 1)
    assert found["sessions"] == 2
    assert [failure["run_id"] for failure in found["failures"]] == ["run_3"]


def test_times_are_those_of_runs_that_succeeded() -> None:
    runs = [run(number, "SUCCEEDED", number, float(number)) for number in range(1, 21)]
    found = told([*runs, run(99, "FAILED", 1, 500.0)])
    assert (found["median_seconds"], found["p95_seconds"]) == (10.5, 19.0)


def test_agents_come_by_use_with_their_own_figures() -> None:
    runs = [run(1, "FAILED", 1, agent="ceo"), run(2, "SUCCEEDED", 2), run(3, "SUCCEEDED", 3)]
    found = told(runs)["agents"]
    assert [(one["agent"], one["runs"], one["success_rate"]) for one in found] == [
        ("research", 2, 1.0),
        ("ceo", 1, 0.0),
    ]


@pytest.mark.parametrize("period", list(PERIODS))
def test_spans_cover_the_period_and_every_run_once(period: str) -> None:
    length = PERIODS[period].seconds
    runs = [
        run(number, "FAILED" if number % 3 == 0 else "SUCCEEDED", length * number / 50)
        for number in range(51)
    ]
    found = told(runs, period)
    assert sum(span["runs"] for span in found["spans"]) == found["runs"] == 51
    assert sum(span["failed"] for span in found["spans"]) == found["failed"]
    assert len(found["spans"]) == length // PERIODS[period].step
    assert found["spans"][-1]["until"] == found["until"]


def test_the_table_has_a_line_a_run() -> None:
    lines = list(csv.DictReader(io.StringIO(table([run(1, "SUCCEEDED", 60), run(2, "RUNNING", 5, None)]))))
    assert [(line["run_id"], line["seconds"], line["ended"]) for line in lines] == [
        ("run_1", "1.000", "2027-01-15T07:59:01.000Z"),
        ("run_2", "", ""),
    ]


def using(number: int, agent: str, usage: Usage | None) -> RecordedRun:
    return dataclasses.replace(run(number, "SUCCEEDED", 60, agent=agent), usage=usage)


def test_tokens_and_cost_are_sums_of_what_runs_have_said() -> None:
    runs = [
        using(1, "research", Usage(100, 10, "small", 0.25)),
        using(2, "research", Usage(50, 5, "unpriced", None)),
        using(3, "coaching", Usage(0, 0, "", None)),
        using(4, "ceo", None),
    ]
    found = told(runs)
    assert (found["input_tokens"], found["output_tokens"], found["cost_usd"]) == (150, 15, 0.25)
    assert (found["measured_runs"], found["model_runs"], found["priced_runs"]) == (3, 2, 1)
    agents = {one["agent"]: one for one in found["agents"]}
    assert (agents["coaching"]["input_tokens"], agents["coaching"]["cost_usd"]) == (0, None)
    assert (agents["ceo"]["input_tokens"], agents["ceo"]["cost_usd"], agents["ceo"]["measured_runs"]) == (
        None,
        None,
        0,
    )
    lines = list(csv.DictReader(io.StringIO(table(runs))))
    assert [(line["input_tokens"], line["model"], line["cost_usd"]) for line in lines] == [
        ("100", "small", "0.25"),
        ("50", "unpriced", ""),
        ("0", "", ""),
        ("", "", ""),
    ]
