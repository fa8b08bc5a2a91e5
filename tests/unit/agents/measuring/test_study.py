"""What a table tells."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from services.agents.measuring.series import read_csv, read_json
from services.agents.measuring.study import MAX_CHARTS, MAX_PARTS, Claim, Study, study
from tests.unit.agents.measuring.noise import latencies


def table(values: np.ndarray, groups: list[str] | None = None) -> str:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        f"{(start + timedelta(hours=i)).isoformat()},{value!r}" + (f",{groups[i]}" if groups else "")
        for i, value in enumerate(values.tolist())
    ]
    return "\n".join(["time,latency_ms" + (",version" if groups else ""), *rows])


def certain(made: Study) -> list[tuple[str, str]]:
    return [(claim.kind, claim.statement) for claim in made.significant()]


def test_a_slower_release_is_told_with_its_time_and_size() -> None:
    values = latencies(np.random.default_rng(1), 240)
    values[144:] *= 1.8
    ((kind, statement),) = certain(study(read_csv(table(values))))
    assert kind == "change"
    assert "2026-01-07" in statement
    assert "ms (+" in statement


def test_a_slope_is_a_slope_and_not_a_row_of_steps() -> None:
    source = np.random.default_rng(2)
    values = 100 + 0.5 * np.arange(240) + source.normal(size=240)
    (claim,) = study(read_csv(table(values))).significant()
    assert claim.kind == "trend"
    # 0.5 an hour are 12 a day.
    assert claim.effect == pytest.approx(12, abs=0.5)
    assert claim.low is not None
    assert claim.high is not None
    assert claim.low < 12 < claim.high
    assert "per day" in claim.statement


def test_an_outlier_is_told_with_its_row() -> None:
    values = latencies(np.random.default_rng(3), 100)
    values[41] = 5_000
    (claim,) = study(read_csv(table(values))).significant()
    assert (claim.kind, claim.row) == ("anomaly", 42)


def test_groups_are_compared_and_looked_at_apart() -> None:
    source = np.random.default_rng(4)
    values = np.concatenate((latencies(source, 60), latencies(source, 60) * 1.5))
    made = study(read_csv(table(values, ["old"] * 60 + ["new"] * 60)))
    ((kind, statement),) = certain(made)
    assert kind == "comparison"
    assert "in new" in statement
    assert "95 % confidence" in statement
    assert [s.series for s in made.summaries] == ["latency_ms of old", "latency_ms of new"]


def test_what_is_not_certain_is_not_claimed() -> None:
    values = latencies(np.random.default_rng(5), 60)
    made = study(read_csv(table(values, ["a", "b"] * 30)))
    assert made.significant() == []
    told = [claim.statement for claim in made.claims if claim.kind == "comparison"]
    assert told[0].startswith("No difference of latency_ms between a and b is certain")


def test_noise_is_claimed_to_be_something_in_few_tables() -> None:
    """Nominal: 5 of 100 tables with any false claim at all."""
    source = np.random.default_rng(6)
    false: list[list[Claim]] = []
    for _ in range(80):
        rows = [{"a": a, "b": b} for a, b in zip(latencies(source, 80), source.normal(size=80), strict=True)]
        false.append(study(read_json(json.dumps(rows))).significant())
    assert sum(map(bool, false)) <= 9


def test_every_claim_names_what_it_assumes() -> None:
    values = latencies(np.random.default_rng(7), 100)
    values[50:] += 60
    assert all(
        c.assumption and 0 <= c.p_value <= c.corrected <= 1 for c in study(read_csv(table(values))).claims
    )


def test_a_study_is_plain_json() -> None:
    values = latencies(np.random.default_rng(8), 80)
    made = study(read_csv(table(values, ["x", "y"] * 40)))
    assert Study.from_json(json.loads(json.dumps(made.to_json(), allow_nan=False))) == made


def test_the_same_table_gives_the_same_study() -> None:
    text = table(latencies(np.random.default_rng(9), 80))
    assert study(read_csv(text)) == study(read_csv(text))


def test_a_wide_table_is_bounded_and_says_so() -> None:
    rows = [{f"c{i}": float(i + k) for i in range(40)} | {"group": "ab"[k % 2]} for k in range(12)]
    made = study(read_json(json.dumps(rows)))
    assert len(made.summaries) == MAX_PARTS
    assert len(made.charts) == MAX_CHARTS
    assert made.left_out == ("16 series and groups were not looked at",)


@pytest.mark.parametrize("values", [[5.0], [5.0] * 30, [0.0, 0.0, 1e-300], [1e299, -1e299] * 10])
def test_odd_series_are_told_without_claims(values: list[float]) -> None:
    made = study(read_json(json.dumps(values)))
    assert made.significant() == []
    assert made.summaries[0].count == len(values)
    assert all("nan" not in chart.svg for chart in made.charts)
