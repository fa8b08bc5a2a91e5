"""The code analyzer and the performance agent over a real channel, with the real sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import json_format

from meldrag.agents.v1 import agents_pb2, results_pb2
from services.sandbox.sandbox import open_sandbox
from tests.contract.agents.conftest import kinds, result_of
from tests.support.model_server import Answer, ModelServer

Open = Callable[..., Any]
HANDLER = "import subprocess\n\n\ndef run(command):\n    return subprocess.call(command, shell=True)\n"
UNIQUE = "def unique(items: list[int]) -> list[int]:\n    kept = []\n    for item in items:\n        " + (
    "if item not in kept:\n            kept.append(item)\n    return kept\n"
)


@pytest.fixture
async def sandbox() -> Any:
    opened = await open_sandbox()
    if opened.layer is None:
        pytest.skip(opened.reason)
    return opened


async def test_code_is_reviewed_with_its_step_told(open_house: Open, sandbox: Any) -> None:
    opinions = {
        "opinions": [{"path": "run.py", "line": 5, "statement": "A list is safer.", "confidence": 0.8}]
    }
    with ModelServer(
        Answer("It starts a shell."), Answer(json.dumps({**opinions, "review": "Risky."}))
    ) as server:
        house = await open_house(server.base_url, sandbox=sandbox)
        events = await house.run(
            "Are there security problems in this handler?",
            "code_analyzer",
            seconds=60,
            inputs={"files": [{"path": "run.py", "content": HANDLER}]},
        )
    result = result_of(events).result.code_analyzer
    assert {"tool_started", "tool_finished"} <= set(kinds(events))
    assert ("B602", "run.py", 5, "error") in {(f.rule, f.path, f.line, f.severity) for f in result.findings}
    assert [(o.line, o.statement) for o in result.opinions] == [(5, "A list is safer.")]
    (finished,) = [e.tool_finished for e in events if e.HasField("tool_finished")]
    assert finished.succeeded
    assert "1 file analysed" in finished.summary


async def test_code_is_measured_with_its_step_told(open_house: Open, sandbox: Any) -> None:
    house = await open_house(sandbox=sandbox)
    events = await house.run(
        "Where does this function spend its time?",
        "performance",
        seconds=90,
        inputs={"files": [{"path": "app.py", "content": UNIQUE}], "sizes": [16, 64, 128, 256, 512]},
    )
    result = result_of(events).result.performance
    assert result.verdict == results_pb2.VERDICT_VERIFIED, result.verdict_reason
    assert result.function.name == "unique"
    assert len(result.function.costs) == 5
    assert result.lines[0].line in {3, 4}
    json_format.MessageToJson(result)


async def test_without_a_sandbox_a_table_is_judged_and_code_is_not_run(open_house: Open) -> None:
    house = await open_house()
    values = [20 + i % 3 for i in range(40)] + [40 + i % 3 for i in range(40)]
    events = await house.run(
        "Did it get slower?",
        "performance",
        inputs={"json": json.dumps({"ms": values}), "files": [{"path": "app.py", "content": UNIQUE}]},
    )
    ended = result_of(events)
    result = ended.result.performance
    assert [o.row for o in result.observations if o.kind == "change" and o.significant] == [41]
    assert "no sandbox" in result.verdict_reason
    assert not result.HasField("function")
    assert isinstance(ended, agents_pb2.RunResult)
