"""Measures of files in JavaScript, TypeScript, Go, Java, Rust and C, by their syntax trees."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tree_sitter import Language, Node, Parser

_MAX_ERRORS = 20


@dataclass(frozen=True)
class Grammar:
    """What the nodes of a language mean.

    functions: open a function. decisions: one more path each. nesting: one level deeper each.
    unary: kinds of parameters that count once for each of their names (Go).
    """

    package: str
    function: str
    functions: frozenset[str]
    decisions: frozenset[str]
    nesting: frozenset[str]


def _kinds(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LOOPS = "if_statement for_statement while_statement do_statement switch_statement"
_JS_FUNCTIONS = _kinds(
    "function_declaration function_expression arrow_function method_definition generator_function "
    "generator_function_declaration"
)
_JS_DECISIONS = _kinds(
    "if_statement for_statement for_in_statement while_statement do_statement switch_case catch_clause "
    "ternary_expression"
)
_JS_NESTING = _kinds(f"{_LOOPS} for_in_statement try_statement")

GRAMMARS = {
    "JavaScript": Grammar("tree_sitter_javascript", "language", _JS_FUNCTIONS, _JS_DECISIONS, _JS_NESTING),
    "TypeScript": Grammar(
        "tree_sitter_typescript", "language_typescript", _JS_FUNCTIONS, _JS_DECISIONS, _JS_NESTING
    ),
    "TSX": Grammar("tree_sitter_typescript", "language_tsx", _JS_FUNCTIONS, _JS_DECISIONS, _JS_NESTING),
    "Go": Grammar(
        "tree_sitter_go",
        "language",
        _kinds("function_declaration method_declaration func_literal"),
        _kinds("if_statement for_statement expression_case type_case communication_case"),
        _kinds(
            "if_statement for_statement expression_switch_statement type_switch_statement select_statement"
        ),
    ),
    "Java": Grammar(
        "tree_sitter_java",
        "language",
        _kinds(
            "method_declaration constructor_declaration compact_constructor_declaration lambda_expression"
        ),
        _kinds(
            "if_statement for_statement enhanced_for_statement while_statement do_statement switch_label "
            "catch_clause ternary_expression"
        ),
        _kinds(
            f"{_LOOPS} enhanced_for_statement switch_expression try_statement try_with_resources_statement"
        ),
    ),
    "Rust": Grammar(
        "tree_sitter_rust",
        "language",
        _kinds("function_item closure_expression"),
        _kinds("if_expression for_expression while_expression loop_expression match_arm"),
        _kinds("if_expression for_expression while_expression loop_expression match_expression"),
    ),
    "C": Grammar(
        "tree_sitter_c",
        "language",
        _kinds("function_definition"),
        _kinds(
            "if_statement for_statement while_statement do_statement case_statement conditional_expression"
        ),
        _kinds(_LOOPS),
    ),
}
_COMMENTS = _kinds("comment line_comment block_comment")
_CHOICES = frozenset(("&&", "||", "??"))


@dataclass
class _Open:
    """A function whose end has not been reached."""

    name: str
    line: int
    end_line: int
    parameters: int
    complexity: int = 1
    nesting: int = 0


def measure(language: str, text: str) -> dict[str, Any]:
    """Lines, comments, functions and syntax errors of a file.

    Complexity is McCabe's: 1, and 1 more for each branch, loop, case (the default not), handler and each
    `&&`, `||` and `??`. A function within another one counts for itself alone.
    """
    grammar = GRAMMARS[language]
    raw = text.encode("utf-8")
    # The bindings of the grammars have no types.
    pointer = getattr(importlib.import_module(grammar.package), grammar.function)()
    root = Parser(Language(pointer)).parse(raw).root_node
    functions: list[_Open] = []
    errors: list[dict[str, Any]] = []
    commented: set[int] = set()
    waiting: list[tuple[Node, _Open | None, int]] = [(root, None, 0)]
    while waiting:
        node, function, depth = waiting.pop()
        kind = node.type
        if (node.is_error or node.is_missing) and len(errors) < _MAX_ERRORS:
            errors.append(_error(node))
        if kind in _COMMENTS:
            commented |= set(range(node.start_point[0], node.end_point[0] + (node.end_point[1] > 0)))
        if kind in grammar.functions and node.is_named:
            function, depth = _opened(node), 0
            functions.append(function)
        elif function is not None:
            if _decides(node, grammar):
                function.complexity += 1
            if kind in grammar.nesting and not _is_else_if(node):
                depth += 1
                function.nesting = max(function.nesting, depth)
        waiting += [(child, function, depth) for child in reversed(node.children)]
    lines = text.splitlines()
    blank = sum(1 for line in lines if not line.strip())
    code = {i for i, line in enumerate(lines) if line.strip()}
    functions.sort(key=lambda f: f.line)
    return {
        "lines": len(lines),
        "blank_lines": blank,
        "comment_lines": len(commented & code),
        "code_lines": len(lines) - blank - len(_whole_comments(lines, commented)),
        "functions": [vars(function) for function in functions],
        "errors": errors,
    }


def _whole_comments(lines: list[str], commented: set[int]) -> set[int]:
    """Commented lines that hold nothing else, by how they begin."""
    begins = ("//", "/*", "*")
    return {i for i in commented if i < len(lines) and lines[i].strip().startswith(begins)}


def _error(node: Node) -> dict[str, Any]:
    row, column = node.start_point
    what = f"{node.type!r} is missing" if node.is_missing else "this cannot be parsed"
    return {"line": row + 1, "column": column + 1, "message": what}


def _decides(node: Node, grammar: Grammar) -> bool:
    if node.type in _CHOICES:
        return node.parent is not None and node.parent.type == "binary_expression"
    if node.type not in grammar.decisions or not node.is_named:
        return False
    first = node.children[0].type if node.children else ""
    if node.type in {"switch_label", "case_statement", "switch_case"}:
        return first != "default"
    if node.type == "match_arm":
        pattern = node.child_by_field_name("pattern")
        return pattern is None or pattern.text != b"_"
    return True


def _is_else_if(node: Node) -> bool:
    """Whether it goes on with the if before it, on the same level for who reads."""
    parent = node.parent
    if parent is None or node.type not in {"if_statement", "if_expression"}:
        return False
    return parent.type == "else_clause" or (
        parent.type == node.type and parent.child_by_field_name("alternative") == node
    )


def _opened(node: Node) -> _Open:
    return _Open(_name(node), node.start_point[0] + 1, node.end_point[0] + 1, _parameters(node))


def _name(node: Node) -> str:
    named = node.child_by_field_name("name") or _declarator(node)
    parent = node.parent
    if (
        named is None
        and parent is not None
        and parent.type
        in {
            "variable_declarator",
            "pair",
            "assignment_expression",
            "public_field_definition",
            "field_definition",
            "let_declaration",
        }
    ):
        fields = ("name", "key", "left", "property", "pattern")
        named = next((n for f in fields if (n := parent.child_by_field_name(f)) is not None), None)
    return _text(named)[:80] if named is not None else "(anonymous)"


def _declarator(node: Node) -> Node | None:
    """In C: the name inside pointers and brackets."""
    inner = node.child_by_field_name("declarator")
    while inner is not None and inner.type != "identifier":
        inner = inner.child_by_field_name("declarator")
    return inner


def _parameters(node: Node) -> int:
    if node.child_by_field_name("parameter") is not None:
        return 1
    listed = node.child_by_field_name("parameters")
    inner = node.child_by_field_name("declarator")
    while listed is None and inner is not None:
        listed = inner.child_by_field_name("parameters")
        inner = inner.child_by_field_name("declarator")
    if listed is None:
        return 0
    if listed.type == "identifier":
        return 1
    return sum(_names_in(child) for child in listed.named_children)


def _names_in(parameter: Node) -> int:
    if parameter.type in _COMMENTS or parameter.type in {"self_parameter", "receiver_parameter"}:
        return 0
    if parameter.type == "parameter_declaration":
        if _text(parameter) == "void":
            return 0
        # In Go, `a, b int` declares two.
        names = sum(1 for _ in _fields(parameter, "name"))
        return max(1, names)
    return 1


def _fields(node: Node, name: str) -> Iterator[Node]:
    yield from node.children_by_field_name(name)


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
