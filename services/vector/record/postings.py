"""Words of the keyword index in memory: which entries hold a word and how often, for BM25 of all that match.

FTS5 ranks by looking up the length of each entry that holds a word, which takes 2 µs and is done again for
every question. Here the lengths of a collection's entries, and the occurrences of each word that was asked
for, are read once; what is new is added, and the score of every entry is a few additions of arrays. The
scores are those of FTS5's bm25(): they depend on what the index holds now, and not on what was read when. See
docs/adr/0130.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from services.chassis.errors import ServiceError
from services.vector.record import lexicon
from services.vector.record.database import Connection
from services.vector.record.lexicon import Shelf, Stand
from services.vector.record.vectors import Keys

_log = logging.getLogger(__name__)

T = TypeVar("T")
Rows = NDArray[np.int32]
Numbers = NDArray[np.float64]

# As in FTS5's bm25(). What more than half of the entries hold has the least rarity.
_K1, _B = 1.2, 0.75
_LEAST_RARITY = 1e-6
# Entries that have gone stay as places without a word. From this share of all on, everything is read anew.
_MOST_GONE = 0.1
# From so many entries on, words that so many of them hold are read ahead; so many places at once, which takes
# some 40 ms.
_MANY, _COMMON, _AT_ONCE = 20_000, 500, 50_000
_BYTES_EACH = 8


class Reader(Protocol):
    """The record's file, seen from here."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Runs work on a snapshot, in a thread."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """BM25 of all entries of an index by some words and phrases.

    keys: (n,), ascending. scores: (n,), 0 without any of them. holding: for each word or phrase the places in
    `keys` of the entries that hold it.
    """

    keys: Keys
    scores: Numbers
    holding: Mapping[str, Rows]

    def best(self, limit: int, allowed: Keys | None = None, *, holding: str = "") -> list[int]:
        """The `limit` best keys that match, out of `allowed`, in no order; of equal ones the first.

        holding: one of the words or phrases, which all must hold.
        """
        if limit < 1:
            return []
        found: NDArray[np.integer] | None = self.holding[holding] if holding else None
        if allowed is not None:
            keys = self.keys if found is None else self.keys[found]
            there = np.flatnonzero(np.isin(keys, allowed, assume_unique=True))
            found = there if found is None else found[there]
        near = _perhaps_best(self.scores if found is None else self.scores[found], limit)
        found = near if found is None else found[near]
        if len(found) > limit:
            held = self.scores[found]
            edge = np.partition(held, len(held) - limit)[len(held) - limit]
            above, level = found[held > edge], found[held == edge]
            found = np.concatenate((above, level[: limit - len(above)]))
        best: list[int] = self.keys[found].tolist()
        return best

    def of(self, keys: Sequence[int]) -> list[float]:
        """The scores of these, in their order; 0 for those that are not there."""
        scores = np.zeros(len(keys))
        there, places = _places(self.keys, np.fromiter(keys, np.int64, len(keys)))
        scores[there] = self.scores[places]
        listed: list[float] = scores.tolist()
        return listed

    def matching(self, keys: Collection[int], *, holding: str = "") -> set[int]:
        """Those of the keys that match, and hold this word or phrase if one is named."""
        wanted = np.sort(np.fromiter(keys, np.int64, len(keys)))
        there, places = _places(self.keys, wanted)
        match = np.isin(places, self.holding[holding]) if holding else self.scores[places] > 0
        found: list[int] = wanted[there][match].tolist()
        return set(found)


@dataclass(frozen=True, slots=True, eq=False)
class _Word:
    """Places of the entries that hold it, ascending, and how often each does, by the columns' weights.

    upto: so many of the entries were looked at.
    """

    rows: Rows
    counts: NDArray[np.float32]
    upto: int

    @property
    def bytes(self) -> int:
        return self.rows.nbytes + self.counts.nbytes


class _Words(dict[str, _Word]):
    """By name; knows its size, because thousands are too many to be added up for a question."""

    bytes = 0

    def __setitem__(self, name: str, word: _Word) -> None:
        before = self.get(name)
        self.bytes += word.bytes - (0 if before is None else before.bytes)
        super().__setitem__(name, word)

    def clear(self) -> None:
        super().clear()
        self.bytes = 0


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    """An index as it stood. A later state has the same entries and more, and shares `words`, or is new.

    gone: which of the entries have gone, (n,); None when all are there. norms: what BM25 adds to the number
    of occurrences for an entry's length, (n,).
    """

    stand: Stand
    keys: Keys
    lengths: NDArray[np.int64]
    gone: NDArray[np.bool_] | None
    norms: Numbers
    words: _Words = field(default_factory=_Words)

    @property
    def bytes(self) -> int:
        return self.keys.nbytes + self.lengths.nbytes + self.norms.nbytes + self.words.bytes

    def looked_at_by(self, word: _Word) -> bool:
        return word.upto >= len(self.keys)


@dataclass(slots=True, eq=False)
class _Index:
    state: _State | None = None
    # The newest that was seen.
    stand: Stand | None = None
    # Whether its common words were read, or are about to be.
    ahead: bool = False
    # One at a time reads what is new.
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


class Postings:
    """What was read of keyword indexes; those least recently asked are dropped above `limit_bytes`."""

    def __init__(self, reader: Reader, limit_bytes: int) -> None:
        self._reader = reader
        self.limit_bytes = limit_bytes
        self._indexes: OrderedDict[Shelf, _Index] = OrderedDict()
        self._guard = threading.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        # Questions whose words were all here as they are now, and those for which some had to be read.
        self.hits = 0
        self.misses = 0

    @property
    def bytes(self) -> int:
        """Memory held. May be read from any thread."""
        with self._guard:
            states = [index.state for index in self._indexes.values()]
        return sum(state.bytes for state in states if state is not None)

    async def rank(self, shelf: Shelf, parts: Sequence[str]) -> Ranking:
        """BM25 of all entries that hold one of these words or phrases. Raises what a read raises.

        parts: distinct, each as services.vector.search.question writes it.
        """
        with self._guard:
            index = self._indexes.setdefault(shelf, _Index())
            self._indexes.move_to_end(shelf)
        if _known(index.state, parts) is not None:
            ranking = await self._reader.read(lambda connection: _ranked(connection, shelf, index, parts))
            if ranking is not None:
                self.hits += 1
                return ranking
        self.misses += 1
        async with index.reading:
            ranking = await self._reader.read(lambda connection: _read(connection, shelf, index, parts))
        self._shrink(index)
        if not index.ahead and index.state is not None and len(index.state.keys) >= _MANY:
            index.ahead = True
            task = asyncio.create_task(self._read_ahead(shelf, index))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return ranking

    async def _read_ahead(self, shelf: Shelf, index: _Index) -> None:
        """Reads the words that many entries hold, beside the questions, which need not wait for them then."""
        try:
            entries = 0 if index.state is None else index.state.stand.entries
            most = entries // 2
            words = await self._reader.read(lambda one: lexicon.common(one, shelf, _COMMON, most))
            room = self.limit_bytes // 2 // _BYTES_EACH
            while words and room > 0:
                batch: dict[str, int] = {}
                while words and sum(batch.values()) < _AT_ONCE:
                    word, holding = words.pop(0)
                    batch[word] = holding
                room -= sum(batch.values())
                if not await self._read_batch(shelf, index, batch):
                    return
        except (ServiceError, RuntimeError) as error:
            # A question that needs a word reads it, and tells what is wrong.
            _log.info("the common words of a keyword index were not read ahead: %s", error)

    async def _read_batch(self, shelf: Shelf, index: _Index, terms: Collection[str]) -> bool:
        """Whether there is more to do: not with another index by now, a dropped one, or without room."""

        def work(connection: Connection) -> bool:
            state = index.state
            # What came since is looked up by the question that needs it.
            if state is None or lexicon.stand(connection, shelf, index.stand).root != state.stand.root:
                return False
            _put(connection, shelf, state, [term for term in terms if term not in state.words])
            return True

        async with index.reading:
            with self._guard:
                there = self._indexes.get(shelf) is index
            more = there and await self._reader.read(work)
        # Nobody may ask for long, and many indexes may be read ahead at once.
        full = self.bytes > self.limit_bytes
        self._shrink(index)
        return more and not full

    def _shrink(self, used: _Index) -> None:
        while self.bytes > self.limit_bytes:
            with self._guard:
                shelf, oldest = next(iter(self._indexes.items()))
                if oldest is used:
                    # Alone too large: its words are read again for the next question.
                    if used.state is not None:
                        used.state.words.clear()
                    return
                del self._indexes[shelf]


def _known(state: _State | None, parts: Sequence[str]) -> dict[str, _Word] | None:
    """The words and phrases, when all are in memory with all entries of the state."""
    if state is None:
        return None
    words = {
        part: word
        for part, name in _named(parts).items()
        if (word := state.words.get(name)) and state.looked_at_by(word)
    }
    return words if len(words) == len(parts) else None


def _ranked(connection: Connection, shelf: Shelf, index: _Index, parts: Sequence[str]) -> Ranking | None:
    """By what is in memory; None when something has to be read first."""
    state = index.state
    words = _known(state, parts)
    if state is None or words is None:
        return None
    index.stand = lexicon.stand(connection, shelf, index.stand)
    return _scored(state, words) if index.stand == state.stand else None


def _read(connection: Connection, shelf: Shelf, index: _Index, parts: Sequence[str]) -> Ranking:
    """As _ranked, after a look at what is new."""
    state = index.state
    stand = index.stand = lexicon.stand(connection, shelf, index.stand)
    if state is None or stand != state.stand:
        grown = None if state is None else _grown(connection, shelf, state, stand)
        if grown is None:
            index.ahead = False
        state = grown or _begun(connection, shelf, stand)
    words = _words(connection, shelf, state, parts)
    index.state = state
    return _scored(state, words)


def _begun(connection: Connection, shelf: Shelf, stand: Stand) -> _State:
    keys, lengths = lexicon.lengths(connection, shelf, after=-1)
    return _State(stand, keys, lengths, None, _norms(lengths, stand))


def _grown(connection: Connection, shelf: Shelf, known: _State, stand: Stand) -> _State | None:
    """The state with what has come and without what has gone; None when it is easier to begin anew."""
    if stand.root != known.stand.root:
        return None
    last = int(known.keys[-1]) if len(known.keys) else -1
    more, their_lengths = lexicon.lengths(connection, shelf, after=last)
    keys, lengths = np.concatenate((known.keys, more)), np.concatenate((known.lengths, their_lengths))
    gone = known.gone
    if gone is not None:
        gone = np.concatenate((gone, np.zeros(len(more), np.bool_)))
    if len(keys) - (0 if gone is None else np.count_nonzero(gone)) != stand.entries:
        there, _ = lexicon.lengths(connection, shelf, after=-1)
        gone = ~np.isin(keys, there, assume_unique=True)
        # An entry that came back under its key may have other words.
        if len(keys) - np.count_nonzero(gone) != len(there) or (
            known.gone is not None and (known.gone & ~gone[: len(known.gone)]).any()
        ):
            return None
        if np.count_nonzero(gone) > _MOST_GONE * len(keys):
            return None
    if int(lengths.sum() if gone is None else lengths[~gone].sum()) != stand.words:
        # The table was made anew, more than once, and has its old root by chance.
        return None
    return _State(stand, keys, lengths, gone, _norms(lengths, stand), known.words)


def _norms(lengths: NDArray[np.int64], stand: Stand) -> Numbers:
    mean = stand.words / stand.entries if stand.entries and stand.words else 1.0
    norms: Numbers = _K1 * (1 - _B + _B * (lengths / mean))
    return norms


def _named(parts: Sequence[str]) -> dict[str, str]:
    """By which name the words and phrases are in memory: words that have a stem in common are one."""
    return {part: lexicon.term(part) or part for part in parts}


def _put(connection: Connection, shelf: Shelf, state: _State, terms: Collection[str]) -> None:
    """Puts words that are not in memory into the state; each as the index has it."""
    for term, (keys, counts) in zip(terms, lexicon.occurrences(connection, shelf, list(terms)), strict=True):
        there, rows = _places(state.keys, keys)
        state.words[term] = _Word(rows.astype(np.int32), counts[there], len(state.keys))


def _words(connection: Connection, shelf: Shelf, state: _State, parts: Sequence[str]) -> dict[str, _Word]:
    """These words with all entries of the state, in memory as well; what is there is completed."""
    names = _named(parts)
    # Most that was never read are single words, for which there is a short way.
    _put(connection, shelf, state, {n for part, n in names.items() if n != part and n not in state.words})
    words = {part: word for part, name in names.items() if (word := state.words.get(name))}
    nothing = _Word(np.empty(0, np.int32), np.empty(0, np.float32), 0)
    behind = [part for part in parts if part not in words or not state.looked_at_by(words[part])]
    asked = []
    for part in behind:
        upto = words.setdefault(part, nothing).upto
        asked.append((part, int(state.keys[upto - 1]) if upto else -1))
    for part, found in zip(behind, lexicon.scores(connection, shelf, asked), strict=True):
        there, rows = _places(state.keys, found.keys)
        counts = _counts(found.scores[there], state.norms[rows], _most(state.stand.entries, found.holding))
        known = words[part]
        words[part] = _Word(
            np.concatenate((known.rows, rows.astype(np.int32))),
            np.concatenate((known.counts, counts)),
            len(state.keys),
        )
        state.words[names[part]] = words[part]
    return words


def _counts(scores: Numbers, norms: Numbers, most: float) -> NDArray[np.float32]:
    """Backwards from the score, which is all that FTS5 tells of a phrase, to the occurrences.

    They are whole numbers, so nothing is lost. most: what no score reaches.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        counts = scores * norms / (most - scores)
    sound = np.nan_to_num(counts, nan=1.0, posinf=1.0, neginf=1.0)
    return np.maximum(1.0, np.rint(sound)).astype(np.float32)


