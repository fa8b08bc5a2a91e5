"""A real task for the debugger and one for the repair: code runs in this machine's sandbox."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import struct_pb2

from meldrag.agents.v1 import agents_pb2, results_pb2
from services.agents.ports import Sandboxed
from services.sandbox.sandbox import open_sandbox
from tests.contract.agents.conftest import Event, kinds, result_of, streamed
from tests.support.model_server import Answer, ModelServer

Open = Callable[..., Any]
WHY = "Warum?"
SPOKEN = Answer("I cannot tell from the documents.")

AVERAGE = """\
def average(values):
    total = 0
    for value in values:
        total += value
    return total // len(values)  # the mean
"""
MENDED = AVERAGE.replace("//", "/")
TESTS = """\
import pytest
from average import average


@pytest.mark.parametrize(("values", "expected"), [([2], 2), ([1, 2], 1.5), ([3, 3, 5], 11 / 3), ([4, 6], 5)])
def test_average(values, expected):
    assert average(values) == pytest.approx(expected)
"""


@pytest.fixture
async def sandbox() -> Sandboxed:
    box = await open_sandbox()
    if box.layer is None:
        pytest.skip(box.reason)
    return box


def code(files: dict[str, str], tests: dict[str, str]) -> struct_pb2.Struct:
    inputs = struct_pb2.Struct()
    inputs.update(
        {
            "files": [{"path": path, "content": text} for path, text in files.items()],
            "tests": [{"path": path, "content": text} for path, text in tests.items()],
        }
    )
    return inputs


async def run(
    house: Any, agent_id: str, text: str = AVERAGE, tests: str = TESTS, message: str = WHY
) -> list[Event]:
    inputs = code({"average.py": text}, {"test_average.py": tests})
    found: list[Event] = await house.run(message, agent_id=agent_id, seconds=110, inputs=inputs)
    return found


async def test_the_debugger_finds_the_line_and_shows_what_confirms_it(
    open_house: Open, sandbox: Sandboxed
) -> None:
    events = await run(await open_house(sandbox=sandbox), "code_debugger")
    result = result_of(events)
    found = result.result.code_debugger
    assert found.verdict == results_pb2.VERDICT_FAILED
    assert found.verdict_reason == "2 of 4 tests fail."
    assert [name.split("::")[1] for name in found.failing_tests] == [
        "test_average[values1-1.5]",
        "test_average[values2-3.6666666666666665]",
    ]
    first = found.suspicious_lines[0]
    assert (first.path, first.line, first.code) == (
        "average.py",
        5,
        "return total // len(values)  # the mean",
    )
    assert "average.py, line 5" in found.cause
    assert "1 == 1.5" in found.cause
    assert found.tests[0].frames[-1].variables
    assert {line.line for line in found.slice} == {2, 3, 4, 5}
    assert found.experiments[0].verdict == results_pb2.VERDICT_VERIFIED
    assert "+    return total / len(values)  # the mean" in found.experiments[0].diff
    assert len(found.log_sha256) == 64
    assert (found.tests_run, found.tests_passed) == (4, 2)
    assert result.answer_mode == agents_pb2.ANSWER_MODE_TOOLS
    assert result.text == streamed(events)
    assert "2 of 4 tests fail." in result.text
    assert kinds(events).count("tool_started") == kinds(events).count("tool_finished") == 2


async def test_the_repair_is_proven_by_the_tests(open_house: Open, sandbox: Sandboxed) -> None:
    result = result_of(await run(await open_house(sandbox=sandbox), "code_repair"))
    found = result.result.code_repair
    assert found.verdict == results_pb2.VERDICT_VERIFIED
    assert found.verdict_reason == "All 4 tests pass, in 2 runs."
    assert [(file.path, file.content) for file in found.files] == [("average.py", MENDED)]
    assert found.diff.count("\n+ ") == found.diff.count("\n- ") == 1
    assert {test.outcome for test in found.tests} == {"passed"}
    log = "".join(f"{test.test_id}: passed\n" for test in found.tests)
    assert found.log_sha256 == hashlib.sha256(log.encode()).hexdigest()
    assert "Repaired, as far as the tests can tell." in result.text
    assert "+    return total / len(values)" in result.text


@pytest.mark.parametrize(
    ("new", "verdict"), [("/", results_pb2.VERDICT_VERIFIED), ("%", results_pb2.VERDICT_FAILED)]
)
async def test_a_fix_that_the_request_gives_is_judged(
    open_house: Open, sandbox: Sandboxed, new: str, verdict: results_pb2.Verdict
) -> None:
    diff = (
        "Is this right?\n\n--- a/average.py\n+++ b/average.py\n@@ -4,2 +4,2 @@\n         total += value\n"
        "-    return total // len(values)  # the mean\n"
        f"+    return total {new} len(values)  # the mean\n"
    )
    result = result_of(await run(await open_house(sandbox=sandbox), "code_repair", message=diff))
    found = result.result.code_repair
    assert found.verdict == verdict
    assert len(found.log_sha256) == 64
    assert bool(found.diff) == (verdict == results_pb2.VERDICT_VERIFIED)
    assert [proposal.verdict for proposal in found.proposals] == [verdict]
    if not found.diff:
        assert "tests fail" in found.verdict_reason
        assert result.text.startswith("Not repaired.")


async def test_what_no_change_can_mend_is_reported_as_failed(open_house: Open, sandbox: Sandboxed) -> None:
    tests = "from average import f\n\n\ndef test_two():\n    assert f() == 2\n\n\ndef test_three():\n"
    tests += "    assert f() == 3\n"
    house = await open_house(sandbox=sandbox)
    found = result_of(await run(house, "code_repair", "def f():\n    return 1\n", tests)).result.code_repair
    assert found.verdict == results_pb2.VERDICT_FAILED
    assert "none lets all tests pass" in found.verdict_reason
    assert not found.diff
    assert not found.files
    assert len(found.failing_tests) == 2


@pytest.mark.parametrize("agent_id", ["code_debugger", "code_repair"])
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("def average(:\n", TESTS), "average.py, line 1: SyntaxError"),
        ((AVERAGE, ""), "No test was found"),
        ((AVERAGE, "import average\n\nprint(average.average([1]))\n"), "No test was found"),
        (("import not_there_at_all\n", TESTS), "'not_there_at_all'"),
    ],
)
async def test_code_that_cannot_be_run_was_not_run(
    open_house: Open, sandbox: Sandboxed, agent_id: str, given: tuple[str, str], reason: str
) -> None:
    result = result_of(await run(await open_house(sandbox=sandbox), agent_id, *given))
    found = getattr(result.result, agent_id)
    assert found.verdict == results_pb2.VERDICT_NOT_RUN
    assert reason in found.verdict_reason
    assert found.log_sha256 == ""
    assert reason in result.text


@pytest.mark.parametrize("agent_id", ["code_debugger", "code_repair"])
async def test_without_a_sandbox_nothing_is_run(open_house: Open, agent_id: str) -> None:
    house = await open_house()
    found = getattr(result_of(await run(house, agent_id)).result, agent_id)
    assert found.verdict == results_pb2.VERDICT_NOT_RUN
    assert "no sandbox" in found.verdict_reason
    off = await open_house(sandbox=await open_sandbox("off"))
    found = getattr(result_of(await run(off, agent_id)).result, agent_id)
    assert found.verdict == results_pb2.VERDICT_NOT_RUN
    assert "switched off" in found.verdict_reason


async def test_tests_that_pass_leave_nothing_to_mend(open_house: Open, sandbox: Sandboxed) -> None:
    house = await open_house(sandbox=sandbox)
    found = result_of(await run(house, "code_repair", MENDED)).result.code_repair
    assert (found.verdict, found.diff) == (results_pb2.VERDICT_NOT_RUN, "")
    assert "All tests pass as the code is" in found.verdict_reason
    debugged = result_of(await run(house, "code_debugger", MENDED)).result.code_debugger
    assert (debugged.verdict, debugged.cause) == (results_pb2.VERDICT_VERIFIED, "")


async def test_paths_that_leave_the_project_are_refused(open_house: Open, sandbox: Sandboxed) -> None:
    house = await open_house(sandbox=sandbox)
    ended = (await house.run(WHY, agent_id="code_repair", inputs=code({"../a.py": ""}, {})))[-1].ended
    assert (ended.outcome, ended.error.reason) == (agents_pb2.RUN_OUTCOME_FAILED, "INPUTS_INVALID")
    assert "'../a.py'" in ended.error.message


async def test_without_files_the_documents_answer_alone(open_house: Open, sandbox: Sandboxed) -> None:
    house = await open_house(sandbox=sandbox)
    result = result_of(await house.run("When was the lighthouse of Brava built?", agent_id="code_debugger"))
    found = result.result.code_debugger
    assert found.verdict == results_pb2.VERDICT_NOT_RUN
    assert found.evidence
    assert result.answer_mode == agents_pb2.ANSWER_MODE_EXTRACTIVE
    assert "not run" not in result.text


def rewrite(text: str, why: str = "It divides without a remainder lost.") -> Answer:
    return Answer(json.dumps({"files": [{"path": "average.py", "content": text}], "explanation": why}))


async def test_a_models_change_is_proven_as_any_other(open_house: Open, sandbox: Sandboxed) -> None:
    with ModelServer(SPOKEN, rewrite(MENDED)) as server:
        result = result_of(await run(await open_house(server.base_url, sandbox=sandbox), "code_repair"))
    found = result.result.code_repair
    assert found.verdict == results_pb2.VERDICT_VERIFIED
    assert found.explanation == "It divides without a remainder lost."
    assert found.files[0].content == MENDED
    assert found.candidates_tried == 0
    assert "def average(values):" in str(server.chats[-1].body)


async def test_a_models_wrong_change_is_reported_as_failed(open_house: Open, sandbox: Sandboxed) -> None:
    wrong = rewrite(AVERAGE.replace("//", "*"), "It works, I promise.")
    with ModelServer(SPOKEN, wrong, wrong) as server:
        result = result_of(await run(await open_house(server.base_url, sandbox=sandbox), "code_repair"))
    found = result.result.code_repair
    # The search finds what the model did not; each proposal has its own verdict.
    assert [proposal.verdict for proposal in found.proposals] == [
        results_pb2.VERDICT_FAILED,
        results_pb2.VERDICT_FAILED,
        results_pb2.VERDICT_VERIFIED,
    ]
    assert "I promise" in found.proposals[0].description
    assert found.files[0].content == MENDED


async def test_a_model_may_not_change_the_tests(open_house: Open, sandbox: Sandboxed) -> None:
    cheat = Answer(
        json.dumps({"files": [{"path": "test_average.py", "content": ""}], "explanation": "Done."})
    )
    with ModelServer(SPOKEN, cheat, cheat) as server:
        result = result_of(await run(await open_house(server.base_url, sandbox=sandbox), "code_repair"))
    assert [file.path for file in result.result.code_repair.files] == ["average.py"]
    assert any("test_average.py" in item.reason for item in result.degradations)


def hypothesis(cause: str, assertion: str) -> Answer:
    probe = f"from average import average\n\n\ndef test_cause():\n    assert {assertion}\n"
    return Answer(json.dumps({"cause": cause, "path": "average.py", "line": 5, "probe": probe}))


@pytest.mark.parametrize(
    ("cause", "assertion", "verdict"),
    [
        ("It rounds down.", "average([1, 2]) == 1", results_pb2.VERDICT_VERIFIED),
        ("It adds one.", "average([2]) == 3", results_pb2.VERDICT_FAILED),
        ("It is so.", "True", results_pb2.VERDICT_NOT_RUN),
    ],
)
async def test_a_models_cause_is_tried_by_its_experiment(
    open_house: Open, sandbox: Sandboxed, cause: str, assertion: str, verdict: results_pb2.Verdict
) -> None:
    with ModelServer(SPOKEN, hypothesis(cause, assertion)) as server:
        result = result_of(await run(await open_house(server.base_url, sandbox=sandbox), "code_debugger"))
    found = result.result.code_debugger
    assert found.experiments[0].verdict == verdict
    assert cause in found.experiments[0].description
    assert (found.cause == cause) == (verdict == results_pb2.VERDICT_VERIFIED)
    assert found.experiments[0].reason
