"""Questions made of sentences: one thing is left out, which has to be put in again."""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.agents.answering import sentences, terms
from services.agents.coaching.repetition import BEST, PASSING
from services.agents.model import Passage, Quote
from services.agents.ports import JsonObject

GAP = "____"
_MIN_WORDS, _MAX_WORDS = 5, 40
_MAX_CHARACTERS = 240
_MIN_LETTERS = 4
_CLOSE = 0.8
_HEADING = re.compile(r"\s*(?:#|\||```|[-*•–+>]\s)")
_NUMBER = re.compile(r"(?<![\w.,-])\d[\d.,:]*\d(?![\w-])|(?<![\w.,-])\d+(?![\w-])")
_NAME = re.compile(r"(?<=[\w,;:)] )[A-ZÀ-ÞΑ-ΩА-Я][\w’'-]+(?: [A-ZÀ-ÞΑ-ΩА-Я][\w’'-]+)*")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_ARTICLES = frozenset({"a", "an", "the"})


@dataclass(frozen=True)
class Question:
    """A sentence of a document, and which characters of it are asked for."""

    document_id: str
    title: str
    collection_id: str
    extraction_sha256: str
    byte_start: int
    sentence: str
    gap: tuple[int, int]

    @property
    def question_id(self) -> str:
        """By which it is answered: the same for the same words in the same place."""
        said = (
            f"{self.document_id}\0{self.extraction_sha256}\0{self.byte_start}\0{self.gap[0]}\0{self.sentence}"
        )
        return hashlib.sha256(said.encode()).hexdigest()[:12]

    @property
    def prompt(self) -> str:
        """The sentence with its gap."""
        return f"{self.sentence[: self.gap[0]]}{GAP}{self.sentence[self.gap[1] :]}"

    @property
    def answer(self) -> str:
        """What stands in the gap."""
        return self.sentence[self.gap[0] : self.gap[1]]

    def quote(self) -> Quote:
        """The whole sentence in its place, to be verified."""
        end = self.byte_start + len(self.sentence.encode())
        passage = Passage(
            document_id=self.document_id,
            title=self.title,
            chunk_id="",
            collection_id=self.collection_id,
            text=self.sentence,
            byte_start=self.byte_start,
            byte_end=end,
            extraction_sha256=self.extraction_sha256,
        )
        return Quote(passage, self.byte_start, end, self.sentence)

    def to_json(self) -> JsonObject:
        """Plain JSON."""
        return {**vars(self), "gap": list(self.gap)}

    @classmethod
    def from_json(cls, value: JsonObject) -> Question:
        """Reads `to_json`; what else stands there is left alone."""
        first, last = value["gap"]
        return cls(**{name: value[name] for name in cls.__dataclass_fields__} | {"gap": (first, last)})


def questions(passages: Sequence[Passage]) -> Iterator[Question]:
    """Questions of some passages: of each its first, then of each its second, and so on."""
    stems = [terms.stems(quote.text) for passage in passages for quote in sentences.sentences(passage)]
    rarity = terms.inverse_frequencies(stems)
    rows = [list(_of(passage, rarity)) for passage in passages]
    seen: set[str] = set()
    for turn in range(max(map(len, rows), default=0)):
        for row in rows:
            if turn < len(row) and row[turn].sentence not in seen:
                seen.add(row[turn].sentence)
                yield row[turn]


def _of(passage: Passage, rarity: Mapping[str, float]) -> Iterator[Question]:
    for quote in sentences.sentences(passage):
        gap = _gap(quote.text, rarity)
        if gap is not None:
            yield Question(
                passage.document_id,
                passage.title[:_MAX_CHARACTERS],
                passage.collection_id,
                passage.extraction_sha256,
                quote.byte_start,
                quote.text,
                gap,
            )


def _gap(sentence: str, rarity: Mapping[str, float]) -> tuple[int, int] | None:
    """What to leave out: a number, else a name, else the rarest word. None for what makes no question."""
    said = terms.words(sentence)
    if not _MIN_WORDS <= len(said) <= _MAX_WORDS or len(sentence) > _MAX_CHARACTERS:
        return None
    if sentences.wholeness(sentence) < 1.0 or _HEADING.match(sentence) or "\n" in sentence:
        return None
    # Who "he" is or what "this" means stands elsewhere.
    if said[0] in terms.REFERRING_WORDS:
        return None
    for pattern in (_NUMBER, _NAME):
        if match := pattern.search(sentence):
            return match.span()
    content = set(terms.content_words(sentence))
    fitting = [
        match
        for match in _WORD.finditer(sentence)
        if match.group().lower() in content and len(match.group()) >= _MIN_LETTERS
    ]
    if not fitting:
        return None
    # Of words that are as rare the last one: what is new in a sentence stands at its end.
    rarest = max(
        fitting, key=lambda match: (rarity.get(terms.stem(match.group().lower()), 0.0), match.start())
    )
    return rarest.span()


def grade(expected: str, answer: str) -> int:
    """How well an answer fits, 0 to 5 as in SM-2: 5 the same words, 4 misspelt, 3 the words among others, 1
    something else, 0 nothing. Numbers fit or do not.
    """
    wanted, given = _plain(expected), _plain(answer)
    if not given:
        return 0
    if wanted == given:
        return BEST
    if _NUMBER.fullmatch(expected.strip()):
        return PASSING if expected.strip() in _NUMBER.findall(answer) else 1
    if difflib.SequenceMatcher(None, " ".join(wanted), " ".join(given)).ratio() >= _CLOSE:
        return BEST - 1
    return PASSING if set(wanted) <= set(given) and len(given) <= 3 * len(wanted) else 1


def _plain(text: str) -> list[str]:
    return [terms.stem(word) for word in terms.words(text) if word not in _ARTICLES]
