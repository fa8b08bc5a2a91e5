"""Words that the comparison of statements knows; see wordings.toml."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Self

from services.agents.answering import terms


@dataclass(frozen=True)
class Wordings:
    """What wordings.toml says. Scope, hedges, partial, conditions, negators and countries are words, the rest
    stems.

    canonical: the stem that stands for its group of synonyms. exclusive: the set that a value belongs to.
    relations: prepositions behind a canonical stem that lead to its one name.
    """

    canonical: dict[str, str]
    light: frozenset[str]
    opposites: frozenset[frozenset[str]]
    exclusive: dict[str, int]
    scope: frozenset[str]
    hedges: frozenset[str]
    partial: frozenset[str]
    conditions: frozenset[str]
    negators: frozenset[str]
    once: frozenset[str]
    relations: dict[str, frozenset[str]]
    countries: frozenset[str]

    @classmethod
    def read(cls, text: str) -> Self:
        """From TOML."""
        said: dict[str, str] = tomllib.loads(text)
        canonical: dict[str, str] = {}
        for group in _lines(said["synonyms"]):
            stems = [terms.stem(word) for word in group]
            for stem in stems:
                canonical.setdefault(stem, stems[0])

        def of(word: str) -> str:
            stem = terms.stem(word)
            return canonical.get(stem, stem)

        relations = {}
        for line in said["relations"].strip().splitlines():
            word, _, prepositions = line.partition(":")
            relations[of(word.strip())] = frozenset(prepositions.split())
        return cls(
            canonical=canonical,
            light=frozenset(map(terms.stem, said["light"].split())),
            opposites=frozenset(frozenset(map(of, pair)) for pair in _lines(said["opposites"])),
            exclusive={of(word): i for i, line in enumerate(_lines(said["exclusive"])) for word in line},
            scope=frozenset(said["scope"].split()),
            hedges=frozenset(said["hedges"].split()),
            partial=frozenset(said["partial"].split()),
            conditions=frozenset(said["conditions"].split()),
            negators=frozenset(said["negators"].split()),
            once=frozenset(map(of, said["once"].split())),
            relations=relations,
            countries=frozenset(said["countries"].split()),
        )

    def of(self, word: str) -> str:
        """The canonical stem of a word in lower case."""
        stem = terms.stem(word)
        return self.canonical.get(stem, stem)


def _lines(text: str) -> Iterator[list[str]]:
    for line in text.strip().splitlines():
        if words := line.split():
            yield words


@functools.cache
def load() -> Wordings:
    """The words of this release."""
    return Wordings.read((resources.files("services.agents.melding") / "wordings.toml").read_text("utf-8"))
