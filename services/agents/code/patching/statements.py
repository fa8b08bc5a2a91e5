"""Changes of whole statements: guards, missing lines, lines too many, order, depth, jumps, results."""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from collections.abc import Iterator

from services.agents.code.patching.expressions import Change, Context, Operator
from services.agents.code.patching.patch import Edit
from services.agents.code.patching.source import Source, is_text, own_nodes

_JUMPS = (ast.Return, ast.Continue, ast.Break, ast.Raise)
_RESULTS = ("None", "0", "1", "-1", "[]", "True", "False", '""', "[[]]", "{}", "()", "set()")
_MAX_RESULTS = 14
_MAX_INSERTED = 40


def assignments(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """= for +=, another target, the parts of a pair exchanged."""
    source = context.source
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, value = statement.targets[0], statement.value
        start, end = source.span(target)[1], source.span(value)[0]
        if isinstance(target, ast.Name | ast.Subscript | ast.Attribute):
            for token, cost in (("+=", 1.5), ("-=", 1.8), ("*=", 2.2), ("|=", 2.6)):
                yield Change((Edit(start, end, f" {token} "),), "assignment", cost)
            name = source.of(target)
            for call in ("max", "min"):
                yield Change(
                    (Edit(*source.span(value), f"{call}({name}, {source.of(value)})"),), "one more call", 2.2
                )
        if isinstance(value, ast.Tuple) and isinstance(target, ast.Tuple) and len(value.elts) == 2:
            yield _exchanged(source, value.elts)
            yield _exchanged(source, target.elts)
            yield from _in_two_steps(source, statement, target, value)
    for node in ast.walk(statement) if not hasattr(statement, "body") else ():
        if (
            isinstance(node, ast.Tuple | ast.List)
            and len(node.elts) in (2, 3)
            and isinstance(node.ctx, ast.Load)
        ):
            for pair in itertools.combinations(node.elts, 2):
                yield _exchanged(source, list(pair))


def _exchanged(source: Source, pair: list[ast.expr]) -> Change:
    first, second = pair[0], pair[1]
    return Change(
        (Edit(*source.span(first), source.of(second)), Edit(*source.span(second), source.of(first))),
        "pair exchanged",
        1.6,
    )


def _in_two_steps(
    source: Source, statement: ast.Assign, target: ast.Tuple, value: ast.Tuple
) -> Iterator[Change]:
    """a, b = x, y as a = x and b = y, for one that is meant to see the other's new value."""
    if len(target.elts) == 2 and source.alone(statement):
        lines = [f"{source.of(t)} = {source.of(v)}" for t, v in zip(target.elts, value.elts, strict=True)]
        for order in (lines, lines[::-1]):
            new = f"\n{source.indent(statement)}".join(order)
            yield Change((Edit(*source.span(statement), new),), "order", 2.6)


def jumps(context: Context, statement: ast.stmt) -> Iterator[Change]:  # noqa: PLR0912 - a case for each form
    """break for continue, yield from for yield, if for while, a result for a value that is dropped."""
    source = context.source
    start, end = source.span(statement)
    inside = source.loop(statement) is not None
    if isinstance(statement, ast.Break):
        yield Change((Edit(start, end, "continue"),), "jump", 1.4)
        yield Change((Edit(start, end, "pass"),), "jump", 2.4)
    if isinstance(statement, ast.Continue):
        yield Change((Edit(start, end, "break"),), "jump", 1.4)
        yield Change((Edit(start, end, "pass"),), "jump", 2.4)
    if isinstance(statement, ast.Expr):
        value = statement.value
        if isinstance(value, ast.YieldFrom):
            yield Change((Edit(start, end, f"yield {source.of(value.value)}"),), "yield", 1.4)
        elif isinstance(value, ast.Yield) and value.value is not None:
            yield Change((Edit(start, end, f"yield from {source.of(value.value)}"),), "yield", 1.4)
        elif isinstance(value, ast.Call):
            yield Change((Edit(start, start, "return "),), "result", 1.6)
            yield Change((Edit(start, start, "yield from "),), "yield", 2.4)
            for name in source.names(statement)[:8]:
                yield Change((Edit(start, start, f"{name} = "),), "assignment", 2.4)
                yield Change((Edit(start, start, f"{name} += "),), "assignment", 2.6)
    if isinstance(statement, ast.Return) and statement.value is not None:
        yield Change((Edit(start, start + len("return"), "yield"),), "yield", 2.6)
        if inside:
            yield Change((Edit(start, end, "continue"),), "jump", 2.6)
            yield Change((Edit(start, end, "break"),), "jump", 2.6)
    if isinstance(statement, ast.If):
        word = source.text[start : start + 4]
        if word == "elif":
            yield Change((Edit(start, start + 4, "if"),), "branch", 2.2)
        elif not statement.orelse:
            yield Change((Edit(start, start + 2, "while"),), "loop", 1.8)
            before = source.siblings(statement)
            place = before.index(statement) if statement in before else 0
            if place and isinstance(before[place - 1], ast.If):
                yield Change((Edit(start, start + 2, "elif"),), "branch", 2.0)
        yield from _branches(source, statement)
    if isinstance(statement, ast.While):
        if not statement.orelse:
            yield Change((Edit(start, start + 5, "if"),), "loop", 2.2)
        yield Change((Edit(*source.span(statement.test), "True"),), "condition", 2.6)


def _branches(source: Source, statement: ast.If) -> Iterator[Change]:
    """What stands below if stands below else."""
    if not statement.orelse:
        return
    second = statement.orelse[0]
    if isinstance(second, ast.If) and source.text[source.span(second)[0] :].startswith("elif"):
        return
    body = (source.block(statement.body[0])[0], source.block(statement.body[-1])[1])
    other = (source.block(statement.orelse[0])[0], source.block(statement.orelse[-1])[1])
    if statement.body[0].lineno > statement.lineno and source.text[: other[0]].endswith("\n"):
        yield Change(
            (
                Edit(*body, source.text[other[0] : other[1]]),
                Edit(*other, source.text[body[0] : body[1]]),
            ),
            "branches exchanged",
            1.9,
        )


def results(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """Another result."""
    source = context.source
    if not isinstance(statement, ast.Return):
        return
    known = source.of(statement.value) if statement.value is not None else ""
    start, end = source.span(statement)
    for place, option in enumerate(_results(context, statement)):
        if option != known:
            yield Change((Edit(start, end, f"return {option}"),), "result", 2.2 + 0.03 * place)
    if known:
        for name in source.names(statement)[:8]:
            for new in (f"{known} + {name}", f"{name} + {known}", f"({known}, {name})", f"{known} or {name}"):
                yield Change((Edit(start, end, f"return {new}"),), "result", 2.7)
        for one, two in itertools.permutations(source.names(statement)[:7], 2):
            for new in (
                f"{one}[:{two}]",
                f"{one}[{two}]",
                f"{one}[{two}:]",
                f"{one} + {two}",
                f"{one} - {two}",
            ):
                yield Change((Edit(start, end, f"return {new}"),), "result", 2.9)
        for name in source.names(statement)[:7]:
            for new in (
                f"{name}[-1]",
                f"{name}[0]",
                f"len({name})",
                f"{name}[1:]",
                f"{name}[:-1]",
                f"max({name})",
            ):
                yield Change((Edit(start, end, f"return {new}"),), "result", 2.8)
        for new in (
            f"list({known})",
            f"{known}[::-1]",
            f"tuple({known})",
            f"not {known}",
            f"sorted({known})",
        ):
            yield Change((Edit(start, end, f"return {new}"),), "result", 2.7)


def _results(context: Context, statement: ast.stmt) -> list[str]:
    """What the function might give back there."""
    source = context.source
    function = source.function(statement)
    found: dict[str, None] = {}
    if function is not None:
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None:
                text = source.of(node.value)
                if len(text) <= 40 and "\n" not in text:
                    found.setdefault(text)
        for name in source.parameters(function):
            found.setdefault(name)
    for literal in (*context.literals[:6], *_RESULTS):
        found.setdefault(literal)
    for name in source.names(statement)[:10]:
        found.setdefault(name)
    return list(found)[: _MAX_RESULTS + 14]


def guards(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """A special case before the statement: leaves the function, or goes on with the loop."""
    source = context.source
    function = source.function(statement)
    if function is None or not source.alone(statement):
        return
    first = next((node for node in function.body if not is_text(node)), None)
    entry = statement is first
    indent = source.indent(statement)
    start = source.block(statement)[0]
    parameters = source.parameters(function)
    # A base case that gives several values back is built from the parameters.
    bases = {form for name in parameters for form in (f"not {name}", f"{name} == 0", f"{name} is None")}
    answers = _results(context, statement)[: _MAX_RESULTS if entry else _MAX_RESULTS // 3]
    for condition, cost in _special_cases(source, statement, entry):
        several = _tuples(function, parameters) if entry and condition in bases else []
        for place, answer in enumerate([*answers, *several]):
            text = f"{indent}if {condition}:\n{indent}    return {answer}\n"
            yield Change((Edit(start, start, text),), "guard", cost + min(0.06 * place, 1.0))
        if source.loop(statement) is not None:
            for word in ("continue", "break"):
                text = f"{indent}if {condition}:\n{indent}    {word}\n"
                yield Change((Edit(start, start, text),), "guard", cost)
    if isinstance(statement, ast.Return) or source.loop(statement) is not None:
        return
    # What runs only under a condition.
    for condition, cost in itertools.islice(_special_cases(source, statement, False), 20):
        if not hasattr(statement, "body") and statement.lineno == statement.end_lineno:
            body = source.of(statement)
            text = f"if {condition}:\n{indent}    {body}"
            yield Change((Edit(*source.span(statement), text),), "guard", cost + 0.6)


def _tuples(function: ast.AST, parameters: list[str]) -> list[str]:
    """Results of as many values as the function gives back elsewhere, out of parameters and first values."""
    sizes = {
        len(node.value.elts)
        for node in ast.walk(function)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple)
    }
    parts = [*parameters[:3], "0", "1", "[]", "None"]
    return [
        f"({', '.join(chosen)})"
        for size in sorted(sizes)
        if 2 <= size <= 3
        for chosen in itertools.product(parts[: 7 - size], repeat=size)
    ]


def _special_cases(source: Source, statement: ast.stmt, entry: bool) -> Iterator[tuple[str, float]]:
    function = source.function(statement)
    if function is None:
        return
    parameters = source.parameters(function)
    for name in parameters if entry else source.names(statement)[:6]:
        extra = 0.0 if entry else 0.5
        yield f"not {name}", 2.2 + extra
        yield f"{name} is None", 2.4 + extra
        for test in ("== 0", "<= 0", "< 0", "== 1", "<= 1", "> 0"):
            yield f"{name} {test}", 2.6 + extra
        for test in ("== 0", "== 1", "<= 1", "< 2") if entry else ():
            yield f"len({name}) {test}", 2.7 + extra
    for one, two in itertools.permutations((parameters if entry else source.names(statement)[:4])[:5], 2):
        for sign in ("==", ">", ">=", "in", "not in"):
            if sign == "==" and one > two:
                continue
            yield f"{one} {sign} {two}", 2.8 if entry else 3.2
            if sign in {"in", "not in"}:
                continue
            yield f"{one} {sign} len({two})", 3.1 if entry else 3.4
    seen: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Compare | ast.BoolOp) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            text = source.of(node)
            if text not in seen and "\n" not in text and len(seen) < _MAX_INSERTED:
                seen.add(text)
                yield text, 2.8
                yield f"not ({text})", 3.3


def deletions(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """A statement less, or only its head."""
    source = context.source
    if not source.alone(statement):
        return
    start, end = source.block(statement)
    others = [node for node in source.siblings(statement) if node is not statement and not is_text(node)]
    leaves = isinstance(statement, _JUMPS)
    is_elif = isinstance(statement, ast.If) and source.text[source.span(statement)[0] :].startswith("elif")
    if not is_elif:
        if others:
            yield Change((Edit(start, end, ""),), "one statement less", 2.6 if leaves else 3.0)
        else:
            yield Change((Edit(*source.span(statement), "pass"),), "one statement less", 3.2)
    if isinstance(statement, ast.If | ast.For | ast.While | ast.With) and not is_elif:
        body = source.text[source.block(statement.body[0])[0] : source.block(statement.body[-1])[1]]
        if statement.body[0].lineno > statement.lineno and not getattr(statement, "orelse", None):
            flat = textwrap.indent(textwrap.dedent(body), source.indent(statement))
            yield Change((Edit(start, end, flat),), "only the body", 3.0)


def moves(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """Neighbours exchanged; a statement before, behind, inside or outside of a block."""
    source = context.source
    if not source.alone(statement):
        return
    block = source.siblings(statement)
    place = block.index(statement)
    start, end = source.block(statement)
    text = source.text[start:end]
    flat = textwrap.dedent(text)
    if place + 1 < len(block) and source.alone(block[place + 1]):
        following = block[place + 1]
        other = source.block(following)
        between = source.text[end : other[0]]
        yield Change(
            (Edit(start, other[1], source.text[other[0] : other[1]] + between + text),), "order", 2.0
        )
        if isinstance(following, ast.For | ast.While | ast.If) and not isinstance(statement, ast.FunctionDef):
            inner = source.indent(following.body[0])
            moved = textwrap.indent(flat, inner)
            first, last = source.block(following.body[0])[0], source.block(following.body[-1])[1]
            if following.body[0].lineno > following.lineno:
                yield Change((Edit(start, end, ""), Edit(first, first, moved)), "depth", 2.4)
                yield Change((Edit(start, end, ""), Edit(last, last, moved)), "depth", 2.6)
    if place and isinstance(block[place - 1], ast.For | ast.While | ast.If):
        before = block[place - 1]
        inner = source.indent(before.body[-1])  # type: ignore[attr-defined]
        if inner != source.indent(before):
            yield Change((Edit(start, end, textwrap.indent(flat, inner)),), "depth", 2.0)
    parent = source.parents.get(statement)
    if isinstance(parent, ast.For | ast.While | ast.If) and len(block) > 1 and source.alone(parent):
        outer = textwrap.indent(flat, source.indent(parent))
        first, last = source.block(parent)
        if place == len(block) - 1:
            if last == end:
                yield Change((Edit(start, end, outer),), "depth", 2.0)
            else:
                yield Change((Edit(start, end, ""), Edit(last, last, outer)), "depth", 2.4)
        if place == 0 and not source.text[first:].lstrip().startswith("elif"):
            yield Change((Edit(first, first, outer), Edit(start, end, "")), "depth", 2.4)


def insertions(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """A statement more, before this one or behind it: like those of the function, or simple."""
    source = context.source
    function = source.function(statement)
    if function is None or not source.alone(statement):
        return
    indent = source.indent(statement)
    start, end = source.block(statement)
    behind = end if source.text[:end].endswith("\n") else None
    block = source.siblings(statement)
    last = statement is block[-1]
    for text, cost in _possible_lines(context, statement):
        line = f"{indent}{text}\n"
        yield Change((Edit(start, start, line),), "one statement more", cost)
        if last and behind is not None and not isinstance(statement, _JUMPS):
            yield Change((Edit(behind, behind, line),), "one statement more", cost)
    if isinstance(statement, ast.If) and not statement.orelse and behind is not None:
        for text, cost in itertools.islice(_possible_lines(context, statement), 60):
            line = f"{indent}else:\n{indent}    {text}\n"
            yield Change((Edit(behind, behind, line),), "another branch", cost + 0.4)


def _possible_lines(  # noqa: PLR0912 - a case for each form
    context: Context, statement: ast.stmt
) -> Iterator[tuple[str, float]]:
    source = context.source
    function = source.function(statement)
    if function is None:
        return
    seen: dict[str, None] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.Return | ast.Continue | ast.Break):
            text = source.of(node)
            if not is_text(node) and "\n" not in text and len(seen) < _MAX_INSERTED and text not in seen:
                seen[text] = None
                yield text, 2.7
    if source.loop(statement) is not None:
        yield "break", 2.7
        yield "continue", 2.7
    names = [name for name in source.names(statement)[:9] if not name.isupper()]
    uses = _uses(function)
    for name in names:
        numeric = name in uses["number"]
        for text in (f"{name} += 1", f"{name} -= 1"):
            yield text, 2.4 if numeric else 3.2
        yield f"return {name}", 2.8
        for value in ("0", "1", "[]", "None", "True", "False", '""'):
            yield f"{name} = {value}", 3.1
    for one, two in itertools.permutations(names, 2):
        if one in uses["list"]:
            yield f"{one}.append({two})", 2.5
            yield f"{one}.extend({two})", 2.9
            yield f"{one}.append({two}[:])", 3.3
        if one in uses["set"]:
            yield f"{one}.add({two})", 2.5
        yield f"{one} = {two}", 2.7
        if one in uses["number"]:
            yield f"{one} += {two}", 2.8
            yield f"{one} -= {two}", 3.0
        if one in uses["indexed"]:
            yield f"{one}[{two}] = True", 3.2
            for three in names[:6]:
                if three not in {one, two}:
                    yield f"{one}[{two}] = {three}", 3.0
        yield f"{one} = {one}.{two}", 3.3
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id} = {source.of(node)}", 2.7
    for name in names:
        if name in uses["list"]:
            yield f"{name}.pop()", 2.8
            yield f"{name}.sort()", 3.0
    literal = context.literals[:3]
    for value in literal:
        yield f"return {value}", 2.9


def _uses(function: ast.AST) -> dict[str, set[str]]:
    """What the function treats as a number, a list, a set, or something with an index."""
    uses: dict[str, set[str]] = {"number": set(), "list": set(), "set": set(), "indexed": set()}
    for node in ast.walk(function):
        if isinstance(node, ast.AugAssign | ast.BinOp):
            side = node.target if isinstance(node, ast.AugAssign) else node.left
            if isinstance(side, ast.Name):
                uses["number"].add(side.id)
        elif isinstance(node, ast.Compare):
            uses["number"] |= {n.id for n in (node.left, *node.comparators) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            uses["indexed"].add(node.value.id)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            value = node.value
            called = value.func.id if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) else ""
            if isinstance(value, ast.List | ast.ListComp) or called in {"list", "deque", "sorted"}:
                uses["list"].add(name)
            elif isinstance(value, ast.Set | ast.SetComp) or called in {"set"}:
                uses["set"].add(name)
            elif isinstance(value, ast.Constant):
                uses["number"].add(name)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.attr in {"append", "extend", "pop", "popleft"}:
                uses["list"].add(node.value.id)
            elif node.attr in {"add", "discard"}:
                uses["set"].add(node.value.id)
    return uses


def loop_steps(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """A step that a loop lacks: what its condition looks at changes at the end of its body."""
    source = context.source
    if not isinstance(statement, ast.While) or not source.alone(statement.body[-1]):
        return
    end = source.block(statement.body[-1])[1]
    indent = source.indent(statement.body[0])
    if not source.text[:end].endswith("\n"):
        return
    looked_at = dict.fromkeys(node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name))
    for name in looked_at:
        for step in (
            f"{name} += 1",
            f"{name} -= 1",
            f"{name} //= 2",
            f"{name}.pop()",
            f"{name} = {name}[1:]",
        ):
            yield Change((Edit(end, end, f"{indent}{step}\n"),), "step of a loop", 2.0)
        for node in ast.walk(statement):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                step = f"{name} = {name}.{node.attr}"
                yield Change((Edit(end, end, f"{indent}{step}\n"),), "step of a loop", 2.2)


def defaults(context: Context, statement: ast.stmt) -> Iterator[Change]:
    """A parameter whose default is one and the same list for all calls gets a new one in each."""
    source = context.source
    function = source.function(statement)
    if function is None:
        return
    first = next((node for node in function.body if not is_text(node)), None)
    if first is None or not source.alone(first):
        return
    arguments = function.args.args[len(function.args.args) - len(function.args.defaults) :]
    for argument, default in zip(arguments, function.args.defaults, strict=True):
        if isinstance(default, ast.List | ast.Dict | ast.Set) or (
            isinstance(default, ast.Call) and not default.args
        ):
            start = source.block(first)[0]
            indent = source.indent(first)
            fresh = f"{indent}if {argument.arg} is None:\n{indent}    {argument.arg} = {source.of(default)}\n"
            yield Change((Edit(*source.span(default), "None"), Edit(start, start, fresh)), "default", 1.6)


OPERATORS: tuple[Operator, ...] = (
    assignments,
    jumps,
    results,
    guards,
    deletions,
    moves,
    insertions,
    loop_steps,
    defaults,
)

_KNOWN_MODULES = frozenset(
    {
        "bisect",
        "collections",
        "copy",
        "datetime",
        "functools",
        "heapq",
        "itertools",
        "json",
        "math",
        "operator",
        "random",
        "re",
        "string",
        "sys",
    }
)
_KNOWN_NAMES = {
    "Counter": "collections",
    "OrderedDict": "collections",
    "defaultdict": "collections",
    "deepcopy": "copy",
    "deque": "collections",
    "lru_cache": "functools",
    "reduce": "functools",
    "sqrt": "math",
    "ceil": "math",
    "floor": "math",
    "gcd": "math",
    "heappush": "heapq",
    "heappop": "heapq",
    "combinations": "itertools",
    "permutations": "itertools",
    "product": "itertools",
}


def missing_name(source: Source, message: str) -> Iterator[Change]:
    """A first value for a variable that an error says has none."""
    found = re.search(r"name '(\w+)' is not defined|local variable '(\w+)'", message)
    if found is None:
        return
    name = found[1] or found[2]
    for statement in source.statements:
        function = source.function(statement)
        used = {node.id for node in own_nodes(statement) if isinstance(node, ast.Name)}
        if function is None or name not in used or not source.alone(statement):
            continue
        first = next((node for node in function.body if not is_text(node)), statement)
        loops = [node for node in source.above(statement) if isinstance(node, ast.For | ast.While)]
        places = dict.fromkeys([first, statement, *loops[-1:], *loops[:1]])
        known = [other for other in source.names(statement)[:8] if other != name]
        for place in places:
            if not source.alone(place):
                continue
            start = source.block(place)[0]
            for at, value in enumerate(_first_values(known)):
                line = f"{source.indent(place)}{name} = {value}\n"
                yield Change((Edit(start, start, line),), "first value", 0.6 + 0.02 * at)
        for other in known:
            for node in own_nodes(statement):
                if isinstance(node, ast.Name) and node.id == name:
                    yield Change((Edit(*source.span(node), other),), "variable", 0.8)
        return


def _first_values(known: list[str]) -> Iterator[str]:
    yield from ("0", "[]", "{}", "set()", "1", "None", '""', "False", "True", "-1", 'float("inf")')
    for name in known:
        yield name
        for form in (
            "len({})",
            "set({})",
            "list({})",
            "{}[0]",
            "sorted({})",
            "len({}) - 1",
            "{}[-1]",
            "[{}]",
            "{{{}}}",
        ):
            yield form.format(name)
        for form in ("[0] * len({})", "[0] * ({} + 1)", "{}[len({}) // 2]", "abs({})", "min({})", "max({})"):
            yield form.replace("{}", name)
    for one, two in itertools.permutations(known[:5], 2):
        for form in ("{} + {}", "{} - {}", "({} + {}) // 2", "{}[{}]", "{} // {}", "{} % {}"):
            yield form.format(one, two)


def missing_import(source: Source, message: str) -> Iterator[Change]:
    """The import of a name that an error says is not defined."""
    found = re.search(r"name '(\w+)' is not defined", message)
    if found is None:
        return
    name = found[1]
    line = ""
    if name in _KNOWN_MODULES:
        line = f"import {name}\n"
    elif name in _KNOWN_NAMES:
        line = f"from {_KNOWN_NAMES[name]} import {name}\n"
    if line:
        body = [node for node in source.tree.body if not is_text(node)]
        future = [n for n in body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
        place = source.block(future[-1])[1] if future else source.block(body[0])[0] if body else 0
        yield Change((Edit(place, place, line),), "import", 0.5)
