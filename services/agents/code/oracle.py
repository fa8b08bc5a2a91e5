"""What of a project decides whether it is right, and has to stay as it is in a repair.

Files of tests, what pytest loads to steer a run, and data are left alone as a whole; in other files each
assertion stays. A program may be its own test: there the examples in its documentation stay, and whatever
asserts something, as a whole, with all that it reads; its other definitions may change.
"""

from __future__ import annotations

import ast
import doctest
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath

from services.agents.code.execution import Execution, way
from services.agents.code.localisation import Line
from services.agents.code.project import Project, is_test_name

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_TEST_FOLDERS = {"test", "tests"}
_DEFINITIONS = (*_FUNCTIONS, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign)
# Names whose use asserts something: those of the libraries, and the exits whose status says how it went.
_NAMES = {"pytest", "unittest", "SystemExit", "exit", "quit"}
_EXITS = {"exit", "_exit", "abort"}
# How functions of tests and of their surroundings begin.
_TEST_NAMES = ("test", "setup", "teardown", "assert")


def tampering(project: Project, changes: Mapping[str, str], before: Execution) -> str:
    """Why a change lets the tests of a run be others than they were; empty when it leaves them alone."""
    own_tests = _own_tests(project, before)
    for path, new in changes.items():
        if path in project.tests or path in before.plugins or _is_of_tests(path):
            return f"The change alters {path}, which says what the tests are; that proves nothing."
        if path not in project.files or not path.endswith(".py"):
            return f"The change alters {path}, and only Python files that are there can be mended."
        line = _altered(
            project.files[path], new, tests=path in own_tests, examples=own_tests.get(path, False)
        )
        if line:
            return f"The change alters what {path} asserts in line {line}; that proves nothing."
    return ""


def fixed_lines(project: Project, before: Execution) -> set[Line]:
    """Lines of the project's files that no repair may change."""
    own_tests = _own_tests(project, before)
    found: set[Line] = set()
    for path in project.python():
        tree = _tree(project.files[path])
        if tree is None or not _asserts(tree):
            continue
        fixed: list[ast.stmt] = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
        if not own_tests.get(path, True):
            fixed += [node for _, node in _kept(tree.body)]
        found |= {(path, line) for node in fixed for line in range(node.lineno, _end(node) + 1)}
    return found


def _end(node: ast.stmt) -> int:
    return node.end_lineno or node.lineno


def _is_of_tests(path: str) -> bool:
    return is_test_name(path) or not _TEST_FOLDERS.isdisjoint(PurePosixPath(path).parts[:-1])


def _own_tests(project: Project, execution: Execution) -> dict[str, bool]:
    """Files that tests were found in, and whether examples in documentation are all that was found."""
    scripts = way(project).scripts
    found: dict[str, bool] = {}
    for test_id in (*(test.test_id for test in execution.tests), *execution.missing):
        path, _, name = test_id.partition("::")
        # pytest names an example by its module and what it documents, with dots.
        example = "." in name.split("[")[0] or name == PurePosixPath(path).stem
        found[path] = example and path not in scripts and found.get(path, True)
    for error in execution.errors:
        found.setdefault(error.where.partition("::")[0], False)
    return found


def _altered(old: str, new: str, *, tests: bool, examples: bool) -> int:
    """The first line of the old text that asserts something and is not in the new text; 0 for none.

    tests: the file is its own test; examples: by examples in its documentation alone.
    """
    then, now = _tree(old), _tree(new)
    if now is None:
        return 0  # it cannot be run either
    if then is None:
        return _guessed(old, new, now) if tests and not examples else 0
    left = Counter(ast.dump(node) for node in ast.walk(now) if isinstance(node, ast.Assert))
    for node in ast.walk(then):
        if isinstance(node, ast.Assert):
            left.subtract([ast.dump(node)])
            if left[ast.dump(node)] < 0:
                return node.lineno
    if not tests:
        return 0
    told = dict(_examples(now))
    for name, (line, typed) in _examples(then):
        if name not in told or told[name][1] != typed:
            return line
    return 0 if examples else _rearranged(then, now)


