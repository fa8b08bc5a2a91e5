"""Changes inside of one expression: operators, bounds, arguments, names, constants, conditions.

Each yields edits with a cost: what people get wrong often and what changes little is cheap.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from services.agents.code.patching.patch import Edit
from services.agents.code.patching.source import Source, is_own_attribute, own_nodes

_COMPARED: dict[type[ast.cmpop], tuple[tuple[str, float], ...]] = {
    ast.Lt: (("<=", 1.0), (">", 1.4), (">=", 1.6), ("!=", 2.0), ("==", 2.4)),
    ast.LtE: (("<", 1.0), (">=", 1.4), (">", 1.6), ("==", 2.4), ("!=", 2.4)),
    ast.Gt: ((">=", 1.0), ("<", 1.4), ("<=", 1.6), ("!=", 2.0), ("==", 2.4)),
    ast.GtE: ((">", 1.0), ("<=", 1.4), ("<", 1.6), ("==", 2.4), ("!=", 2.4)),
    ast.Eq: (("!=", 1.2), ("<=", 1.8), (">=", 1.8), ("<", 2.2), (">", 2.2), ("is", 3.0), ("in", 3.0)),
    ast.NotEq: (("==", 1.2), ("<", 1.8), (">", 1.8), ("<=", 2.2), (">=", 2.2), ("is not", 3.0)),
    ast.Is: (("is not", 1.2), ("==", 1.6)),
    ast.IsNot: (("is", 1.2), ("!=", 1.6)),
    ast.In: (("not in", 1.2), ("==", 2.4)),
    ast.NotIn: (("in", 1.2), ("!=", 2.4)),
}
_COMPUTED: dict[type[ast.operator], tuple[tuple[str, float], ...]] = {
    ast.Add: (("-", 1.2), ("*", 1.8), ("//", 2.6), ("%", 2.8), ("|", 3.0)),
    ast.Sub: (("+", 1.2), ("*", 2.2), ("//", 2.6), ("%", 2.6), ("^", 3.2)),
    ast.Mult: (("+", 1.6), ("**", 1.8), ("//", 1.8), ("/", 2.0), ("-", 2.2), ("%", 2.4)),
    ast.Div: (("//", 1.0), ("*", 1.4), ("%", 1.8), ("-", 2.4)),
    ast.FloorDiv: (("/", 1.0), ("%", 1.4), ("*", 1.6), (">>", 2.4), ("-", 2.4)),
    ast.Mod: (("//", 1.2), ("/", 1.8), ("*", 2.2), ("+", 2.4), ("-", 2.4)),
    ast.Pow: (("*", 1.2), ("+", 2.4), ("//", 2.6)),
    ast.BitAnd: (("|", 1.2), ("^", 1.4), ("&~", 2.4), (">>", 2.8)),
    ast.BitOr: (("&", 1.2), ("^", 1.4), ("-", 2.4)),
    ast.BitXor: (("&", 1.2), ("|", 1.4), ("**", 2.0)),
    ast.LShift: ((">>", 1.2), ("*", 2.0)),
    ast.RShift: (("<<", 1.2), ("//", 2.0)),
}
_TOKENS = re.compile(r"not\s+in|is\s+not|<=|>=|==|!=|<<|>>|//|\*\*|in|is|[<>+\-*/%&|^@]")
# Functions and methods that are taken for each other.
_ALIKE = (
    ("min", "max"),
    ("any", "all"),
    ("sum", "len", "max"),
    ("append", "extend"),
    ("append", "add"),
    ("append", "appendleft"),
    ("pop", "popleft"),
    ("append", "insert"),
    ("keys", "values", "items"),
    ("lower", "upper"),
    ("strip", "lstrip", "rstrip"),
    ("startswith", "endswith"),
    ("find", "rfind", "index"),
    ("sorted", "reversed", "list"),
    ("set", "list", "tuple", "sorted"),
    ("int", "float", "round", "str"),
    ("union", "intersection", "difference"),
    ("add", "discard", "remove"),
    ("isdigit", "isalpha", "isalnum"),
    ("floor", "ceil"),
    ("heappush", "heappushpop"),
    ("bisect_left", "bisect_right"),
)
_WRAPPERS = (
    "len",
    "abs",
    "list",
    "sorted",
    "reversed",
    "set",
    "int",
    "str",
    "sum",
    "max",
    "min",
    "tuple",
    "bool",
)
_MAX_HARVEST = 60


@dataclass(frozen=True)
class Change:
    """Edits of one place, the kind of change, and its cost."""

    edits: tuple[Edit, ...]
    operator: str
    cost: float


@dataclass(frozen=True)
class Context:
    """What an operator may draw on.

    literals: constants that the tests name, most frequent first.
    """

    source: Source
    literals: Sequence[str] = field(default=())


Operator = Callable[[Context, ast.stmt], Iterator[Change]]


def fitting(source: Source, node: ast.AST, new: str) -> str:
    """The text with parentheses when its new place needs them."""
    parent = source.parents.get(node)
    loose = isinstance(parent, ast.stmt | ast.List | ast.Tuple | ast.keyword | ast.Slice) or (
        (isinstance(parent, ast.Call) and node is not parent.func)
        or (isinstance(parent, ast.Subscript) and node is parent.slice)
    )
    if isinstance(parent, ast.For | ast.comprehension) or loose or _is_closed(new):
        return new
    return f"({new})"


def _is_closed(text: str) -> bool:
    """Whether a text is an operand whatever stands beside it."""
    if re.fullmatch(r"[\w.]+", text):
        return True
    try:
        node = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return False
    closed = (ast.Name, ast.Call, ast.Subscript, ast.Attribute, ast.List, ast.Dict, ast.Set, ast.Constant)
    return isinstance(node, closed) or (isinstance(node, ast.Tuple) and text.startswith("("))


def _put(source: Source, node: ast.AST, new: str, operator: str, cost: float) -> Change:
    return Change((Edit(*source.span(node), fitting(source, node, new)),), operator, cost)


def _between(
    source: Source, left: ast.AST, right: ast.AST, token: str, *, operator: str, cost: float
) -> Iterator[Change]:
    start, end = source.span(left)[1], source.span(right)[0]
    found = _TOKENS.search(source.text, start, end)
    if found is not None:
        yield Change((Edit(found.start(), found.end(), token),), operator, cost)


def comparisons(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """Another comparison."""
    source = context.source
    for node in own_nodes(statement):
        if not isinstance(node, ast.Compare):
            continue
        sides = [node.left, *node.comparators]
        for place, kind in enumerate(node.ops):
            for token, cost in _COMPARED.get(type(kind), ()):
                yield from _between(
                    source, sides[place], sides[place + 1], token, operator="comparison", cost=cost
                )
        if len(node.ops) == 2:
            first = source.text[source.span(sides[0])[0] : source.span(sides[1])[1]]
            second = source.text[source.span(sides[1])[0] : source.span(sides[2])[1]]
            yield _put(source, node, first, "comparison", 2.2)
            yield _put(source, node, second, "comparison", 2.2)


def arithmetic(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """Another arithmetic operator, the operands exchanged, or one of them alone."""
    source = context.source
    for node in own_nodes(statement):
        if isinstance(node, ast.BinOp):
            for token, cost in _COMPUTED.get(type(node.op), ()):
                yield from _between(source, node.left, node.right, token, operator="arithmetic", cost=cost)
            left, right = source.of(node.left), source.of(node.right)
            step = isinstance(node.right, ast.Constant)
            yield _put(source, node, left, "operand", 1.5 if step else 2.2)
            yield _put(source, node, right, "operand", 2.4)
            if not isinstance(node.op, ast.Mult | ast.BitAnd | ast.BitOr | ast.BitXor):
                yield Change(
                    (Edit(*source.span(node.left), right), Edit(*source.span(node.right), left)),
                    "operands exchanged",
                    1.8,
                )
        elif isinstance(node, ast.UnaryOp):
            yield _put(source, node, source.of(node.operand), "sign or not", 1.5)
    if isinstance(statement, ast.AugAssign):
        for token, cost in _COMPUTED.get(type(statement.op), ()):
            start, end = source.span(statement.target)[1], source.span(statement.value)[0]
            found = re.compile(r"[^\s\w=]+=").search(source.text, start, end)
            if found is not None:
                yield Change((Edit(found.start(), found.end(), f"{token}="),), "arithmetic", cost)
                if cost < 1.5:
                    yield Change((Edit(found.start(), found.end(), "="),), "assignment", 1.6)


def conditions(context: Context, statement: ast.stmt) -> Iterator[Change]:  # noqa: PLR0912 - a case for each form
    """and for or, a part of a condition less, the opposite."""
    source = context.source
    for node in own_nodes(statement):
        if isinstance(node, ast.BoolOp):
            word = "or" if isinstance(node.op, ast.And) else "and"
            gaps = [
                (source.span(left)[1], source.span(right)[0])
                for left, right in itertools.pairwise(node.values)
            ]
            edits = []
            for start, end in gaps:
                found = re.compile(r"\b(?:and|or)\b").search(source.text, start, end)
                if found is not None:
                    edits.append(Edit(found.start(), found.end(), word))
            if edits:
                yield Change(tuple(edits), "and, or", 1.4)
            for place in range(len(node.values)):
                start = (
                    source.span(node.values[place])[0]
                    if place == 0
                    else source.span(node.values[place - 1])[1]
                )
                end = source.span(node.values[1])[0] if place == 0 else source.span(node.values[place])[1]
                yield Change((Edit(start, end, ""),), "part of a condition", 1.9)
                yield _put(source, node.values[place], _opposite(source, node.values[place]), "opposite", 2.2)
    test = getattr(statement, "test", None)
    if isinstance(statement, ast.If | ast.While) and isinstance(test, ast.expr):
        yield _put(source, test, _opposite(source, test), "opposite", 1.5)
        yield _put(source, test, "True", "condition", 3.0)
        if isinstance(statement, ast.If):
            yield _put(source, test, "False", "condition", 3.4)
        for extra, cost in _possible_conditions(context, statement):
            text = source.of(test)
            if extra in text:
                continue
            yield _put(
                source, test, f"{_operand(test, text, ast.Or)} and {extra}", "one more condition", cost
            )
            yield _put(
                source, test, f"{_operand(test, text, ast.And)} or {extra}", "one more condition", cost
            )
            yield _put(
                source, test, f"{extra} and {_operand(test, text, ast.Or)}", "one more condition", cost + 0.2
            )
            yield _put(
                source, test, f"{extra} or {_operand(test, text, ast.And)}", "one more condition", cost + 0.2
            )
            yield _put(source, test, extra, "condition", cost + 0.4)
    for node in own_nodes(statement):
        if isinstance(node, ast.IfExp):
            yield Change(
                (
                    Edit(*source.span(node.body), source.of(node.orelse)),
                    Edit(*source.span(node.orelse), source.of(node.body)),
                ),
                "opposite",
                1.6,
            )
            yield _put(source, node, source.of(node.body), "operand", 2.4)
            yield _put(source, node, source.of(node.orelse), "operand", 2.4)
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            for part in node.generators:
                for test in part.ifs:
                    yield _put(source, test, _opposite(source, test), "opposite", 1.8)


def _operand(node: ast.expr, text: str, weaker: type[ast.boolop]) -> str:
    """A condition beside an operator; one that binds more weakly gets parentheses."""
    loose = (isinstance(node, ast.BoolOp) and isinstance(node.op, weaker)) or isinstance(node, ast.IfExp)
    return f"({text})" if loose else text


def _opposite(source: Source, node: ast.expr) -> str:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return source.of(node.operand)
    text = source.of(node)
    return f"not {text}" if _is_closed(text) else f"not ({text})"


def _possible_conditions(context: Context, statement: ast.stmt) -> Iterator[tuple[str, float]]:
    """Conditions over variables at hand: those of the same function first."""
    source = context.source
    function = source.function(statement)
    here = function if function is not None else source.tree
    seen: set[str] = set()
    for node in ast.walk(here):
        if isinstance(node, ast.Compare) and len(seen) < _MAX_HARVEST:
            text = source.of(node)
            if text not in seen and "\n" not in text:
                seen.add(text)
                yield text, 2.7
    names = [name for name in source.names(statement)[:9] if not name.isupper()]
    for name in names:
        yield name, 2.9
        yield f"not {name}", 2.9
        yield f"{name} is None", 3.2
        yield f"{name} is not None", 3.2
        for value in ("0", "1"):
            for token in ("==", ">", "!=", "<"):
                yield f"{name} {token} {value}", 3.3
    for first, second in itertools.permutations(names[:7], 2):
        for token in ("<", "<=", "=="):
            yield f"{first} {token} {second}", 3.4
        yield f"{first} not in {second}", 3.4
        yield f"{first} in {second}", 3.4
        yield f"{first} < len({second})", 3.4


def constants(context: Context, statement: ast.stmt) -> Iterator[Change]:  # noqa: PLR0912 - a case for each form
    """Another constant: one more, one less, the opposite, or one that the tests name."""
    source = context.source
    for node in own_nodes(statement):
        if not isinstance(node, ast.Constant) or isinstance(source.parents.get(node), ast.JoinedStr):
            if isinstance(node, ast.List | ast.Set | ast.Dict | ast.Tuple) and _is_small(node):
                for new in ("[]", "[[]]", "{}", "set()", "()", "[0]", "None", '""'):
                    if new != source.of(node):
                        yield _put(source, node, new, "empty value", 2.4)
                for name in source.names(statement)[:6]:
                    yield _put(source, node, f"[{name}]", "first value", 2.6)
                    yield _put(source, node, f"{{{name}}}", "first value", 2.8)
                    yield _put(source, node, name, "first value", 2.8)
            continue
        value = node.value
        if isinstance(value, bool):
            yield _put(source, node, str(not value), "constant", 1.2)
        elif isinstance(value, int):
            yield _put(source, node, str(value + 1), "constant", 1.2)
            yield _put(source, node, str(value - 1), "constant", 1.2)
            for new in (
                "0",
                "1",
                "2",
                "-1",
                'float("inf")',
                '-float("inf")',
                "None",
                "[]",
                '""',
                "True",
                "False",
            ):
                if new != str(value):
                    yield _put(source, node, new, "constant", 2.2)
        elif value is None:
            for new in ("0", "[]", "False", "True", "-1", '""', "{}"):
                yield _put(source, node, new, "constant", 2.2)
        elif isinstance(value, str):
            for other in _strings(source):
                if other != source.of(node):
                    yield _put(source, node, other, "constant", 2.6)
        for literal in context.literals[:8]:
            if literal != source.of(node):
                yield _put(source, node, literal, "constant", 2.8)


def _is_small(node: ast.expr) -> bool:
    return sum(1 for _ in ast.walk(node)) <= 4


def _strings(source: Source) -> list[str]:
    found = {
        source.of(node)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) <= 12
    }
    return sorted({*found, '""'})[:20]


def steps(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """One more or one less: indices, bounds, compared values, arguments, results."""
    source = context.source
    for node in own_nodes(statement):
        if not isinstance(node, ast.Name | ast.Call | ast.Subscript | ast.BinOp | ast.Attribute):
            continue
        if isinstance(getattr(node, "ctx", None), ast.Store):
            continue
        cost = _step_cost(source, node)
        if cost is None:
            continue
        text = source.of(node)
        if isinstance(node, ast.BinOp) and not isinstance(
            node.op, ast.Add | ast.Sub | ast.Mult | ast.FloorDiv | ast.Div
        ):
            text = f"({text})"
        yield _put(source, node, f"{text} + 1", "one more or less", cost)
        yield _put(source, node, f"{text} - 1", "one more or less", cost)


def _step_cost(source: Source, node: ast.expr) -> float | None:
    parent = source.parents.get(node)
    if isinstance(parent, ast.Call):
        if node is parent.func:
            return None
        name = parent.func.id if isinstance(parent.func, ast.Name) else ""
        if name == "range":
            return 1.4
        return 2.0 if name in source.functions else 2.4
    if isinstance(parent, ast.Slice):
        return 1.6
    if isinstance(parent, ast.Subscript):
        return 1.6 if node is parent.slice else None
    if isinstance(parent, ast.Compare):
        return (
            None if any(isinstance(op, ast.In | ast.NotIn | ast.Is | ast.IsNot) for op in parent.ops) else 1.8
        )
    if isinstance(parent, ast.Return | ast.AugAssign):
        return 1.9
    if isinstance(parent, ast.Assign):
        return 2.1
    if isinstance(parent, ast.BinOp):
        return 2.3
    if isinstance(parent, ast.Tuple | ast.IfExp | ast.keyword):
        return 2.5
    return None


def names(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """Another variable."""
    source = context.source
    used = {node.id for node in own_nodes(statement) if isinstance(node, ast.Name)}
    for node in own_nodes(statement):
        stored = isinstance(getattr(node, "ctx", None), ast.Store)
        plain = isinstance(node, ast.Name) or is_own_attribute(node)
        parent = source.parents.get(node)
        if not plain or (isinstance(parent, ast.Call) and node is parent.func):
            continue
        text = source.of(node)
        for place, other in enumerate(source.names(statement)[:16]):
            if other == text or (stored and other.isupper()):
                continue
            near = -0.2 if other in used else 0.0
            yield _put(source, node, other, "variable", 1.9 + near + 0.03 * place + (0.8 if stored else 0.0))


def calls(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """Arguments exchanged or replaced, a call less or more, another function of the same kind."""
    source = context.source
    for node in own_nodes(statement):
        if isinstance(node, ast.Call):
            yield from _call(context, node)
        text = source.of(node) if not isinstance(node, ast.Starred | ast.Slice) else ""
        if not text or isinstance(getattr(node, "ctx", None), ast.Store) or len(text) > 60:
            continue
        parent = source.parents.get(node)
        if isinstance(parent, ast.Call) and node is parent.func:
            continue
        if isinstance(node, ast.Name | ast.Subscript | ast.Attribute | ast.Call | ast.BinOp):
            for name in dict.fromkeys([*source.called[:6], *_WRAPPERS]):
                known = name in source.called
                if not text.startswith(f"{name}("):
                    yield _put(source, node, f"{name}({text})", "one more call", 2.5 if known else 3.1)


def _call(context: Context, node: ast.Call) -> Iterator[Change]:  # noqa: PLR0912 - a case for each form
    source = context.source
    own = isinstance(node.func, ast.Name) and node.func.id in source.functions
    for first, second in itertools.combinations(node.args, 2):
        yield Change(
            (
                Edit(*source.span(first), source.of(second)),
                Edit(*source.span(second), source.of(first)),
            ),
            "arguments exchanged",
            1.5,
        )
    if (
        len(node.args) == 1
        and not node.keywords
        and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp)
    ):
        yield _put(source, node, source.of(node.args[0]), "one call less", 2.1)
    if isinstance(node.func, ast.Attribute):
        yield _put(source, node, source.of(node.func.value), "one call less", 2.3)
    name = node.func.attr if isinstance(node.func, ast.Attribute) else source.of(node.func)
    end = source.span(node.func)[1]
    for group in _ALIKE:
        if name in group:
            for other in group:
                if other != name:
                    yield Change((Edit(end - len(name), end, other),), "another function", 1.6)
    if isinstance(node.func, ast.Name):
        for other in source.functions:
            if other != name and not other.startswith("__"):
                yield Change((Edit(end - len(name), end, other),), "another function", 2.4)
    close = source.span(node)[1] - 1
    if name == "pop" and not node.args:
        yield Change((Edit(close, close, "0"),), "argument", 1.8)
    if name == "pop" and node.args:
        yield Change((Edit(end + 1, close, ""),), "argument", 1.8)
    if name in {"range", "enumerate"} and node.args:
        start = source.span(node.args[0])[0]
        if name == "range" and len(node.args) == 1:
            for low in ("1", "2", "-1", *source.names(node)[:4]):
                yield Change((Edit(start, start, f"{low}, "),), "bound", 1.8 if low == "1" else 2.4)
        elif name == "range":
            yield Change((Edit(start, source.span(node.args[1])[0], ""),), "bound", 2.0)
            if len(node.args) == 2:
                yield Change((Edit(close, close, ", -1"),), "bound", 2.6)
                yield Change((Edit(close, close, ", 2"),), "bound", 2.8)
        if name == "enumerate" and len(node.args) == 1:
            yield Change((Edit(close, close, ", 1"),), "bound", 1.8)
    if own and isinstance(node.func, ast.Name):
        yield from _own_call(context, node, source.functions[node.func.id])


def _own_call(
    context: Context, node: ast.Call, function: ast.FunctionDef | ast.AsyncFunctionDef
) -> Iterator[Change]:
    """A call of a function of this file: each argument may be something else, one may be missing."""
    source = context.source
    parameters = source.parameters(function)
    for argument in node.args:
        text = source.of(argument)
        options = [*parameters, *source.names(node)[:10]]
        for option in dict.fromkeys(options):
            for new, cost in (
                (option, 1.8),
                (f"{option} - 1", 2.2),
                (f"{option} + 1", 2.2),
                (f"{option}[1:]", 2.5),
                (f"{option}[:-1]", 2.8),
                (f"{option} // 2", 2.9),
            ):
                if new != text:
                    yield _put(source, argument, new, "argument", cost)
        for option in source.names(node)[:8]:
            if option != text:
                for sign, cost in (("-", 2.5), ("+", 2.5), ("%", 2.6), ("//", 2.8), ("*", 2.9)):
                    yield _put(source, argument, f"{text} {sign} {option}", "argument", cost)
                    yield _put(source, argument, f"{option} {sign} {text}", "argument", cost + 0.2)
    if len(node.args) < len(parameters) and not node.keywords:
        close = source.span(node)[1] - 1
        for option in source.names(node)[:10]:
            yield Change((Edit(close, close, f", {option}" if node.args else option),), "argument", 2.0)


def subscripts(context: Context, statement: ast.stmt) -> Iterator[Change]:  # noqa: PLR0912 - a case for each form
    """Indices exchanged, bounds of slices that are missing or too many."""
    source = context.source
    for node in own_nodes(statement):
        if not isinstance(node, ast.Subscript):
            continue
        if isinstance(node.value, ast.Subscript):
            outer, inner = node.value.slice, node.slice
            yield Change(
                (Edit(*source.span(outer), source.of(inner)), Edit(*source.span(inner), source.of(outer))),
                "indices exchanged",
                1.6,
            )
        index = node.slice
        if not isinstance(index, ast.Slice):
            text = source.of(index)
            for new, cost in (
                ("-1", 2.2),
                ("0", 2.2),
                (f"-{text}", 2.8),
                (f"{text}:", 3.0),
                (f":{text}", 3.0),
            ):
                if new != text and _is_closed(text):
                    yield Change((Edit(*source.span(index), new),), "index", cost)
            if isinstance(node.ctx, ast.Load):
                yield _put(source, node, f"{source.of(node.value)}.get({text}, 0)", "index", 2.6)
                yield _put(source, node, source.of(node.value), "index", 2.6)
            continue
        if index.lower is not None:
            yield Change((Edit(*source.span(index.lower), ""),), "bound", 1.9)
        if index.upper is not None:
            yield Change((Edit(*source.span(index.upper), ""),), "bound", 1.9)
        start, end = source.span(index)
        gap = source.text.find(":", source.span(index.lower)[1] if index.lower is not None else start, end)
        if gap < 0:
            continue
        for option in [*source.names(node)[:10], "1", "-1"]:
            for new, cost in ((option, 2.3), (f"{option} + 1", 2.5), (f"{option} - 1", 2.6)):
                if index.lower is None:
                    yield Change((Edit(start, start, new),), "bound", cost)
                if index.upper is None:
                    yield Change((Edit(gap + 1, gap + 1, new),), "bound", cost)
        if index.step is None:
            yield Change((Edit(end, end, ":-1"),), "bound", 2.8)


def harvested(context: Context, statement: ast.stmt) -> Iterator[Change]:  # noqa: PLR0912 - a case for each form
    """An expression gives way to another one of the same function, or grows by one."""
    source = context.source
    function = source.function(statement)
    if function is None:
        return
    pool: dict[str, None] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Subscript | ast.BinOp | ast.Call | ast.Attribute | ast.Compare):
            text = source.of(node)
            stored = isinstance(getattr(node, "ctx", None), ast.Store)
            if not stored and "\n" not in text and len(text) <= 50:
                pool.setdefault(text)
    variables = source.names(statement)[:8]
    for node in own_nodes(statement):
        if isinstance(getattr(node, "ctx", None), ast.Store) or isinstance(node, ast.Slice | ast.Starred):
            continue
        parent = source.parents.get(node)
        if isinstance(parent, ast.Call) and node is parent.func:
            continue
        text = source.of(node)
        for other in list(pool)[:_MAX_HARVEST]:
            if other != text:
                yield _put(source, node, other, "expression of the same function", 2.9)
        if isinstance(node, ast.Compare | ast.BoolOp) or len(text) > 40:
            continue
        inner = f"({text})" if not _is_closed(text) and not isinstance(node, ast.BinOp) else text
        for name in [*variables, "2"]:
            if name != text:
                for sign, cost in (("+", 2.8), ("-", 2.9), ("*", 3.1), ("%", 3.2), ("//", 3.2)):
                    operand = f"({inner})" if isinstance(node, ast.BinOp) and sign in "*%//" else inner
                    yield _put(source, node, f"{operand} {sign} {name}", "one more operand", cost)
                yield _put(source, node, f"{name} - {inner}", "one more operand", 3.2)
                yield _put(source, node, f"{name} + {inner}", "one more operand", 3.2)
        for name in variables[:6]:
            if name != text:
                yield _put(source, node, f"max({text}, {name})", "one more call", 3.2)
                yield _put(source, node, f"min({text}, {name})", "one more call", 3.2)
                yield _put(source, node, f"{name}[{text}]", "one more index", 3.0)
                yield _put(source, node, f"{text}[{name}]", "one more index", 3.2)
        for new in (f"[{text}]", f"{text}[0]", f"{text}[-1]", f"{text}[1:]", f"max({text}, 0)", f"-{inner}"):
            yield _put(source, node, new, "one more index", 3.1)


OPERATORS: tuple[Operator, ...] = (
    comparisons,
    arithmetic,
    conditions,
    constants,
    steps,
    names,
    calls,
    subscripts,
    harvested,
)
