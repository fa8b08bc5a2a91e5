"""The test generator: a real task, without and with a model double."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.message import Message

from meldrag.agents.v1 import results_pb2
from services.agents.answering.extractive import Evidence
from services.agents.model import Finding
from services.agents.ports import Sandboxed
from services.agents.roster import test_generator
from services.agents.roster.agent import Work
from services.agents.routing.route import Route
from services.chassis.errors import FailedPreconditionError, InvalidArgumentError
from services.sandbox.model import Job, Outcome
from services.sandbox.sandbox import open_sandbox
from tests.support.kept_files import KeptDocuments, KeptFiles

DISCOUNT = '''
def discount(price, percent):
    """The price with a discount in percent, which is 0 to 100."""
    if percent < 0 or percent >= 100:
        raise ValueError("percent is 0 to 100")
    return price - price * percent / 100
'''


class UsedTools:
    """Runs what it is given and remembers it."""

    def __init__(self) -> None:
        self.used: list[tuple[str, dict[str, Any], str]] = []

    async def use(
        self,
        tool: str,
        arguments: dict[str, Any],
        action: Callable[[], Awaitable[dict[str, Any]]],
        summary: Callable[[dict[str, Any]], str],
    ) -> dict[str, Any]:
        assert tool in test_generator.AGENT.tools
        result = await action()
        self.used.append((tool, arguments, summary(result)))
        return result


class NoSandbox:
    """As on a machine where nothing can shut code in."""

    async def run(self, job: Job) -> Outcome:
        raise FailedPreconditionError("no sandbox is possible here", reason="TOOL_UNAVAILABLE")


class AnySandbox:
    """Not reached."""

    async def run(self, job: Job) -> Outcome:
        raise AssertionError(job.argv)


@pytest.fixture
async def sandbox() -> Sandboxed:
    box = await open_sandbox()
    if box.layer is None:
        pytest.skip(box.reason)
    return box


class Documents:
    async def cite(self, quotes: object) -> list[Finding]:
        return []


async def route(_text: str) -> Route:
    raise AssertionError("nothing is routed")


async def ask_nobody(*_: object, **__: object) -> None:
    """As where no model is configured."""


def work(
    files: dict[str, str],
    tools: UsedTools,
    sandbox: Sandboxed | None,
    ask: Any = ask_nobody,
    kept: list[Message] | None = None,
) -> Work[results_pb2.CodeInputs]:
    sources = [results_pb2.SourceFile(path=path, content=content) for path, content in files.items()]
    return Work(
        question="Write tests for the discount.",
        inputs=results_pb2.CodeInputs(files=sources),
        findings=(),
        evidence=Evidence((), None),
        sources=Documents(),
        route=route,
        tools=tools,
        ask=ask,
        keep=(kept if kept is not None else []).append,
        files=KeptFiles(),
        knowledge=KeptDocuments(),
        sandbox=sandbox,
    )


@pytest.mark.timeout(300)
async def test_a_real_task_with_a_model_that_expects_something(sandbox: Sandboxed) -> None:
    async def ask(kind: type[Message], task: str, **given: Any) -> results_pb2.TestExpectations:
        assert kind is results_pb2.TestExpectations
        assert given["data"] == {"discount.py": DISCOUNT}
        assert "Write tests for the discount." in task
        told = results_pb2.TestExpectations()
        told.expectations.add(
            function="discount", arguments=["80", "25"], expected="60.0", why="A quarter off."
        )
        told.expectations.add(
            function="discount", arguments=["80", "100"], expected="0.0", why="The documentation allows 100."
        )
        given["check"](told)
        return told

    tools, kept = UsedTools(), list[Message]()

    result = await test_generator.compose(work({"discount.py": DISCOUNT}, tools, sandbox, ask, kept))

    assert result.verdict == results_pb2.VERDICT_VERIFIED
    assert [name for name, _, _ in tools.used] == ["generate_tests", "run_mutants"]
    assert [file.path for file in result.files] == ["test_discount.py"]
    assert "# A quarter off." in result.files[0].content
    assert result.coverage.line == 1.0
    assert result.mutation_score >= 0.6
    assert result.mutants == result.mutants_killed + len(result.survivors) + result.mutants_left
    assert [d.expectation.why for d in result.disagreements] == ["The documentation allows 100."]
    assert "percent is 0 to 100" in result.disagreements[0].observed
    assert "do not say that it is right" in result.notes[0]
    assert isinstance(kept[0], results_pb2.TestGeneratorResult)
    told = test_generator.tell(result)
    assert "They run 100% of the lines" in told
    assert "Possible bug: discount(80, 100) should give 0.0" in told


@pytest.mark.parametrize(
    ("files", "sandbox", "reason"),
    [
        ({}, AnySandbox(), "No code was given"),
        ({"a.py": "x = 1"}, None, "there is no sandbox"),
        ({"a.py": "def f():\n    return 1\n"}, NoSandbox(), "no sandbox is possible here"),
        ({"a.go": "package a"}, AnySandbox(), "the files are Go"),
    ],
)
async def test_what_was_not_run_says_why(
    files: dict[str, str], sandbox: Sandboxed | None, reason: str
) -> None:
    result = await test_generator.compose(work(files, UsedTools(), sandbox))

    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert reason in result.verdict_reason
    assert not result.files
    told = test_generator.tell(result)
    assert told == (f"No tests were written. {result.verdict_reason}" if files else "")


async def test_a_path_outside_of_the_project_is_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        await test_generator.compose(work({"../a.py": ""}, UsedTools(), AnySandbox()))


@pytest.mark.parametrize(
    ("case", "fault"),
    [
        ({"arguments": ["1"], "expected": "1"}, "names no function"),
        ({"function": "f"}, "needs either"),
        ({"function": "f", "expected": "1", "raises": "ValueError"}, "needs either"),
    ],
)
def test_half_an_expectation_is_sent_back_to_the_model(case: dict[str, Any], fault: str) -> None:
    told = results_pb2.TestExpectations(expectations=[results_pb2.TestExpectation(**case)])

    with pytest.raises(ValueError, match=fault):
        test_generator._check(told)