def _rearranged(then: ast.Module, now: ast.Module) -> int:
    if not (_asserts(then) or _asserts(now)):
        return 0
    kept = _kept(then.body)
    left = [(where, ast.dump(node)) for where, node in _kept(now.body)]
    for index, (where, node) in enumerate(kept):
        if left[index : index + 1] != [(where, ast.dump(node))]:
            return node.lineno
    more = len(left) > len(kept)
    return (kept[-1][1].lineno if kept else 1) if more else 0


def _guessed(old: str, new: str, now: ast.Module) -> int:
    """As `_altered` where the old text is no Python: what asserts something stood there word for word."""
    for _, node in _kept(now.body) if _asserts(now) else ():
        if (ast.get_source_segment(new, node) or "") not in old:
            return node.lineno
    return 0


def _tree(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None


def _examples(tree: ast.Module) -> Iterator[tuple[str, tuple[int, list[tuple[str, str]]]]]:
    """Examples in documentation: by name of what they stand in, its line, and what is typed and answered."""
    waiting: list[tuple[str, ast.Module | ast.stmt]] = [("", tree)]
    while waiting:
        name, node = waiting.pop()
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            told = ast.get_docstring(node) or ""
            if ">>>" in told:
                yield name, (getattr(node, "lineno", 1), _typed(told))
            waiting += [(f"{name}.{getattr(inner, 'name', '')}", inner) for inner in node.body]


def _typed(documentation: str) -> list[tuple[str, str]]:
    try:
        examples = doctest.DocTestParser().get_examples(documentation)
    except ValueError:
        return [(documentation, "")]
    return [(example.source, example.want) for example in examples]


def _kept(body: Sequence[ast.stmt], where: str = "") -> list[tuple[str, ast.stmt]]:
    """The statements that are part of the tests, with the class that they stand in.

    That are, at the top of a program, all but imports, assignments and definitions; definitions that assert
    something; and whatever gives a value to a name that these read or define.
    """
    parts = [node for node in body if not isinstance(node, _IMPORTS) and _tests(node, top=not where)]
    kept = {id(node) for node in parts}
    known = -1
    while known != len(kept):
        known = len(kept)
        own = [node for node in body if id(node) in kept]
        defined = {name for node in own for name in _bound(node)}
        read = {n.id for node in own for n in ast.walk(node) if isinstance(n, ast.Name)}
        kept |= {
            id(node)
            for node in body
            if set(_bound(node)) & (defined | read if isinstance(node, _ASSIGNMENTS) else defined)
        }
    found: list[tuple[str, ast.stmt]] = []
    for node in body:
        if id(node) in kept:
            program = isinstance(node, ast.ClassDef) and not _is_test_class(node)
            inner = _kept(node.body, f"{where}.{node.name}") if isinstance(node, ast.ClassDef) else []
            found += inner if program else [(where, node)]
    return found


def _tests(node: ast.stmt, *, top: bool) -> bool:
    if isinstance(node, _DEFINITIONS):
        return _asserts(node)
    told = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return top and not told and not isinstance(node, _ASSIGNMENTS)


def _asserts(tree: ast.AST) -> bool:
    """Whether there is something in it that says that the program is right or wrong."""
    return any(
        isinstance(node, ast.Assert)
        or (isinstance(node, _FUNCTIONS) and node.name.lower().startswith(_TEST_NAMES))
        or (isinstance(node, ast.Name) and node.id in _NAMES)
        or (isinstance(node, ast.Attribute) and (node.attr.startswith("assert") or node.attr in _EXITS))
        for node in ast.walk(tree)
    )


def _is_test_class(node: ast.ClassDef) -> bool:
    return node.name.startswith("Test") or any(
        isinstance(part, _FUNCTIONS) and part.name.startswith("test") for part in node.body
    )


def _bound(node: ast.stmt) -> Iterable[str]:
    """Names that a statement gives a value."""
    if isinstance(node, _DEFINITIONS):
        return [node.name]
    if isinstance(node, _IMPORTS):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    return [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
