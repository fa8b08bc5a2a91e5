"""Whether two claims contradict each other, or say the same. Words and numbers decide; precision goes first.

Both must be about the same thing: they share their words but for the one in which they differ, and neither
has a scope, condition or name of its own. What is left then contradicts: another number, date or unit, a
denial of what the other says, opposites, or another value of what has only one. What is not certain is not
said.

This is no inference: "The harbour is closed" and "Ships leave it daily" go unnoticed.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.agents.melding import wordings
from services.agents.melding.claims import Claim, Name, Token
from services.agents.melding.quantities import DATE, YEARDAY, Quantity

# One statement may say more than the other: of all words of both, this share is in both, or their embeddings
# are as close as that. Embeddings alone tell nothing here: "induces" and "prevents" in one sentence of
# SciFact's training claims have a cosine of 0.98.
_SAME_BY_WORDS = 0.7
_SAME_BY_VECTORS = 0.8
_EFFECT = "affect"
_CHANGES = frozenset({"increas", "decreas"})


class Kind(enum.Enum):
    """In what two claims differ."""

    NUMBER = "number"
    DATE = "date"
    UNIT = "unit"
    NEGATION = "negation"
    OPPOSITE = "opposite"
    VALUE = "value"


@dataclass(frozen=True)
class Clash:
    """A contradiction. topic: words that both claims have, in the order of the first. one, other: in what
    they differ, as written."""

    kind: Kind
    topic: str
    one: str
    other: str


def clash(one: Sequence[Claim], other: Sequence[Claim]) -> Clash | None:
    """The first contradiction between the claims of two statements."""
    for first in one:
        for second in other:
            if found := between(first, second):
                return found
    return None


def between(one: Claim, other: Claim) -> Clash | None:
    """How two claims contradict each other; None when they do not, as far as words tell."""
    if one.hedged or other.hedged or one.floating or other.floating:
        return None
    if one.scope != other.scope or one.conditions != other.conditions or one.labels != other.labels:
        return None
    if not one.frame & other.frame:
        return None
    return _number(one, other) or _denial(one, other) or _opposite(one, other) or _value(one, other)


def same(one: Sequence[Claim], other: Sequence[Claim], similarity: float | None) -> bool:
    """Whether two statements say the same. similarity: cosine of their embeddings; None when unknown."""
    if len(one) != len(other) or not one:
        return False
    return all(_same(first, second, similarity) for first, second in zip(one, other, strict=True))


def _same(one: Claim, other: Claim, similarity: float | None) -> bool:
    if one.scope != other.scope or one.conditions != other.conditions or one.labels != other.labels:
        return False
    if one.hedged != other.hedged or one.partial != other.partial:
        return False
    pairs = _paired(one, other)
    if pairs is None or not all(_alike(first, second) for first, second in pairs):
        return False
    ours, theirs = one.frame - other.frame, other.frame - one.frame
    turned = _opposites(ours, theirs)
    if bool(turned) != (one.denials % 2 != other.denials % 2):
        return False
    if turned:
        ours, theirs = ours - {turned[0]}, theirs - {turned[1]}
    shared = len(one.frame & other.frame)
    if not shared or (ours and theirs) or _swapped(one, other):
        return False
    share = shared / (shared + len(ours) + len(theirs))
    return share >= _SAME_BY_WORDS or (similarity is not None and similarity >= _SAME_BY_VECTORS)


def _alike(first: Quantity, second: Quantity) -> bool:
    """Whether two quantities are one: "over 300" and "350" agree, and say different things."""
    open_ended = [not (math.isfinite(q.low) and math.isfinite(q.high)) for q in (first, second)]
    return open_ended[0] == open_ended[1] and first.agrees(second)


def _swapped(one: Claim, other: Claim) -> bool:
    """Whether what stands before "than" in one stands behind it in the other."""
    ours, theirs = one.compared(), other.compared()
    if ours is None or theirs is None:
        return False
    before, behind = ours[0] - theirs[0], theirs[0] - ours[0]
    return bool(before and behind) and before <= theirs[1] and behind <= ours[1]


def _about_the_same(one: Claim, other: Claim, ours: frozenset[str], theirs: frozenset[str]) -> bool:
    """Whether two claims are about one thing. ours, theirs: what only one of them has, besides that in which
    they differ."""
    shared = len(one.frame & other.frame)
    if ours and theirs:
        return False
    left = len(ours | theirs)
    return shared >= 2 and left <= shared if left else shared >= 1


# -- numbers ---------------------------------------------------------------------------------------------


def _number(one: Claim, other: Claim) -> Clash | None:
    pairs = _paired(one, other)
    if not pairs or one.denials or other.denials:
        return None
    differing = [(first, second) for first, second in pairs if not first.agrees(second)]
    if len(differing) != 1:
        # In two of them: another time or place, and so another value.
        return None
    first, second = differing[0]
    ours, theirs = one.frame - other.frame, other.frame - one.frame
    if first.dimension.startswith("count") and first.nouns != second.nouns:
        ours, theirs = ours - first.nouns, theirs - second.nouns
    if not _about_the_same(one, other, ours, theirs):
        return None
    if first.dimension in (DATE, YEARDAY):
        if not one.frame & other.frame & wordings.load().once:
            return None
        return Clash(Kind.DATE, _topic(one, other), first.text, second.text)
    kind = Kind.UNIT if first.unit != second.unit and _figures(first) == _figures(second) else Kind.NUMBER
    return Clash(kind, _topic(one, other), first.text, second.text)


def _figures(quantity: Quantity) -> str:
    return "".join(c for c in quantity.text if c.isdigit() or c == ".")


def _paired(one: Claim, other: Claim) -> list[tuple[Quantity, Quantity]] | None:
    """The quantities of both, one to one, those that agree first; None when one has no counterpart."""
    left = list(other.quantities)
    if len(left) != len(one.quantities):
        return None
    pairs: list[tuple[Quantity, Quantity]] = []
    waiting: list[Quantity] = []
    for quantity in one.quantities:
        match = next((q for q in left if _comparable(quantity, q, one, other) and quantity.agrees(q)), None)
        if match is None:
            waiting.append(quantity)
        else:
            left.remove(match)
            pairs.append((quantity, match))
    for quantity in waiting:
        match = next((q for q in left if _comparable(quantity, q, one, other)), None)
        if match is None:
            return None
        left.remove(match)
        pairs.append((quantity, match))
    return pairs


def _comparable(first: Quantity, second: Quantity, one: Claim, other: Claim) -> bool:
    if first.comparable(second):
        return True
    if first.dimension != second.dimension or (first.nouns and second.nouns):
        return False
    # "The number of ferries is 12" and "There are 15 ferries".
    return first.nouns <= other.frame and second.nouns <= one.frame


# -- denials and opposites -------------------------------------------------------------------------------


def _denial(one: Claim, other: Claim) -> Clash | None:
    if one.partial or other.partial or one.able != other.able or one.denials + other.denials != 1:
        return None
    denying, affirming = (one, other) if one.denials else (other, one)
    ours, theirs = denying.frame - affirming.frame, affirming.frame - denying.frame
    if denying.heads == {_EFFECT} and _EFFECT in ours and (changes := theirs & _CHANGES):
        # "has no effect on" and "reduces"
        ours, theirs = ours - {_EFFECT}, theirs - changes
    elif not denying.heads or not denying.heads <= affirming.frame:
        return None
    if not _quantities_agree(one, other):
        return None
    # What is denied of a part says nothing of the rest.
    if ours & denying.denied or _behind(denying, ours, min(map(min, _places(denying, denying.heads)))):
        return None
    if len(one.frame & other.frame) < 2 or not _about_the_same(denying, affirming, ours, theirs):
        return None
    return Clash(Kind.NEGATION, _topic(one, other), one.text, other.text)


def _places(claim: Claim, stems: frozenset[str]) -> list[list[int]]:
    return [places for stem in stems if (places := claim.places(stem))]


def _behind(claim: Claim, stems: frozenset[str], place: int) -> bool:
    """Whether one of the stems stands behind a position."""
    return any(position > place for stem in stems for position in claim.places(stem))


def _quantities_agree(one: Claim, other: Claim) -> bool:
    pairs = _paired(one, other)
    return pairs is not None and all(first.agrees(second) for first, second in pairs)


def _opposite(one: Claim, other: Claim) -> Clash | None:
    if one.partial or other.partial or one.able != other.able or one.denials % 2 != other.denials % 2:
        return None
    ours, theirs = one.frame - other.frame, other.frame - one.frame
    if not ours and not theirs and _swapped(one, other) and _quantities_agree(one, other):
        return Clash(Kind.OPPOSITE, _topic(one, other), one.text, other.text)
    turned = _opposites(ours, theirs)
    if turned is None:
        return None
    first, second = turned
    if _paired(one, other) is None or not (_predicative(one, first) and _predicative(other, second)):
        return None
    ours, theirs = ours - {first}, theirs - {second}
    if not _about_the_same(one, other, ours, theirs):
        return None
    if _behind(one, ours, one.places(first)[0]) or _behind(other, theirs, other.places(second)[0]):
        return None
    return Clash(Kind.OPPOSITE, _topic(one, other), _word(one, first), _word(other, second))


def _opposites(ours: frozenset[str], theirs: frozenset[str]) -> tuple[str, str] | None:
    pairs = wordings.load().opposites
    return next(((a, b) for a in sorted(ours) for b in sorted(theirs) if frozenset((a, b)) in pairs), None)


def _predicative(claim: Claim, stem: str) -> bool:
    """Whether a word is said of the subject, and does not tell which subject it is."""
    places = claim.places(stem)
    if not places:
        return False
    edge = claim.predicates_at()
    if edge >= 0:
        return places[0] > edge
    first = next((i for i, token in enumerate(claim.tokens) if token.stem), 0)
    return places[0] > first and claim.tokens[places[0] - 1].word not in {"the", "a", "an", "this", "that"}


# -- values ----------------------------------------------------------------------------------------------


def _value(one: Claim, other: Claim) -> Clash | None:
    if one.partial or other.partial or one.denials or other.denials or not _quantities_agree(one, other):
        return None
    return _other_name(one, other) or _other_kind(one, other)


def _other_name(one: Claim, other: Claim) -> Clash | None:
    ours = [name for name in one.names if not any(name.words & o.words for o in other.names)]
    theirs = [name for name in other.names if not any(name.words & o.words for o in one.names)]
    if len(ours) != 1 or len(theirs) != 1:
        return None
    first, second = ours[0], theirs[0]
    if not first.slot or first.slot != second.slot or _level(first) != _level(second):
        return None
    if first.stems & other.frame or second.stems & one.frame:
        return None
    if not _about_the_same(
        one, other, one.frame - other.frame - first.stems, other.frame - one.frame - second.stems
    ):
        return None
    return Clash(Kind.VALUE, _topic(one, other), first.text, second.text)


def _level(name: Name) -> bool:
    """Whether it names a country or a part of the earth; a town may well be in one."""
    return not name.words.isdisjoint(wordings.load().countries)


def _other_kind(one: Claim, other: Claim) -> Clash | None:
    found = _exclusive(one.frame - other.frame, other.frame - one.frame)
    if found is None:
        return None
    first, second = found
    if not (_predicative(one, first) and _predicative(other, second)):
        return None
    if not (_last_of(one, first) and _last_of(other, second)):
        return None
    ours, theirs = one.frame - other.frame - {first}, other.frame - one.frame - {second}
    if not _about_the_same(one, other, ours, theirs):
        return None
    return Clash(Kind.VALUE, _topic(one, other), _word(one, first), _word(other, second))


def _last_of(claim: Claim, stem: str) -> bool:
    """Whether nothing of its own follows it, as "house" does in "red house", and it is no list."""
    place = claim.places(stem)[0]
    following = claim.tokens[place + 1 : place + 2]
    listed = {"and", "or"} & {token.word for token in claim.tokens[max(0, place - 2) : place + 3]}
    return not listed and not any(token.stem for token in following)


def _exclusive(ours: frozenset[str], theirs: frozenset[str]) -> tuple[str, str] | None:
    sets = wordings.load().exclusive
    return next(
        ((a, b) for a in sorted(ours) for b in sorted(theirs) if a in sets and sets[a] == sets.get(b)), None
    )


# -- words for people ------------------------------------------------------------------------------------


def _topic(one: Claim, other: Claim) -> str:
    shared = [token for token in one.tokens if token.stem in other.frame]
    return " ".join(dict.fromkeys(one.text[token.start : token.end] for token in shared)) or _first_words(one)


def _first_words(claim: Claim) -> str:
    return " ".join(sorted(claim.frame))


def _word(claim: Claim, stem: str) -> str:
    token: Token = claim.tokens[claim.places(stem)[0]]
    return claim.text[token.start : token.end]
