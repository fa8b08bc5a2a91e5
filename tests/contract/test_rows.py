"""Every row of bad input has tests, and they are there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.contract.rows import PROMISED, ROWS

TESTS = Path(__file__).resolve().parents[1]


def functions(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }


def test_no_promised_row_is_forgotten() -> None:
    assert set(PROMISED) <= set(ROWS)
    assert all(tests for _, tests in ROWS.values())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"row {row}")
def test_the_tests_of_a_row_are_there(row: int) -> None:
    for test in ROWS[row][1]:
        path, _, name = test.partition("::")
        assert name.startswith("test_")
        assert name in functions(TESTS / path), test


def test_each_row_that_tables_name_is_sent() -> None:
    """The tables of the end-to-end tests send what ROWS says that they send."""
    from tests.contract.rows import DOOR, SERVICE
    from tests.e2e.test_bad_input import BAD, CALLS

    assert {bad.row for bad in BAD} == {row for row, (_, tests) in ROWS.items() if DOOR in tests}
    assert {call[0] for call in CALLS} == {row for row, (_, tests) in ROWS.items() if SERVICE in tests}
