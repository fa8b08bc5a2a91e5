"""Measures by syntax trees."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.agents.code.static.inside.grammar import GRAMMARS, measure

# One function each: a branch with two conditions, an else-if, a loop in a loop, a switch of two cases and a
# default.
CASES = {
    "JavaScript": "function f(a, b) { if (a && b) {} else if (b) {} for (;;) { while (a) {} } "
    "switch (a) { case 1: case 2: break; default: } }",
    "TypeScript": "function f(a: number, b?: string): void { if (a && b) {} else if (b) {} for (;;) { while "
    "(a) {} } "
    "switch (a) { case 1: case 2: break; default: } }",
    "TSX": "const f = (a, b) => { if (a && b) {} else if (b) {} for (;;) { while (a) {} } "
    "switch (a) { case 1: case 2: break; default: } return <p/> }",
    "Go": "package m\nfunc (s *S) f(a, b int) { if a > 0 && b > 0 { } else if b > 1 { }\nfor { for a > 0 { "
    "} }\n"
    "switch a { case 1: case 2: default: } }",
    "Java": "class C { void f(int a, int b) { if (a > 0 && b > 0) {} else if (b > 1) {} for (;;) { while (a "
    "> 0) {} } "
    "switch (a) { case 1: case 2: break; default: } } }",
    "Rust": "impl S { fn f(&self, a: i32, b: i32) { if a > 0 && b > 0 {} else if b > 1 {} loop { while a > "
    "0 {} } "
    "match a { 1 => {}, 2 => {}, _ => {} } } }",
    "C": "void *f(int a, char *b) { if (a && b) {} else if (b) {} for (;;) { while (a) {} } "
    "switch (a) { case 1: case 2: break; default: ; } }",
}


def one(language: str, text: str) -> dict[str, Any]:
    (function,) = measure(language, text)["functions"]
    return dict(function)


@pytest.mark.parametrize("language", GRAMMARS)
def test_every_language_counts_alike(language: str) -> None:
    f = one(language, CASES[language])
    # 1, two ifs, &&, two loops, two cases.
    assert (f["name"], f["parameters"], f["complexity"], f["nesting"]) == ("f", 2, 8, 2)
    assert measure(language, CASES[language])["errors"] == []


def test_a_function_in_a_function_counts_for_itself() -> None:
    text = (
        "function out(a) {\n  const inner = (b) => b ? 1 : 2;\n"
        "  return [1].map(function (c) { if (c) {} });\n}"
    )
    found = {f["name"]: (f["complexity"], f["line"]) for f in measure("JavaScript", text)["functions"]}
    assert found == {"out": (1, 1), "inner": (2, 2), "(anonymous)": (2, 3)}


@pytest.mark.parametrize(
    ("language", "text", "count"),
    [
        ("C", "int f(void) { return 1; }", 0),
        ("C", "int f(int (*g)(int, int), char c) { return 1; }", 2),
        ("Go", "package m\nfunc f(a, b int, c ...string) {}", 3),
        ("Java", "class C { C(int a, String... b) {} }", 2),
        ("Rust", "fn f() {}", 0),
        ("JavaScript", "x => x", 1),
        ("JavaScript", "function f({a, b}, [c], ...d) {}", 3),
    ],
)
def test_parameters(language: str, text: str, count: int) -> None:
    assert one(language, text)["parameters"] == count


def test_lines_and_comments() -> None:
    made = measure("Java", "// one\n/* two\n three */\n\nclass C {} // four\n")
    assert (made["lines"], made["comment_lines"], made["blank_lines"], made["code_lines"]) == (5, 4, 1, 2)


@pytest.mark.parametrize("language", GRAMMARS)
def test_what_does_not_parse_is_told_with_its_place(language: str) -> None:
    text = CASES[language] + "\n\n@@ ) ( {{{\n"
    errors = measure(language, text)["errors"]
    assert errors
    assert errors[0]["line"] >= 1
    assert errors[0]["column"] >= 1


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(GRAMMARS)), st.text(max_size=200))
def test_whatever_comes_is_measured(language: str, text: str) -> None:
    made = measure(language, text)
    assert 0 <= made["comment_lines"] <= max(1, made["lines"] + 1)


def test_depth_without_end_is_no_matter() -> None:
    made = measure("JavaScript", "[" * 20_000 + "]" * 20_000)
    assert made["functions"] == []
