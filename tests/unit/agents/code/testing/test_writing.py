"""Test files, written from what was observed."""

from __future__ import annotations

from typing import Any

from services.agents.code.testing.writing import Case, TestFile, Writer

ORIGINS = {"f": ("mod", "f"), "Stack": ("mod", "Stack")}


def session(
    code: list[list[Any]], seen: list[dict[str, Any]], state: list[Any] | None = None
) -> dict[str, Any]:
    return {"steps": code, "seen": {"steps": seen, "state": state or []}}


def call(*arguments: str, keyword: str = "") -> list[Any]:
    return ["f", "f({args})", [[keyword, a] for a in arguments], "", "", False]


def gives(expected: str, read: str = "{}") -> dict[str, Any]:
    return {"pairs": [[read, expected]]}


def written(*sessions: dict[str, Any]) -> str:
    file = TestFile("test_mod.py", "mod", ORIGINS)
    file.blocks = Writer({"f": ["a", "b"]}, ORIGINS).blocks(sessions)
    return file.text()


def test_calls_of_one_shape_become_a_table() -> None:
    text = written(session([call("1", "2")], [gives("3")]), session([call("0", "0")], [gives("0")]))

    assert '@pytest.mark.parametrize(\n    ("a", "b", "expected"),' in text
    assert "        (1, 2, 3),\n        (0, 0, 0),\n" in text
    assert "def test_f(a, b, expected):\n    assert f(a, b) == expected\n" in text
    assert "from mod import f\n" in text
    assert "not whether" in text


def test_truth_is_compared_by_identity() -> None:
    text = written(session([call("1")], [gives("True")]), session([call("2")], [gives("None")]))

    assert "assert f(a) is expected" in text


def test_an_error_is_expected_with_its_words() -> None:
    raised = {"raised": "ValueError", "message": "no 1", "deliberate": True, "misuse": False}

    text = written(session([call("1")], [raised]), session([call("2")], [raised | {"message": "no 2"}]))

    assert "def test_f_raises_value_error(a, message):" in text
    assert (
        "with pytest.raises(ValueError) as raised:\n        f(a)\n    assert str(raised.value) == message"
        in text
    )


def test_an_argument_that_the_call_changes_is_looked_at_afterwards() -> None:
    text = written(session([call("[2, 1]")], [gives("None") | {"after": {"0": [["{}", "[1, 2]"]]}}]))

    assert "    a = [2, 1]\n    f(a)\n    assert a == [1, 2]\n" in text


def test_what_is_printed_is_expected() -> None:
    text = written(session([call("1")], [gives("None") | {"out": "one\n"}]))

    assert "def test_f(capsys):\n    f(1)\n    assert capsys.readouterr().out == 'one\\n'\n" in text


def test_calls_of_an_object_stand_in_order_with_its_state_at_the_end() -> None:
    made = ["Stack", "Stack({args})", [["", "2"]], "", "stack", False]
    push = ["Stack.push", "{self}.push({args})", [["", "7"]], "stack", "", False]
    holds = ["Stack.__contains__", "{0} in {self}", [["", "7"]], "stack", "", False]
    seen = [{"pairs": []}, gives("None"), gives("True")]

    text = written(session([made, push, holds], seen, [["stack", [["{}.items", "[7]"]]]]))

    lines = ["stack = Stack(2)", "stack.push(7)", "assert (7 in stack) is True", "assert stack.items == [7]"]
    assert "".join(f"    {line}\n" for line in lines) in text


def test_a_short_generator_is_read_to_its_end() -> None:
    read = "list(itertools.islice({}, 30))"

    text = written(session([call("2")], [gives("[1, 2]", read)]), session([call("1")], [gives("[1]", read)]))

    assert "assert list(f(a)) == expected" in text
    assert "itertools" not in text


def test_a_parameter_does_not_hide_what_the_test_needs() -> None:
    file = TestFile("test_mod.py", "mod", ORIGINS)
    file.blocks = Writer({"f": ["request", "f"]}, ORIGINS).blocks([session([call("1", "2")], [gives("3")])])

    assert (
        "    request_ = 1\n    f_ = 2\n    expected = 3\n    assert f(request_, f_) == expected"
        in file.text()
    )


def test_a_dropped_case_leaves_the_others() -> None:
    file = TestFile("test_mod.py", "mod", ORIGINS)
    rows = [session([call(str(n))], [gives(str(n * n))]) for n in (2, 3, 4)]
    file.blocks = Writer({"f": ["a"]}, ORIGINS).blocks(rows)

    assert set(file.keys()) == {f"test_mod.py::test_f#{n}" for n in range(3)}
    assert file.drop(["test_mod.py::test_f#1"]) == 1
    assert [case for _, case in file.keys().values()] == [Case(("2", "4")), Case(("4", "16"))]
    assert file.drop(["test_mod.py::test_f#0", "test_mod.py::test_f#1"]) == 2
    assert file.blocks == []
