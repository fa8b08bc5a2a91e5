"""Property-based tests: properties that the observed calls have, written for hypothesis."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.agents.code.testing.writing import Block, Case

_FEW = 4
MOST_OF_A_FUNCTION = 3
_PAIRS = 8


@dataclass(frozen=True)
class Property:
    """A property that may hold. rank: the smaller the more it tells. strategies: names with their sources."""

    function: str
    title: str
    rank: int
    strategies: tuple[tuple[str, str], ...]
    body: str

    def block(self, name: str, examples: int, *, fixed: bool) -> Block:
        """As a test. fixed: the same examples each time."""
        given = ", ".join(f"{parameter}={source}" for parameter, source in self.strategies)
        told = f"max_examples={examples}, deadline=None, database=None" + (
            ", derandomize=True" if fixed else ""
        )
        lead = f"@settings({told})\n@given({given})"
        fixtures = tuple(parameter for parameter, _ in self.strategies)
        return Block(name, cases=[Case(text=self.body)], fixtures=fixtures, lead=lead)

    def test_name(self) -> str:
        """What the test may be called."""
        return f"test_{self.function.replace('.', '_')}_{self.title}"


def candidates(
    functions: Sequence[Mapping[str, Any]], samples: Mapping[str, Sequence[Any]]
) -> list[Property]:
    """Properties that no sample contradicts, the telling ones first. They still have to be tried."""
    found: list[Property] = []
    usable = {}
    for function in functions:
        required = [p for p in function["parameters"] if not p["optional"]]
        known = _known(samples.get(function["key"], ()))
        if not required or len(required) > 3 or not all(p["strategy"] for p in required) or len(known) < _FEW:
            continue
        if any(p["keyword_only"] or p["variadic"] for p in required) or "{args}" not in function["template"]:
            continue
        usable[function["key"]] = (function, required, known)
        found += _of_one(function, required, known)
    found += _round_trips(usable)
    return sorted(found, key=lambda p: (p.function, p.rank))


def _known(samples: Sequence[Any]) -> list[tuple[list[Any], Any]]:
    """Samples whose arguments and result are literals: (arguments, result)."""
    known = []
    for arguments, seen in samples:
        if "raised" in seen or len(seen["pairs"]) != 1 or seen["pairs"][0][0] != "{}" or "after" in seen:
            continue
        try:
            values = [ast.literal_eval(expression) for _, expression in arguments]
            known.append((values, ast.literal_eval(seen["pairs"][0][1])))
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return known


def _of_one(
    function: Mapping[str, Any], required: Sequence[Mapping[str, Any]], known: Sequence[tuple[list[Any], Any]]
) -> Iterator[Property]:
    names = [p["name"] for p in required]
    strategies = tuple((p["name"], p["strategy"]) for p in required)
    call = function["template"].replace("{args}", ", ".join(names))

    def made(title: str, rank: int, body: str) -> Property:
        return Property(function["key"], title, rank, strategies, body)

    first = names[0]
    ok = [(a, r) for a, r in known if len(a) >= len(names)]
    if not ok:
        return
    if len(names) == 1 or all(isinstance(a[0], list | str) for a, _ in ok):
        yield from _against_first(function, first, names, ok, call=call, made=made)
    if len(names) == 2 and required[0]["strategy"] == required[1]["strategy"]:
        swapped = function["template"].replace("{args}", ", ".join(names[::-1]))
        yield made("is_commutative", 3, f"assert {call} == {swapped}")
    if all(isinstance(r, int | float) and not isinstance(r, bool) and r >= 0 for _, r in ok):
        yield made("is_not_negative", 5, f"assert {call} >= 0")
    mutable = [p["name"] for p in required if p["kind"] in {"list", "dict", "set"}]
    if mutable:
        copies = "\n".join(f"{name}_before = copy.deepcopy({name})" for name in mutable)
        checks = "\n".join(f"assert {name} == {name}_before" for name in mutable)
        yield made("leaves_its_input_alone", 4, f"{copies}\n{call}\n{checks}")
    kinds = {type(r).__name__ for _, r in ok}
    if len(kinds) == 1 and kinds <= {"int", "str", "list", "dict", "bool", "float", "tuple", "set"}:
        yield made(f"gives_{kinds.pop()}", 6, f"assert isinstance({call}, {type(ok[0][1]).__name__})")


def _against_first(
    function: Mapping[str, Any],
    first: str,
    names: Sequence[str],
    ok: Sequence[tuple[list[Any], Any]],
    *,
    call: str,
    made: Callable[[str, int, str], Property],
) -> Iterator[Property]:
    again = function["template"].replace("{args}", ", ".join([call, *names[1:]]))
    same = [(a[0], r) for a, r in ok if type(a[0]) is type(r)]
    if len(same) == len(ok):
        yield made("twice_is_as_once", 2, f"once = {call}\nassert {again.replace(call, 'once')} == once")
        if len(names) == 1:
            yield made("twice_gives_it_back", 2, f"assert {again} == {first}")
        if all(isinstance(r, list | str) for _, r in same):
            if all(len(a) == len(r) for a, r in same):
                yield made("keeps_the_length", 4, f"assert len({call}) == len({first})")
            elif all(len(r) <= len(a) for a, r in same):
                yield made("does_not_grow", 4, f"assert len({call}) <= len({first})")
    if all(isinstance(r, list) and isinstance(a[0], list | str) for a, r in ok):
        if all(_sorted(r) for _, r in ok) and any(len(r) > 1 for _, r in ok):
            yield made("is_sorted", 1, f"result = {call}\nassert result == sorted(result)")
        if all(sorted(map(repr, a[0])) == sorted(map(repr, r)) for a, r in ok):
            yield made("is_a_permutation", 1, f"assert sorted({call}) == sorted({first})")


def _sorted(values: list[Any]) -> bool:
    try:
        return values == sorted(values)
    except TypeError:
        return False


def _round_trips(usable: Mapping[str, tuple[Any, Any, Any]]) -> Iterator[Property]:
    count = 0
    for key, (function, required, known) in usable.items():
        for other, (back, back_required, _) in usable.items():
            if key == other or len(required) != 1 or len(back_required) != 1 or count >= _PAIRS:
                continue
            if function["path"] != back["path"] or not known:
                continue
            names = {type(r).__name__ for _, r in known}
            if names != {back_required[0]["kind"]}:
                continue
            count += 1
            name = required[0]["name"]
            call = function["template"].replace("{args}", name)
            yield Property(
                key,
                f"is_undone_by_{other.replace('.', '_')}",
                0,
                ((name, required[0]["strategy"]),),
                f"assert {back['template'].replace('{args}', call)} == {name}",
            )
