"""What a statement claims, taken apart: its words, names and quantities, and what it denies."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.agents.answering import rows, terms
from services.agents.melding import quantities, wordings
from services.agents.melding.quantities import Quantity

_TOKEN = re.compile(r"[^\W_]+(?:[-'’.][^\W_]+)*")
# They carry a meaning, though they are function words.
_COMPARING = frozenset({"more", "less", "fewer"})
_AGAINST = frozenset({"than", "compared", "versus", "vs"})
_ABILITY = frozenset({"can", "cannot", "can't"})
_PRONOUNS = frozenset(
    {"it", "they", "he", "she", "this", "these", "that", "those", "its", "their", "his", "her"}
)
AUXILIARIES = frozenset(
    (
        *("is", "are", "was", "were", "be", "been", "being", "has", "have", "had", "do", "does", "did"),
        *("can", "cannot", "must", "will", "shall", "should", "may", "might", "could", "would"),
        *(
            "isn't",
            "aren't",
            "wasn't",
            "weren't",
            "doesn't",
            "don't",
            "didn't",
            "hasn't",
            "haven't",
            "hadn't",
        ),
        *("won't", "can't", "couldn't", "shouldn't", "mustn't", "wouldn't"),
    )
)
_COPULAS = frozenset({"is", "are", "was", "were", "called", "named"})
# A second thing that is said of the same subject, or of another one.
_CLAUSE = re.compile(
    r";\s+|,?\s+(?:but|whereas|while)\s+|,\s+and\s+(?=(?:it|they|he|she|the|its|their)\b)"
    r"|,?\s+and\s+(?=(?:is|are|was|were|has|have|had|can|cannot|must|does)\b)",
    re.IGNORECASE,
)
_CLAUSE_STEMS = 2
_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_NOT_DENYING = re.compile(
    r"\b(?:not only|no (?:more|less|fewer|later|earlier) than|not (?:more|less) than|no\.\s*\d|no doubt)\b",
    re.IGNORECASE,
)
# Denial reaches over this many words that carry meaning, up to the end of its clause.
_REACH = 3
_ENDS_DENIAL = re.compile(r"[,;:.()]|\b(?:but|and|which|that|because|although)\b", re.IGNORECASE)
_WITHIN_NAMES = frozenset({"of", "de", "van", "von", "der", "den", "la", "le", "du", "the", "and"})
_TITLES = frozenset({"mr", "mrs", "ms", "dr", "prof", "sir", "the", "st"})


@dataclass(frozen=True)
class Token:
    """A word. stem: that of its group of synonyms; empty for a word without meaning of its own."""

    word: str
    stem: str
    capital: bool
    start: int
    end: int


@dataclass(frozen=True)
class Name:
    """A name, or what stands where one is asked for. slot: what it is of the rest, such as "locate in"."""

    words: frozenset[str]
    stems: frozenset[str]
    text: str
    slot: str = ""


@dataclass(frozen=True)
class Claim:
    """A statement taken apart.

    frame: stems of what it is about, without quantities and denials. denied: stems that a denial reaches, by
    the place of the word that denies; heads: the first ones. floating: it begins with a pronoun of which
    nobody knows what it stands for. able: it is about what can be.
    """

    text: str
    tokens: tuple[Token, ...]
    frame: frozenset[str]
    quantities: tuple[Quantity, ...]
    labels: frozenset[str]
    names: tuple[Name, ...]
    heads: frozenset[str]
    denied: frozenset[str]
    denials: int
    scope: frozenset[str]
    conditions: frozenset[str]
    hedged: bool
    partial: bool
    able: bool
    floating: bool

    def places(self, stem: str) -> list[int]:
        """Where a stem stands, as positions among the tokens."""
        return [i for i, token in enumerate(self.tokens) if token.stem == stem]

    def compared(self) -> tuple[frozenset[str], frozenset[str]] | None:
        """The stems before and behind "than" or "compared to"; None without one."""
        edge = next((i for i, token in enumerate(self.tokens) if token.word in _AGAINST), None)
        if edge is None:
            return None
        before, behind = (
            frozenset(token.stem for token in part if token.stem)
            for part in (self.tokens[:edge], self.tokens[edge + 1 :])
        )
        return before, behind

    def predicates_at(self) -> int:
        """The position of the first auxiliary or copula; -1 without one."""
        return next((i for i, token in enumerate(self.tokens) if token.word in AUXILIARIES), -1)


def claims(statement: str, subject: str = "") -> list[Claim]:
    """The claims of a statement. subject: what "it" is at its beginning, as the title of its document."""
    return list(_claims(statement, subject))


@functools.lru_cache(maxsize=8192)
def _claims(statement: str, subject: str) -> tuple[Claim, ...]:
    text = " ".join(statement.split())
    if text.endswith("?"):
        return ()
    # A row says all of its cells of one thing; a cell by itself is about nothing.
    pieces = [text] if rows.is_row(text) else list(_pieces(text))
    if not pieces:
        return ()
    first = _taken_apart(pieces[0], subject)
    made = [first]
    carried = _subject(first) or subject
    for piece in pieces[1:]:
        lower = piece.split()[0].lower()
        leans = lower in _PRONOUNS or lower in AUXILIARIES
        made.append(_taken_apart(piece, carried if leans else subject, leans=leans))
    # A fragment of a sentence claims nothing by itself.
    return tuple(claim for claim in made if len(made) == 1 or len(claim.frame) >= _CLAUSE_STEMS)


def _pieces(text: str) -> Iterator[str]:
    """The clauses of a sentence; what stands in brackets is not cut."""
    covered = _BRACKETS.sub(lambda match: "x" * len(match.group()), text)
    position = 0
    for match in _CLAUSE.finditer(covered):
        if text[position : match.start()].strip():
            yield text[position : match.start()]
        position = match.end()
    if text[position:].strip():
        yield text[position:]


def _subject(claim: Claim) -> str:
    """The words before the first auxiliary, which is what the clauses behind are about as well."""
    edge = claim.predicates_at()
    return " ".join(claim.text[token.start : token.end] for token in claim.tokens[: max(edge, 0)])


def _taken_apart(text: str, subject: str, *, leans: bool = False) -> Claim:
    known = wordings.load()
    found, labels = quantities.of(text)
    tokens = tuple(_tokens(text, found, known))
    denials, heads, denied = _denials(text, tokens, known)
    words = [token.word for token in tokens]
    leaning = leans or bool(words and words[0] in _PRONOUNS)
    frame = {token.stem for i, token in enumerate(tokens) if token.stem and not _filler(tokens, i, known)}
    if leaning:
        frame |= {known.of(word) for word in terms.content_words(subject)}
    return Claim(
        text=text,
        tokens=tokens,
        frame=frozenset(frame),
        quantities=found,
        labels=frozenset(labels),
        names=tuple(_names(text, tokens, known)),
        heads=heads,
        denied=denied,
        denials=denials,
        scope=frozenset(known.of(w) for w in words if w in known.scope or w.removesuffix("s") in known.scope),
        conditions=frozenset(words) & known.conditions,
        hedged=any(token.word in known.hedges and not _month(token) for token in tokens),
        partial=not known.partial.isdisjoint(words),
        able=not _ABILITY.isdisjoint(words),
        floating=leaning and not terms.content_words(subject),
    )


def _filler(tokens: Sequence[Token], place: int, known: wordings.Wordings) -> bool:
    """Whether it is the word "known" of "no known relation"."""
    return tokens[place].word == "known" and place > 0 and tokens[place - 1].word in known.negators


def _month(token: Token) -> bool:
    return token.word == "may" and token.capital and token.start > 0


def _tokens(text: str, found: Sequence[Quantity], known: wordings.Wordings) -> Iterator[Token]:
    for match in _TOKEN.finditer(text):
        if any(q.start < match.end() and match.start() < q.end for q in found):
            continue
        raw = match.group()
        word = raw.lower().replace("’", "'").rstrip(".")
        stem = ""
        if word in _COMPARING:
            stem = word
        elif terms.content_words(word) and word not in known.negators and not word.isdigit():
            plain = terms.stem(word)
            stem = "" if plain in known.light else known.canonical.get(plain, plain)
        yield Token(word, stem, raw[0].isupper(), match.start(), match.end())


def _denials(
    text: str, tokens: Sequence[Token], known: wordings.Wordings
) -> tuple[int, frozenset[str], frozenset[str]]:
    spared = [match.span() for match in _NOT_DENYING.finditer(text)]
    count, heads, denied = 0, set(), set()
    for place, token in enumerate(tokens):
        if token.word not in known.negators or any(a <= token.start < b for a, b in spared):
            continue
        count += 1
        end = _ENDS_DENIAL.search(text, token.end)
        reach = [
            other.stem
            for other in tokens[place + 1 :]
            if other.stem and other.word != "known" and (end is None or other.start < end.start())
        ][:_REACH]
        heads |= set(reach[:1])
        denied |= set(reach)
    return count, frozenset(heads), frozenset(denied)


def _names(text: str, tokens: Sequence[Token], known: wordings.Wordings) -> Iterator[Name]:
    place = 0
    while place < len(tokens):
        end = _name_end(tokens, place, known)
        if end == place:
            place += 1
            continue
        words = frozenset(t.word for t in tokens[place:end]) - _WITHIN_NAMES - _TITLES
        stems = frozenset(t.stem for t in tokens[place:end] if t.stem)
        if stems:
            shown = text[tokens[place].start : tokens[end - 1].end]
            yield Name(words, stems, shown, _slot(tokens, place, end, known))
        place = end


def _name_end(tokens: Sequence[Token], place: int, known: wordings.Wordings) -> int:
    """Behind the name that begins here; `place` when none does."""
    end = place
    while end < len(tokens) and _named(tokens[end], known):
        end += 1
        following = end
        while following < len(tokens) and tokens[following].word in _WITHIN_NAMES - {"and"}:
            following += 1
        if following > end and following < len(tokens) and _named(tokens[following], known):
            end = following
    alone = end == place + 1 and place == 0
    if alone and not (len(tokens) > 1 and tokens[1].word in _COPULAS):
        # A capital at the beginning says nothing.
        return place
    return end


def _named(token: Token, known: wordings.Wordings) -> bool:
    return token.capital and bool(token.stem) and token.word not in known.scope


def _slot(tokens: Sequence[Token], place: int, end: int, known: wordings.Wordings) -> str:
    """What the name is of the rest; empty for one that is no value of anything that has only one."""
    before = [token.word for token in tokens[max(0, place - 3) : place]]
    while before and before[-1] in {"the", "a", "an", "called", "named"}:
        before.pop()
    if not before and place <= 1:
        return _subject_slot(tokens, end, known)
    if before and before[-1] in _COPULAS:
        # "The capital of Brava is ...": one thing, so one name.
        return "is" if tokens[0].word in {"the", "its", "our", "their", "his", "her"} else ""
    if before:
        position = place - 1
        while tokens[position].word in {"the", "a", "an"}:
            position -= 1
        preposition = tokens[position].word
        governor = next((t.stem for t in reversed(tokens[max(0, position - 3) : position]) if t.stem), "")
        if not governor:
            governor = next((t.stem for t in tokens[max(0, position - 1) : position]), "")
        if preposition in known.relations.get(governor, ()):
            return f"{governor} {preposition}"
    return ""


def _subject_slot(tokens: Sequence[Token], end: int, known: wordings.Wordings) -> str:
    """Of a name that begins the statement: "X is the ..." and "X designed ...", which is "designed by X"."""
    rest = tokens[end : end + 2]
    if len(rest) == 2 and rest[0].word in _COPULAS and rest[1].word == "the":
        return "is"
    if rest and "by" in known.relations.get(rest[0].stem, ()):
        return f"{rest[0].stem} by"
    return ""
