"""Expected cases as tests."""

from __future__ import annotations

import pytest

from services.agents.code.testing import intent
from services.agents.code.testing.model import Intended


def source(case: Intended) -> str | None:
    block = intent.block(case, lambda name: name)
    return block.source() if block else None


def test_a_case_tells_why() -> None:
    case = Intended("area", ("2", "height=3.5"), "7.0", "", "Width times height.")

    assert source(case) == (
        "# Width times height.\n"
        "def test_area_as_intended():\n"
        "    assert area(2, height=3.5) == pytest.approx(7.0)\n"
    )


def test_an_error_can_be_expected() -> None:
    assert "with pytest.raises(ValueError):\n        area(-1)" in (
        source(Intended("area", ("-1",), "", "ValueError", "")) or ""
    )


@pytest.mark.parametrize(
    "case",
    [
        Intended("area", ("import os",), "1", "", ""),
        Intended("area", ("1",), "1; x", "", ""),
        Intended("area(", (), "1", "", ""),
        Intended("area", (), "", "ValueError()", ""),
    ],
)
def test_what_is_no_expression_is_not_written(case: Intended) -> None:
    assert source(case) is None


def test_what_was_observed_is_told_in_short() -> None:
    assert (
        intent.observed("key: def test():\n>   assert f() == 2\nE   assert 3 == 2\nE    +  where 3 = f()")
        == "assert 3 == 2"
    )
