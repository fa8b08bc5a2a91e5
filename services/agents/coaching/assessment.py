"""Judges a text: what can be measured of it, and remarks on its pieces."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.agents.answering import sentences, terms
from services.agents.coaching import prose, structure
from services.agents.coaching.readability import SMOG_SENTENCES, Counts, words
from services.agents.coaching.remarks import Remark
from services.agents.ports import JsonObject

MAX_CHARACTERS = 100_000
MAX_REMARKS = 60
_PER_KIND = 12
_MIN_QUOTED_WORDS = 8
# Code is no prose.
_FENCED = re.compile(r"^[ \t]*```.*?(?:^[ \t]*```[^\n]*$|\Z)", re.DOTALL | re.MULTILINE)
_NO_BREAK = re.compile(r"[^\n]")
_QUOTED = (
    re.compile(r"```[^\n]*\n(.*?)```", re.DOTALL),
    re.compile(r"“([^“”]+)”"),
    re.compile(r"«([^«»]+)»"),
    re.compile(r'"([^"]+)"'),
)
# Of English prose two words in five are function words; of its neighbours far fewer look like one.
_ENGLISH_SHARE = 0.25
_ENGLISH = "en"
# Scripts that put no blanks between words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_ONLY_ENGLISH = (
    "Flesch, Flesch-Kincaid and SMOG, and remarks on passives, nominalisations and hedges: they are made for "
    "English."
)


@dataclass(frozen=True)
class Quoted:
    """A text within a message. start: its first character there."""

    text: str
    start: int


def quoted(message: str) -> Quoted | None:
    """The longest quoted passage of a message, if it has at least eight words."""
    found = [match for pattern in _QUOTED for match in pattern.finditer(message)]
    longest = max(found, key=lambda match: len(match[1]), default=None)
    if longest is None or len(words(longest[1])) < _MIN_QUOTED_WORDS:
        return None
    return Quoted(longest[1], longest.start(1))


@dataclass(frozen=True)
class Metric:
    """A measured value."""

    name: str
    value: float
    unit: str = ""


@dataclass(frozen=True)
class Assessment:
    """What was found of a text. language: "" where it is not known. left_out: remarks that are too many, by
    kind.
    """

    language: str
    metrics: tuple[Metric, ...] = ()
    unmeasured: tuple[str, ...] = ()
    headings: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    left_out: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Plain JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: JsonObject) -> Assessment:
        """Reads `to_json`."""
        return cls(
            value["language"],
            tuple(Metric(**metric) for metric in value["metrics"]),
            tuple(value["unmeasured"]),
            tuple(value["headings"]),
            tuple(Remark(**remark) for remark in value["remarks"]),
            value["left_out"],
        )


def assess(text: str, language: str = "") -> Assessment:
    """What can be said of a text. language: as "en" or "en-GB"; found out when empty."""
    text = _FENCED.sub(lambda code: _NO_BREAK.sub(" ", code.group()), text)
    known = (language.split("-", maxsplit=1)[0] or language_of(text)).lower()
    layout = structure.layout(text)
    cut = [span for paragraph in layout.paragraphs for span in _sentences(text, paragraph)]
    if not cut:
        return Assessment(known, unmeasured=("There is no sentence in it.",), headings=layout.titles)
    metrics, unmeasured = _measured(text, cut, len(layout.paragraphs), known)
    remarks = [*structure.remarks(text, layout), *prose.lengths(text, cut), *prose.openings(text, cut)]
    if known == _ENGLISH:
        remarks += prose.english(text, cut)
    kept, left_out = _bounded(remarks)
    return Assessment(known, tuple(metrics), tuple(unmeasured), layout.titles, tuple(kept), left_out)


def language_of(text: str) -> str:
    """ "en", or "" for another one."""
    found = words(text)
    share = 1 - len(terms.content_words(text)) / len(found) if found else 0.0
    return _ENGLISH if share >= _ENGLISH_SHARE else ""


def _sentences(text: str, paragraph: tuple[int, int]) -> Iterable[tuple[int, int]]:
    start, end = paragraph
    return [(start + first, start + last) for first, last in sentences.spans(text[start:end])]


def _measured(
    text: str, cut: Sequence[tuple[int, int]], paragraphs: int, language: str
) -> tuple[list[Metric], list[str]]:
    said = [text[start:end] for start, end in cut]
    if len(_UNSPACED.findall(text)) > len(text) / 4:
        return (
            [Metric("sentences", len(said)), Metric("paragraphs", paragraphs)],
            ["Words and formulas of readability: this script puts no blanks between words."],
        )
    counts = Counts.of(said)
    lengths = [len(words(sentence)) for sentence in said]
    metrics = [
        Metric("words", counts.words),
        Metric("sentences", counts.sentences),
        Metric("paragraphs", paragraphs),
        Metric("words in a sentence", round(counts.words / counts.sentences, 2)),
        Metric("longest sentence", max(lengths), "words"),
        Metric("LIX", round(counts.lix(), 1)),
    ]
    if language != _ENGLISH:
        return metrics, [_ONLY_ENGLISH]
    metrics += [
        Metric("syllables in a word", round(counts.syllables / counts.words, 2)),
        Metric("Flesch reading ease", round(counts.reading_ease(), 1)),
        Metric("Flesch-Kincaid grade", round(counts.kincaid_grade(), 1), "school years"),
    ]
    if counts.sentences < SMOG_SENTENCES:
        return metrics, [
            f"SMOG: it is made for {SMOG_SENTENCES} sentences, and there are {counts.sentences}."
        ]
    return [*metrics, Metric("SMOG", round(counts.smog(), 1), "school years")], []


def _bounded(remarks: Sequence[Remark]) -> tuple[list[Remark], dict[str, int]]:
    """The remarks in the text's order, a dozen of a kind, sixty in all; and how many of each kind are left
    out.
    """
    seen: Counter[str] = Counter()
    kept: list[Remark] = []
    left_out: Counter[str] = Counter()
    for remark in sorted(remarks, key=lambda remark: (remark.start, remark.end)):
        seen[remark.kind] += 1
        if seen[remark.kind] > _PER_KIND or len(kept) == MAX_REMARKS:
            left_out[remark.kind] += 1
        else:
            kept.append(remark)
    return kept, dict(left_out)
