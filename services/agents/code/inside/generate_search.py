"""The search for sessions: random ones and changes of those that ran something new, within fixed bounds."""

from __future__ import annotations

import ast
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .generate_kinds import ANY, INT, INTS, STR, Kind, Parameter
from .generate_sessions import Observation, Session, Stage, Step, snake
from .generate_targets import Project, Subject, Target, examples
from .generate_values import Constants, Maker

# Bounds of the search for one function or class.
MAX_RUNS = 1_600
_STALE_RUNS = 500
_MAX_STEPS = 9
_MAX_EXTRA = 160
# Share of the sessions kept although nothing about them is new.
_KEPT = 0.3

Found = Callable[[Session, Observation, bool], None]


@dataclass(frozen=True)
class _Guess:
    """A session to try, with the kinds of its arguments: (parameter, kind)."""

    session: Session
    kinds: tuple[tuple[str, Kind], ...] = ()


class Search:
    """Looks for sessions of one function or class. found: told of each session worth keeping."""

    def __init__(self, project: Project, stage: Stage, seed: int, found: Found) -> None:
        self._project = project
        self._stage = stage
        self._rng = random.Random(seed)
        self._found = found
        self._skip: frozenset[str] = frozenset()
        self._about: Callable[[str], None] = lambda _code: None
        self._success: dict[tuple[str, Kind], list[int]] = {}
        self._features: set[object] = set()
        self._outcomes: set[str] = set()
        self._tried: set[str] = set()
        self._corpus: list[Session] = []
        self._maker = Maker(self._rng, Constants(), project.world)

    def guard(self, skip: frozenset[str], about: Callable[[str], None]) -> None:
        """skip: sessions not to run. about: told of each one before it runs."""
        self._skip, self._about = skip, about

    def function(self, target: Target, seconds: float) -> None:
        """Sessions of one call of a function, and of calls of what it gives back."""
        self._maker = self._maker_of([target])
        seeds = [_Guess(Session((step,))) for step in self._shown(target)]
        seeds += self._plain(target)
        self._run(seeds, lambda: self._call_alone(target), seconds, target)

    def subject(self, subject: Subject, seconds: float) -> None:
        """Sessions with an object of a class."""
        self._maker = self._maker_of([*subject.made, *subject.methods])
        methods = [m for m in subject.methods if not m.private]
        seeds = [_Guess(Session((self._new(subject, made),))) for made in subject.made]
        for method in methods:
            seeds += [self._with_object(subject, [method]) for _ in range(4)]
        self._run(seeds, lambda: self._with_object(subject, None), seconds, None, subject)

    def near(self, sessions: Sequence[Session], count: int) -> list[Session]:
        """Changes of the given sessions that are not among those tried before."""
        targets = {t.key: t for t in self._project.functions}
        subjects = {s.name: s for s in self._project.subjects}
        involved = {step.target for session in sessions for step in session.steps}
        chosen = [targets[key] for key in involved if key in targets]
        for subject in subjects.values():
            if any(key == subject.name or key.startswith(subject.name + ".") for key in involved):
                chosen += [*subject.made, *subject.methods]
        self._maker = self._maker_of(chosen)
        made: dict[str, Session] = {}
        for _ in range(count * 3):
            if len(made) >= count:
                break
            session = self._rng.choice(sessions)
            key = session.steps[0].target
            if key in targets and len(session.steps) == 1 and self._rng.random() < 0.4:
                new = self._call_alone(targets[key]).session
            else:
                subject_name = key.split(".")[0]
                new = self._changed(session, targets.get(key), subjects.get(subject_name)).session
                if self._rng.random() < 0.4:
                    new = self._changed(new, targets.get(key), subjects.get(subject_name)).session
            if new.code() not in self._tried:
                made.setdefault(new.code(), new)
        self._tried.update(made)
        return list(made.values())

    # --- the loop

    def _run(
        self,
        seeds: list[_Guess],
        fresh: Callable[[], _Guess],
        seconds: float,
        target: Target | None,
        subject: Subject | None = None,
    ) -> None:
        end, latest = time.process_time() + seconds, time.monotonic() + 2 * seconds
        stale = runs = extra = 0
        queue = list(reversed(seeds))
        while (
            runs < MAX_RUNS
            and stale < _STALE_RUNS
            and time.process_time() < end
            and time.monotonic() < latest
        ):
            runs, stale = runs + 1, stale + 1
            if queue:
                guess = queue.pop()
            elif self._corpus and self._rng.random() < 0.55:
                guess = self._changed(self._pick(), target, subject)
            else:
                guess = fresh()
            code = guess.session.code()
            if code in self._tried or code in self._skip:
                continue
            self._tried.add(code)
            self._about(code)
            seen = self._stage.run(guess.session, traced=True)
            self._learn(guess, seen)
            if not seen.usable():
                continue
            outcome = seen.outcome()
            if self._is_new(seen):
                stale = 0
                self._corpus.append(guess.session)
                self._found(guess.session, seen, True)
            elif extra < _MAX_EXTRA and (outcome not in self._outcomes or self._rng.random() < _KEPT):
                extra += 1
                self._found(guess.session, seen, False)
            self._outcomes.add(outcome)
            last = guess.session.steps[-1]
            if (
                seen.steps[-1].get("callable")
                and not last.bind
                and subject is None
                and len(guess.session.steps) < 2
            ):
                queue += [self._and_call(guess.session) for _ in range(6)]

    def _pick(self) -> Session:
        """A session that found something; the later ones more often."""
        return self._corpus[int(len(self._corpus) * self._rng.random() ** 0.7)]

    def _is_new(self, seen: Observation) -> bool:
        features: set[object] = {(*arc, _bucket(count)) for arc, count in seen.arcs.items()}
        for step in seen.steps:
            if "raised" in step:
                features.add(("raised", step["raised"], step["message"][:12]))
            else:
                features.update(_shape(pair[1]) for pair in step["pairs"][:2])
        new = features - self._features
        self._features |= new
        return bool(new)

    def _learn(self, guess: _Guess, seen: Observation) -> None:
        bad = bool(seen.steps and seen.steps[-1].get("misuse"))
        for key in guess.kinds:
            counts = self._success.setdefault(key, [0, 0])
            counts[bad] += 1

    # --- calls

    def _maker_of(self, targets: Sequence[Target]) -> Maker:
        trees = [t.syntax for t in targets if t.syntax is not None]
        called = {node.id for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Name)} | {
            node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)
        }
        functions = self._project.world.functions
        more: list[ast.AST] = [functions[name] for name in sorted(called & set(functions))]
        for tree in self._project.trees.values():
            more += [
                n
                for n in tree.body
                if not isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            ]
            more += [
                inner
                for node in tree.body
                if isinstance(node, ast.ClassDef)
                for inner in node.body
                if isinstance(inner, ast.Assign | ast.AnnAssign)
            ]
        return Maker(self._rng, Constants.of([*trees, *more], self._rng), self._project.world)

    def _kind(self, parameter: Parameter) -> Kind:
        weights = []
        for kind, weight in parameter.given:
            good, bad = self._success.get((parameter.name, kind), (0, 0))
            weights.append(weight * ((good + 1) / (good + bad + 2)) ** 2)
        return self._rng.choices([kind for kind, _ in parameter.given], weights)[0]

    def _arguments(self, target: Target) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, Kind], ...]]:
        rng, kinds = self._rng, []
        made: dict[str, str] = {}
        left_out = set()
        if rng.random() < 0.5:
            left_out = {
                p.name for p in target.parameters if p.optional and not p.variadic and rng.random() < 0.6
            }
        order = [p for p in target.parameters if p.name not in left_out and not p.variadic]
        if rng.random() < 0.5:
            order.reverse()
        for parameter in order:
            kind = self._kind(parameter)
            kinds.append((parameter.name, kind))
            near = kind if parameter.typed or rng.random() < 0.5 else ANY
            text = self._maker.related(list(made.values()), near) if rng.random() < 0.35 else None
            made[parameter.name] = text or self._maker.make(kind, parameter.name)
        shown: list[tuple[str, str]] = []
        skipped = False
        positional = "{args}" not in target.template
        for parameter in target.parameters:
            if parameter.variadic == "*":
                kind = self._kind(parameter)
                if not skipped:
                    shown += [("*", self._maker.make(kind, "")) for _ in range(rng.choice((0, 1, 2, 3)))]
                    skipped = True
            elif parameter.variadic == "**":
                kind = self._kind(parameter)
                shown += [(key, self._maker.make(kind, "")) for key in "pqr"[: rng.choice((0, 1, 2))]]
            elif parameter.name in left_out:
                skipped = True
            else:
                by_name = (parameter.keyword_only or skipped) and not positional
                shown.append((parameter.name if by_name else "", made[parameter.name]))
        return tuple(shown), tuple(kinds)

    def _call_alone(self, target: Target) -> _Guess:
        arguments, kinds = self._arguments(target)
        step = Step(target.key, target.template, arguments, statement=target.statement)
        return _Guess(Session((step,)), kinds)

    def _plain(self, target: Target) -> list[_Guess]:
        """Some calls with each kind that a parameter may have."""
        count = min(10 * max(1, len(target.parameters)), 40)
        return [self._call_alone(target) for _ in range(count)]

    def _shown(self, target: Target) -> list[Step]:
        """Calls that the documentation shows."""
        steps = []
        for tree in self._project.trees.values():
            for name, call in examples(tree):
                arguments: list[tuple[str, str]] = []
                if name != target.key or any(isinstance(a, ast.Starred) for a in call.args):
                    continue
                arguments += [("", ast.unparse(argument)) for argument in call.args]
                arguments += [(k.arg, ast.unparse(k.value)) for k in call.keywords if k.arg]
                steps.append(Step(target.key, target.template, tuple(arguments), statement=target.statement))
        return list(dict.fromkeys(steps))[:20]

    def _and_call(self, session: Session) -> _Guess:
        first = session.steps[0]
        held = Step(first.target, first.template, first.arguments, first.subject, "result", first.statement)
        calls = []
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            kinds = [self._rng.choice((INT, INT, STR, INTS)) for _ in range(self._rng.choice((0, 1, 1, 2)))]
            arguments = tuple(("", self._maker.make(kind)) for kind in kinds)
            calls.append(Step(first.target, "{self}({args})", arguments, "result"))
        return _Guess(Session((held, *calls)))

    # --- objects

    def _new(self, subject: Subject, made: Target) -> Step:
        arguments, _ = self._arguments(made)
        return Step(made.key, made.template, arguments, "", snake(subject.name))

    def _method(self, subject: Subject, method: Target) -> Step:
        arguments, _ = self._arguments(method)
        return Step(method.key, method.template, arguments, snake(subject.name), "", method.statement)

    def _with_object(self, subject: Subject, methods: Sequence[Target] | None) -> _Guess:
        rng = self._rng
        made = subject.made[0] if rng.random() < 0.7 else rng.choice(subject.made)
        public = [m for m in subject.methods if not m.private]
        if methods is None:
            count = rng.choice((1, 1, 2, 2, 3, 4, 5, 6))
            methods = [rng.choice(public) for _ in range(count)] if public else []
        elif rng.random() < 0.5 and public:
            methods = [rng.choice(public), *methods]
        steps = [self._new(subject, made), *(self._method(subject, m) for m in methods)]
        return _Guess(Session(tuple(steps)))

    # --- changes

    def _changed(self, session: Session, target: Target | None, subject: Subject | None) -> _Guess:
        steps = list(session.steps)
        rng = self._rng
        if subject is not None and steps[0].bind and rng.random() < 0.6:
            public = [m for m in subject.methods if not m.private]
            position = rng.randint(1, len(steps))
            roll = rng.random()
            if roll < 0.6 and public and len(steps) < _MAX_STEPS:
                steps.insert(position, self._method(subject, rng.choice(public)))
            elif roll < 0.7 and len(steps) > 1:
                steps.insert(position, rng.choice(steps[1:])) if len(steps) < _MAX_STEPS else None
            elif roll < 0.8 and len(steps) > 2:
                steps.pop(rng.randrange(1, len(steps)))
            elif roll < 0.9 and self._corpus:
                other = self._pick().steps
                if other[0].bind == steps[0].bind:
                    steps = (steps + list(other[1:]))[:_MAX_STEPS]
            else:
                steps[0] = self._new(subject, rng.choice(subject.made))
            return _Guess(Session(tuple(steps)))
        with_arguments = [i for i, step in enumerate(steps) if step.arguments]
        if not with_arguments:
            return _Guess(session) if target is None else self._call_alone(target)
        index = rng.choice(with_arguments)
        steps[index] = self._with_other_argument(steps[index], target)
        return _Guess(Session(tuple(steps)))

    def _with_other_argument(self, step: Step, target: Target | None) -> Step:
        rng = self._rng
        arguments = list(step.arguments)
        position = rng.randrange(len(arguments))
        keyword, expression = arguments[position]
        others = [e for i, (_, e) in enumerate(arguments) if i != position]
        new: str | None = None
        if others and rng.random() < 0.2:
            kind = _kind_of_text(expression)
            new = self._maker.related(others, kind) if kind else None
        if new is None and target is not None and rng.random() < 0.15:
            named = [p for p in target.parameters if p.name == keyword] or target.parameters[
                position : position + 1
            ]
            if named and not named[0].variadic:
                new = self._maker.make(self._kind(named[0]), named[0].name)
        arguments[position] = (keyword, new or self._maker.change(expression))
        return Step(step.target, step.template, tuple(arguments), step.subject, step.bind, step.statement)


def _kind_of_text(expression: str) -> Kind | None:
    first = expression[:1]
    if first in "'\"":
        return STR
    if first.isdigit() or first == "-":
        return Kind("float") if "." in expression else INT
    return INTS if first == "[" else None


def _bucket(count: int) -> int:
    return count if count < 4 else 4 if count < 8 else 8 if count < 16 else 16


def _shape(expression: str) -> tuple[str, str]:
    """What kind of value an expression is, coarsely."""
    if expression in {"None", "True", "False", "[]", "{}", "''", "0", "()", "set()", "0.0"}:
        return ("value", expression)
    first = expression[:1]
    return ("value", "number" if first.isdigit() else first)
