"""The code analyzer: facts of tools, and opinions of a model apart from them."""

from __future__ import annotations

import pytest

from meldrag.agents.v1 import results_pb2
from services.agents.results import check
from services.agents.roster.code_analyzer import tell
from services.chassis.errors import FailedPreconditionError, InvalidArgumentError
from tests.unit.agents.roster.coding import Bench

LOGIN = """import os
import sqlite3


def login(database, name, password):
    cursor = sqlite3.connect(database).cursor()
    cursor.execute("SELECT * FROM users WHERE name = '%s'" % name)
    row = cursor.fetchone()
    return row and row[1] == password
"""


def inputs(**files: str) -> results_pb2.CodeInputs:
    return results_pb2.CodeInputs(
        files=[
            results_pb2.SourceFile(path=path.replace("__", "."), content=text) for path, text in files.items()
        ]
    )


async def test_a_login_handler_is_reviewed_without_a_model() -> None:
    bench = Bench("code_analyzer")
    result = await bench.work(inputs(login__py=LOGIN))
    check(result, (), agent_id="code_analyzer")
    assert result.verdict == results_pb2.VERDICT_VERIFIED
    found = {f.rule: (f.path, f.line, f.severity, f.tool) for f in result.findings}
    assert found["B608"] == ("login.py", 7, "warning", "bandit")
    assert found["F401"] == ("login.py", 1, "warning", "ruff")
    (measures,) = result.files
    assert (measures.language, measures.parsed, len(measures.functions)) == ("Python", True, 1)
    assert 0 < measures.maintainability <= 100
    assert {m.name: m.value for m in result.metrics}["functions"] == 1
    assert not result.opinions
    assert [tool for tool, _ in bench.tools.used] == ["analyse"]
    text = tell(result)
    assert "login.py:7" in text
    assert "opinion" not in text


async def test_opinions_stand_in_fields_of_their_own_and_only_about_lines_that_exist() -> None:
    answer = results_pb2.CodeAnalyzerResult(
        opinions=[
            results_pb2.CodeOpinion(
                path="login.py", line=9, statement="Compares plain passwords.", confidence=0.9
            ),
            results_pb2.CodeOpinion(path="login.py", line=99, statement="Invented."),
            results_pb2.CodeOpinion(path="other.py", line=1, statement="Invented."),
        ],
        review="Not ready.",
    )
    bench = Bench("code_analyzer", model=answer)
    result = await bench.work(inputs(login__py=LOGIN), "Review it.")
    assert [(o.line, o.statement) for o in result.opinions] == [(9, "Compares plain passwords.")]
    assert result.dropped_opinion_count == 2
    assert not [f for f in result.findings if "plain" in f.message]
    assert "B608" in bench.model.data["findings of the tools"]
    assert bench.model.task.endswith("Review it.")
    assert "opinion, which nothing has checked: Not ready." in tell(result)
    # Should the model's part meet a limit, the facts are there.
    assert len(bench.kept) == 1


class Refusing:
    """A sandbox where none is possible."""

    async def run(self, job: object) -> object:
        raise FailedPreconditionError("no layer holds here", reason="TOOL_UNAVAILABLE")


@pytest.mark.parametrize(
    ("given", "sandbox", "told"),
    [
        (inputs(), None, "no code among the inputs"),
        (inputs(a__py="x = 1"), None, "no sandbox"),
        (inputs(a__py="x = 1"), Refusing(), "no layer holds here"),
        (inputs(a__rb="x = 1"), Refusing(), "None of the files is in Python"),
    ],
)
async def test_what_was_not_analysed_is_not_claimed(
    given: results_pb2.CodeInputs, sandbox: object, told: str
) -> None:
    bench = Bench("code_analyzer", model=results_pb2.CodeAnalyzerResult(review="Fine."), sandbox=sandbox)
    result = await bench.work(given)
    check(result, (), agent_id="code_analyzer")
    assert result.verdict == results_pb2.VERDICT_NOT_RUN
    assert told in result.verdict_reason
    assert told in tell(result)
    assert not result.review
    assert not result.findings


async def test_a_path_out_of_the_project_is_refused() -> None:
    given = results_pb2.CodeInputs(files=[results_pb2.SourceFile(path="../a.py", content="x = 1")])
    with pytest.raises(InvalidArgumentError):
        await Bench("code_analyzer").work(given)
