"""Typed results are checked before they leave."""

from __future__ import annotations

import pytest
from google.protobuf.message import Message

from meldrag.agents.v1 import results_pb2
from services.agents import results
from services.chassis.errors import InternalError

CITED = results_pb2.Finding(statement="It is so.", citations=[2])
NOT_RUN = {"verdict": results_pb2.VERDICT_NOT_RUN, "verdict_reason": "No tests."}


@pytest.mark.parametrize(
    "result",
    [
        results_pb2.ResearchResult(),
        results_pb2.ResearchResult(findings=[CITED], confidence=0.5),
        results_pb2.CodeRepairResult(**NOT_RUN),
        results_pb2.CodeRepairResult(verdict=results_pb2.VERDICT_FAILED),
        results_pb2.TestGeneratorResult(coverage=results_pb2.Coverage(line=0.9), **NOT_RUN),
    ],
)
def test_what_holds_leaves(result: Message) -> None:
    results.check(result, [1, 2], agent_id="x")


@pytest.mark.parametrize(
    ("result", "cause"),
    [
        (results_pb2.CodeRepairResult(), "$.verdict: nothing is said"),
        (
            results_pb2.CodeRepairResult(verdict=results_pb2.VERDICT_NOT_RUN),
            "$.verdict: it does not say why nothing ran",
        ),
        (
            results_pb2.ExecutorResult(
                steps=[results_pb2.ExecutionStep(verdict=results_pb2.VERDICT_NOT_RUN)]
            ),
            "$.steps[0].verdict: it does not say why nothing ran",
        ),
        (
            results_pb2.CeoResult(options=[results_pb2.OptionAssessment(evidence=[CITED])]),
            "$.options[0].evidence[0].citations: there is no citation 2",
        ),
        (
            results_pb2.PerformanceResult(metrics=[results_pb2.Metric(value=float("inf"))], **NOT_RUN),
            "$.metrics[0].value: inf is no number",
        ),
        (
            results_pb2.TestGeneratorResult(coverage=results_pb2.Coverage(branch=float("nan")), **NOT_RUN),
            "$.coverage.branch: nan is no number",
        ),
    ],
)
def test_what_does_not_hold_is_named(result: Message, cause: str) -> None:
    with pytest.raises(InternalError) as caught:
        results.check(result, [1], agent_id="x")
    assert caught.value.reason == "RESULT_INVALID"
    assert caught.value.metadata == {"agent_id": "x", "cause": cause}