def _scored(state: _State, words: Mapping[str, _Word]) -> Ranking:
    scores = np.zeros(len(state.keys))
    holding: dict[str, Rows] = {}
    for part, word in words.items():
        rows, counts = word.rows, word.counts
        if word.upto > len(state.keys):
            # A question that began later has read more.
            cut = int(np.searchsorted(rows, len(state.keys)))
            rows, counts = rows[:cut], counts[:cut]
        if state.gone is not None:
            there = ~state.gone[rows]
            rows, counts = rows[there], counts[there]
        scores[rows] += _most(state.stand.entries, len(rows)) * (counts / (counts + state.norms[rows]))
        holding[part] = rows
    return Ranking(state.keys, scores, holding)


def _most(entries: int, holding: int) -> float:
    """What a word that so many of the entries hold adds to a score at most: its rarity, times k1 + 1."""
    rarity = math.log((entries - holding + 0.5) / (holding + 0.5)) if holding < entries else 0.0
    return max(_LEAST_RARITY, rarity) * (_K1 + 1)


def _perhaps_best(scores: Numbers, limit: int) -> NDArray[np.intp]:
    """The places, ascending, of scores (n,) above 0 that may be among the `limit` greatest.

    Told in single precision, of which a fast comparison finds the edge: rounding keeps the order, so none is
    missed, and few too many stay.
    """
    matching = np.flatnonzero(scores > 0)
    if len(matching) <= limit:
        return matching
    # The best in front: many that are equal at the other end take ten times as long.
    coarse = -scores[matching].astype(np.float32)
    near: NDArray[np.intp] = matching[coarse <= np.partition(coarse, limit - 1)[limit - 1]]
    return near


def _places(keys: Keys, wanted: Keys) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Which of the wanted (m,) are among keys (n,), which ascend, and the places of these."""
    if not len(keys):
        return np.zeros(len(wanted), np.bool_), np.empty(0, np.intp)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    there = keys[at] == wanted
    return there, at[there]
