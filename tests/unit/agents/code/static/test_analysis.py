"""Files are analysed: the whole way through the program inside, as a plain process."""

from __future__ import annotations

import json
import textwrap
from typing import Any

import pytest

from services.agents.code.static.analysis import Analysis, analyse
from services.sandbox.model import End, Job, Outcome
from tests.support.plain_sandbox import PlainSandbox

APP = textwrap.dedent(
    """\
    import os
    import subprocess
    from store import save

    def run(command):
        try:
            return subprocess.call(command, shell=True)
        except:
            pass
        return missing

    def knot(a, b, c):
        for i in a:
            if i and b or c:
                while i:
                    if b: return 1
                    elif c: return 2
                    elif a: return 3
            elif b and c:
                return 4
            elif a or c:
                return 5
        return save(0)
    """
)
STORE = "import app\n\ndef save(thing, seen=[]):\n    app.run('ls')  # noqa\n    eval(thing)  # nosec\n"


async def of(files: dict[str, str]) -> Analysis:
    made = await analyse(PlainSandbox(), files)
    assert Analysis.from_json(json.loads(json.dumps(made.to_json()))) == made
    return made


def places(made: Analysis) -> dict[str, tuple[str, str, int, str]]:
    return {f.rule: (f.tool, f.path, f.line, f.severity) for f in made.findings}


async def test_every_tool_for_python_has_its_say() -> None:
    made = await of({"app.py": APP, "store.py": STORE})
    assert [t["tool"] for t in made.tools if not t["failed"]] == [
        *("ruff", "bandit", "vulture", "radon", "imports", "calls", "duplicates")
    ]
    found = places(made)
    assert found["F401"] == ("ruff", "app.py", 1, "warning")
    assert found["F821"] == ("ruff", "app.py", 10, "error")
    assert found["B602"] == ("bandit", "app.py", 7, "error")
    assert found["complexity"] == ("radon", "app.py", 12, "warning")
    assert found["import-cycle"] == ("imports", "app.py", 3, "warning")
    assert found["unused-function"] == ("vulture", "app.py", 12, "info")
    assert made.cycles == [["app.py", "store.py"]]
    edges = {(c["caller"], c["callee"]) for c in made.calls}
    assert edges == {("app.py:knot", "store.py:save"), ("store.py:save", "app.py:run")}
    by_name = {f["name"]: f for file in made.files for f in file["functions"]}
    # 1, for, if, and, or, while, three ifs, elif, and, elif, or.
    assert by_name["knot"]["complexity"] == 13
    assert by_name["knot"]["nesting"] == 4
    assert {file["path"]: file["lines"] for file in made.files} == {"app.py": 23, "store.py": 5}


async def test_what_two_tools_say_of_a_line_is_said_once() -> None:
    made = await of({"app.py": APP, "store.py": STORE})
    (unused,) = [f for f in made.findings if f.path == "app.py" and f.line == 1]
    assert unused.also == ("vulture unused-import",)
    (swallowed,) = [f for f in made.findings if f.path == "app.py" and f.line == 8]
    assert (swallowed.rule, swallowed.also) == ("E722", ("bandit B110",))


async def test_the_code_does_not_silence_the_tools_it_is_heard_and_told() -> None:
    """Suppressions and configuration come with the code that is judged."""
    silence = "[tool.ruff]\nexclude = ['*']\n[tool.bandit]\nskips = ['B602', 'B307']\n"
    files = {
        "app.py": APP,
        "store.py": STORE,
        "pyproject.toml": silence,
        "ruff.toml": "exclude = ['*']\n",
        ".bandit": "[bandit]\nskips: B602,B307\n",
        "setup.cfg": "[bandit]\nskips: B602\n",
    }
    made = await of(files)
    found = places(made)
    assert found["B602"][3] == "error"
    assert found["B307"] == ("bandit", "store.py", 5, "info")
    assert [f.message for f in made.findings if f.rule == "B307" and "(suppressed in the code)" in f.message]
    assert set(made.skipped) == {"pyproject.toml", "ruff.toml", ".bandit", "setup.cfg"}


