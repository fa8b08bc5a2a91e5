"""Who calls whom within the given files."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .modules import Module, origin

Function = ast.FunctionDef | ast.AsyncFunctionDef
_BUILTINS = frozenset(dir(builtins))
_PASSED_ON = 3


@dataclass(frozen=True)
class Call:
    """A call. callee: "path:name" when it was found, else the expression that is called.

    caller: "path:name", "path:<module>" at the top. reason: why it was not found; empty when it was.
    """

    caller: str
    callee: str
    path: str
    line: int
    reason: str = ""


@dataclass
class _Scope:
    """Names that are seen at a place: to what they refer ("path:name", a module's dotted name, "?"
    unknown).
    """

    caller: str
    names: dict[str, str]
    # The class of a variable, where it is plain to see.
    kinds: dict[str, str] = field(default_factory=dict)
    owner: str = ""


def calls(known: Mapping[str, Module]) -> list[Call]:
    """All calls but those of builtins and of modules outside of the files, in the order of the files.

    By names alone: what is passed around, replaced or made at run time is not followed, and told as such.
    """
    index = _Index(known)
    return [call for module in known.values() for call in index.of(module)]


class _Index:
    def __init__(self, known: Mapping[str, Module]) -> None:
        self._known = known
        self._functions: dict[str, Function | ast.ClassDef] = {}
        self._tops: dict[str, dict[str, str]] = {}
        self._bases: dict[str, list[str]] = {}
        for module in known.values():
            self._define(module, module.tree.body, "")
        # What a module passes on may itself have been passed on to it.
        for _ in range(_PASSED_ON):
            self._tops = {name: self._top_names(module) for name, module in known.items()}
        for module in known.values():
            self._inherit(module, module.tree.body, "")

    def of(self, module: Module) -> Iterator[Call]:
        scope = _Scope(f"{module.path}:<module>", dict(self._tops[module.name]))
        yield from self._walk(module, module.tree.body, scope, "")

    def _define(self, module: Module, body: list[ast.stmt], prefix: str) -> None:
        for node in _definitions(body):
            self._functions[f"{module.path}:{prefix}{node.name}"] = node
            self._define(module, node.body, f"{prefix}{node.name}.")

    def _top_names(self, module: Module) -> dict[str, str]:
        names = {n.name: f"{module.path}:{n.name}" for n in _definitions(module.tree.body)}
        return names | dict(self._imported(module, module.tree.body))

    def _imported(self, module: Module, body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
        for node in _statements(body):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield (
                        alias.asname or alias.name.split(".")[0],
                        alias.name if alias.asname else "." + alias.name,
                    )
            elif isinstance(node, ast.ImportFrom):
                source = origin(node, module)
                for alias in node.names:
                    yield alias.asname or alias.name, self._member(source, alias.name)

    def _member(self, source: str, name: str) -> str:
        if f"{source}.{name}" in self._known:
            return f"{source}.{name}"
        if source not in self._known:
            return "outside"
        own = f"{self._known[source].path}:{name}"
        if own in self._functions:
            return own
        # Passed on by a module that imported it itself.
        return self._tops.get(source, {}).get(name, f"{source}.{name}")

    def _inherit(self, module: Module, body: list[ast.stmt], prefix: str) -> None:
        for node in _definitions(body):
            if isinstance(node, ast.ClassDef):
                names = self._tops[module.name]
                self._bases[f"{module.path}:{prefix}{node.name}"] = [
                    self._refer(base, _Scope("", names)) for base in node.bases
                ]
                self._inherit(module, node.body, f"{prefix}{node.name}.")

    def _walk(self, module: Module, body: list[ast.stmt], scope: _Scope, prefix: str) -> Iterator[Call]:
        for node in body:
            yield from self._inside(module, node, scope, prefix)

    def _inside(self, module: Module, node: ast.AST, scope: _Scope, prefix: str) -> Iterator[Call]:
        """Calls in a node, in the order of the text; functions and classes open scopes of their own."""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            outer = [*node.decorator_list]
            if isinstance(node, ast.ClassDef):
                outer += [*node.bases, *(keyword.value for keyword in node.keywords)]
            else:
                outer += [*node.args.defaults, *(d for d in node.args.kw_defaults if d)]
            for part in outer:
                yield from self._inside(module, part, scope, prefix)
            name = f"{module.path}:{prefix}{node.name}"
            inner = f"{prefix}{node.name}."
            if isinstance(node, ast.ClassDef):
                within = _Scope(scope.caller, dict(scope.names), dict(scope.kinds), name)
            else:
                within = self._function_scope(module, node, name, scope, inner)
            yield from self._walk(module, node.body, within, inner)
            return
        if isinstance(node, ast.Call):
            made = self._call(module, node, scope)
            if made is not None:
                yield made
        self._note(node, scope)
        for child in ast.iter_child_nodes(node):
            yield from self._inside(module, child, scope, prefix)

    def _function_scope(
        self, module: Module, node: Function, name: str, scope: _Scope, prefix: str
    ) -> _Scope:
        names = dict(scope.names)
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        extra = [a for a in (node.args.vararg, node.args.kwarg) if a]
        names |= {argument.arg: "?" for argument in [*arguments, *extra]}
        names |= {n.name: f"{module.path}:{prefix}{n.name}" for n in _definitions(node.body)}
        names |= dict(self._imported(module, node.body))
        kinds = {}
        for argument in arguments:
            if argument.annotation is not None:
                kind = self._refer(_unquoted(argument.annotation), scope)
                if isinstance(self._functions.get(kind), ast.ClassDef):
                    kinds[argument.arg] = kind
        plain = not any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
        # The first parameter of a method is its object, or its class.
        if scope.owner and arguments and plain:
            kinds[arguments[0].arg] = scope.owner
        # A method sees the names around its class, not those in it.
        return _Scope(name, names, kinds)

    def _note(self, node: ast.AST, scope: _Scope) -> None:
        """Remembers the class of x after x = Class()."""
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            variable = node.targets[0].id
            kind = self._refer(node.value.func, scope) if isinstance(node.value, ast.Call) else "?"
            scope.names[variable] = "?"
            scope.kinds.pop(variable, None)
            if isinstance(self._functions.get(kind), ast.ClassDef):
                scope.kinds[variable] = kind

    def _call(self, module: Module, node: ast.Call, scope: _Scope) -> Call | None:
        target = self._refer(node.func, scope)
        if target in {"outside", "builtin"}:
            return None
        found = self._functions.get(target)
        if isinstance(found, ast.ClassDef):
            target = self._method(target, "__init__") or target
        if found is not None:
            return Call(scope.caller, target, module.path, node.lineno)
        expression = ast.unparse(node.func)[:120]
        reason = (
            "its value is known at run time only" if target == "?" else "there is no such name in the files"
        )
        return Call(scope.caller, expression, module.path, node.lineno, reason)

    def _refer(self, node: ast.expr, scope: _Scope) -> str:
        """What an expression refers to: "path:name", a module, "outside", "builtin" or "?"."""
        if isinstance(node, ast.Name):
            known = scope.names.get(node.id)
            if known is None:
                return "builtin" if node.id in _BUILTINS else "?"
            if known.startswith("."):
                return self._module(known[1:].split(".")[0])
            return known if ":" in known or known in {"?", "outside"} else self._module(known)
        if isinstance(node, ast.Attribute):
            return self._attribute(node, scope)
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.List | ast.Dict | ast.Set | ast.Tuple):
            return "builtin"
        return "?"

    def _attribute(self, node: ast.Attribute, scope: _Scope) -> str:
        value = node.value
        if isinstance(value, ast.Name) and value.id in scope.kinds:
            return self._method(scope.kinds[value.id], node.attr) or "?"
        if isinstance(value, ast.Call):
            if isinstance(value.func, ast.Name) and value.func.id == "super":
                return self._super(scope, node.attr)
            kind = self._refer(value.func, scope)
            if isinstance(self._functions.get(kind), ast.ClassDef):
                return self._method(kind, node.attr) or "?"
            return "outside" if kind == "outside" else "?"
        base = self._refer(value, scope)
        if base in {"outside", "builtin", "?"}:
            return "builtin" if base == "builtin" else base
        if ":" in base:
            return self._method(base, node.attr) or "?"
        return self._through(base, node.attr)

    def _through(self, module: str, name: str) -> str:
        member = self._member(module, name)
        return (
            member if ":" in member or member in self._known or member == "outside" else self._module(member)
        )

    def _module(self, name: str) -> str:
        inside = any(known == name or known.startswith(f"{name}.") for known in self._known)
        return name if inside else "outside"

    def _super(self, scope: _Scope, name: str) -> str:
        owner = scope.caller.rpartition(".")[0]
        for base in self._bases.get(owner, ()):
            if ":" in base and (found := self._method(base, name)):
                return found
            if base in {"outside", "builtin"}:
                return "outside"
        return "builtin" if not self._bases.get(owner) else "?"

    def _method(self, owner: str, name: str) -> str:
        """The method of a class or of the first of its bases that has it; empty when none has."""
        waiting, seen = [owner], set()
        for kind in waiting:
            if kind in seen:
                continue
            seen.add(kind)
            if f"{kind}.{name}" in self._functions:
                return f"{kind}.{name}"
            bases = self._bases.get(kind, [])
            if name != "__init__" and any(base == "outside" for base in bases):
                return "outside"
            waiting += [base for base in bases if ":" in base]
        return ""


def _unquoted(annotation: ast.expr) -> ast.expr:
    """The name in a quoted annotation."""
    text = annotation.value if isinstance(annotation, ast.Constant) else None
    quoted = isinstance(text, str) and text.isidentifier()
    return ast.Name(str(text), ast.Load()) if quoted else annotation


def _definitions(body: list[ast.stmt]) -> Iterator[Function | ast.ClassDef]:
    for node in _statements(body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements of a body, those within if, try, with and loops among them."""
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]
        inner += [s for h in getattr(node, "handlers", ()) for s in h.body]
        inner += [s for c in getattr(node, "cases", ()) for s in c.body]
        waiting += reversed(inner)
