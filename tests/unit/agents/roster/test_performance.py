"""The performance agent: measurements and code, without and with a model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from meldrag.agents.v1 import results_pb2
from services.agents.results import check
from services.agents.roster.performance import tell
from services.chassis.errors import InvalidArgumentError
from tests.unit.agents.roster.coding import Bench

SLOW = """def unique(items: list[int]) -> list[int]:
    kept = []
    for item in items:
        if item not in kept:
            kept.append(item)
    return kept
"""
FAST = "def unique(items: list[int]) -> list[int]:\n    return list(dict.fromkeys(items))\n"
WRONG = "def unique(items: list[int]) -> list[int]:\n    return items\n"


def table() -> str:
    """Latencies of 200 requests that double after 120."""
    values = np.random.default_rng(1).lognormal(3, 0.2, 200)
    values[120:] *= 2
    return "latency_ms\n" + "\n".join(f"{value:.3f}" for value in values)


def inputs(**fields: Any) -> results_pb2.PerformanceInputs:
    return results_pb2.PerformanceInputs(**fields)


def code(text: str = SLOW, **fields: Any) -> results_pb2.PerformanceInputs:
    return inputs(files=[results_pb2.SourceFile(path="app.py", content=text)], **fields)


async def test_a_table_is_judged_without_a_model() -> None:
    bench = Bench("performance", sandbox=None)
    result = await bench.work(inputs(csv=table()))
    check(result, (), agent_id="performance")
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    (change,) = [o for o in result.observations if o.significant]
    assert change.kind == "change"
    assert abs(change.row - 121) <= 2
    assert change.corrected_p_value < 0.001
    assert change.assumption
    metrics = {m.name: (m.value, m.unit) for m in result.metrics}
    assert metrics["latency_ms count"] == (200, "")
    assert metrics["latency_ms p50"][1] == "ms"
    assert [chart.title for chart in result.charts] == [
        *("latency_ms over their order", "How latency_ms is spread")
    ]
    assert result.charts[0].svg.startswith("<svg")
    assert change.statement in tell(result)
    assert not result.proposals


async def test_code_is_measured_without_a_model() -> None:
    bench = Bench("performance")
    result = await bench.work(code(sizes=[16, 32, 64, 128, 256, 512]))
    check(result, (), agent_id="performance")
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert (result.function.name, result.function.path) == ("unique", "app.py")
    assert [cost.size for cost in result.function.costs] == [16, 32, 64, 128, 256, 512]
    assert all(cost.seconds > 0 and cost.HasField("peak_bytes") for cost in result.function.costs)
    assert result.function.HasField("time_growth")
    assert result.lines[0].path == "app.py"
    assert 0 < result.lines[0].share <= 1
    assert result.functions[0].calls >= 1
    assert result.charts
    assert "unique (app.py:1) was measured" in tell(result)


async def test_a_models_proposals_are_measured_before_they_are_believed() -> None:
    def proposal(title: str, text: str = "") -> results_pb2.ProposedChange:
        files = [results_pb2.SourceFile(path="app.py", content=text)] if text else []
        return results_pb2.ProposedChange(title=title, reason="It helps.", files=files)

    advice = results_pb2.PerformanceAdvice(
        explanation="The search in the list is quadratic.",
        proposals=[proposal("Return them all", WRONG), proposal("Buy memory"), proposal("Use a dict", FAST)],
    )
    bench = Bench("performance", model=advice)
    result = await bench.work(code(sizes=[16, 64, 128, 256, 400]), "Why is it slow?")
    check(result, (), agent_id="performance")
    assert result.explanation == "The search in the list is quadratic."
    first, second, third = result.proposals
    assert (first.change.title, first.verdict) == ("Use a dict", results_pb2.VERDICT_VERIFIED)
    assert first.seconds_after < first.seconds_before
    assert first.corrected_p_value <= 0.05
    assert (second.change.title, second.verdict) == ("Return them all", results_pb2.VERDICT_FAILED)
    assert "computes something else" in second.verdict_reason
    assert (third.change.title, third.verdict) == ("Buy memory", results_pb2.VERDICT_NOT_RUN)
    assert [tool for tool, _ in bench.tools.used] == ["profile", "compare"]
    assert "unique (app.py:1) was measured" in bench.model.data["measurements"]
    assert "VERIFIED: Use a dict" in tell(result)


async def test_without_a_sandbox_no_proposal_is_believed_and_a_table_still_is() -> None:
    advice = results_pb2.PerformanceAdvice(
        explanation="It doubled.",
        proposals=[
            results_pb2.ProposedChange(
                title="Use a dict", files=[results_pb2.SourceFile(path="app.py", content=FAST)]
            )
        ],
    )
    given = code()
    given.csv = table()
    result = await Bench("performance", model=advice, sandbox=None).work(given)
    check(result, (), agent_id="performance")
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert "no sandbox" in result.verdict_reason
    assert [p.verdict for p in result.proposals] == [results_pb2.VERDICT_NOT_RUN]
    assert "no sandbox" in result.proposals[0].verdict_reason


@pytest.mark.parametrize(
    ("given", "sandbox", "told"),
    [
        (inputs(), None, "nothing to measure"),
        (code(), None, "no sandbox"),
        (code("def f(:\n"), ..., "SyntaxError"),
        (code("def f(what):\n    return 1\n"), ..., "no input can be made"),
    ],
)
async def test_what_was_not_measured_is_not_claimed(
    given: results_pb2.PerformanceInputs, sandbox: Any, told: str
) -> None:
    bench = Bench("performance", **({} if sandbox is ... else {"sandbox": sandbox}))
    result = await bench.work(given)
    check(result, (), agent_id="performance")
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert told in result.verdict_reason
    assert told in tell(result)
    assert not result.metrics
    assert not result.HasField("function")


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (inputs(csv="a\n1\n", json="[1]"), "$.json"),
        (inputs(csv="1,2\n3,4\n"), "$.csv"),
        (inputs(json="{"), "$.json"),
        (code(sizes=[0]), "$.sizes"),
        (code(sizes=list(range(1, 30))), "$.sizes"),
        (code(entry="app.py"), "$.entry"),
        (code(entry="other.py:f"), "$.entry"),
        (code(generator="app.py:"), "$.generator"),
    ],
)
async def test_bad_inputs_are_refused_with_their_place(
    given: results_pb2.PerformanceInputs, path: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await Bench("performance", sandbox=None).work(given)
    assert caught.value.reason == "INPUTS_INVALID"
    assert caught.value.metadata["path"] == path