async def test_a_file_that_does_not_parse_hides_nothing_of_the_others() -> None:
    made = await of({"bad.py": "def f(:\n", "good.py": "import os\n", "nul.js": "function ( {"})
    found = [(f.path, f.rule, f.line) for f in made.findings]
    assert ("bad.py", "syntax", 1) in found
    assert ("good.py", "F401", 1) in found
    assert ("nul.js", "syntax", 1) in found
    assert [f for f in found if f[0] == "bad.py"] == [("bad.py", "syntax", 1)]
    assert {f["path"]: f["parsed"] for f in made.files} == {"bad.py": False, "good.py": True, "nul.js": False}


async def test_modules_named_like_those_of_the_tools_change_nothing() -> None:
    boom = "raise SystemExit('the code was executed')\n"
    made = await of(
        {
            "ast.py": boom,
            "json.py": boom,
            "radon/__init__.py": boom,
            "bandit.py": boom,
            "sitecustomize.py": boom,
        }
    )
    assert made.reason == ""
    assert not [t for t in made.tools if t["failed"]]
    assert len(made.files) == 5


async def test_nothing_is_executed() -> None:
    made = await of({"a.py": "import pathlib\npathlib.Path('ran').write_text('x')\nraise SystemExit(7)\n"})
    assert made.reason == ""
    assert made.tools


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("x = " + "(" * 5_000 + ")" * 5_000, id="brackets"),
        pytest.param("x = " + "-" * 50_000 + "1", id="signs"),
        pytest.param("x = " + "a." * 20_000 + "b", id="attributes"),
        pytest.param("x = '''" + "\\N{DASH}" * 10, id="open string"),
        pytest.param("\ufeff\f\r\n\tx", id="odd blanks"),
    ],
)
async def test_code_that_brings_parsers_down_brings_down_no_more(text: str) -> None:
    made = await analyse(PlainSandbox(), {"deep.py": text, "deep.js": text})
    assert made.reason or made.files


async def test_languages_without_a_tool_are_told() -> None:
    made = await of({"a.rb": "x = 1", "b.txt": "hello"})
    assert "None of the files is in Python" in made.reason
    assert made.skipped == ["a.rb", "b.txt"]


class Forger:
    """A sandbox that gives this."""

    def __init__(self, value: Any, end: End = End.EXITED) -> None:
        self.raw, self.end = json.dumps(value).encode(), end

    async def run(self, job: Job) -> Outcome:
        return Outcome(self.end, 1, b"", b"boom", 0.1, {job.collect[0]: self.raw}, "it took too long")


PLAIN: dict[str, Any] = {
    name: [] for name in ("findings", "files", "calls", "unresolved", "cycles", "duplicates", "tools")
}


@pytest.mark.parametrize(
    "value", [None, [], {}, {**PLAIN, "findings": [{"tool": "ruff"}]}, {**PLAIN, "files": [{"path": "a.py"}]}]
)
async def test_a_result_of_another_shape_is_none(value: Any) -> None:
    made = await analyse(Forger(value), {"a.py": "x"})
    assert made.reason == "The analysis broke off: boom"


async def test_what_was_done_before_the_end_is_kept() -> None:
    value = {**PLAIN, "tools": [{"tool": "ruff", "seconds": 1, "failed": ""}]}
    made = await analyse(Forger(value, End.TIME), {"a.py": "x"})
    assert [t["failed"] for t in made.tools] == ["", "it took too long"]


async def test_findings_are_bounded_errors_first() -> None:
    text = "\n".join(f"import m{i}" for i in range(600)) + "\nmissing()\n"
    made = await of({"a.py": text})
    assert len(made.findings) == 500
    assert made.findings[0].rule == "F821"
    assert made.left_out == 101


async def test_an_analysis_is_never_longer_than_a_record_may_be() -> None:
    files = {
        f"{'deep/' * 30}m{k}.py": "\n".join(
            f"def f{i}(x):\n    return x.call_{i}() + f{i}(x)" for i in range(200)
        )
        for k in range(15)
    }
    made = await of(files)
    assert len(json.dumps(made.to_json())) <= 800_000
    assert made.cut
    assert len(made.files) == 15
