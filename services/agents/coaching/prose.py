"""Remarks on sentences: their length, how they begin, and what makes English heavy."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from services.agents.coaching.readability import words
from services.agents.coaching.remarks import Remark

Span = tuple[int, int]

# The style guide of GOV.UK: sentences above 25 words are split or cut.
LONG_SENTENCE = 25
_SAME_OPENINGS = 3
_MANY_NOMINALISATIONS = 3

_ADVERB = r"(?:not|never|always|often|also|then|now|just|still|already|\w+ly)"
_PARTICIPLES = (
    "begun|bought|broken|brought|built|caught|chosen|cut|done|drawn|driven|eaten|fallen|felt|forgotten|found|given"
    "|gone|grown|heard|held|hidden|hit|hurt|kept|known|laid|led|left|lent|lost|made|meant|met|paid|put|read|run"
    "|said|seen|sent|set|shaken|shown|shut|sold|spent|spoken|stolen|struck|sung|sworn|taken|taught|thought|thrown"
    "|told|understood|won|worn|written"
)
_PASSIVE = re.compile(
    rf"\b(?:am|is|are|was|were|be|been|being)\s+(?:{_ADVERB}\s+)?(?:[a-z]{{2,}}ed|{_PARTICIPLES})\b",
    re.IGNORECASE,
)
# They end as participles do and describe somebody.
_NO_PASSIVE = re.compile(
    r"\b(?:need|indeed|interested|excited|tired|pleased|worried|bored|concerned|delighted|red|married|supposed"
    r"|advanced|complicated|detailed|limited|naked|wicked|sacred)$",
    re.IGNORECASE,
)
_NOMINALISATION = re.compile(r"\b[a-z]{3,}(?:tion|sion|ment|ance|ence|ity|ness|ism)s?\b", re.IGNORECASE)
# Words by which writers take back what they say (Hyland, 2005, Metadiscourse).
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|presumably|arguably|apparently|seemingly|somewhat|sort of|kind of|a bit"
    r"|a little bit|more or less|to some extent|in a sense|in my opinion|in my view|i think|i believe|i guess"
    r"|i feel that|it seems|it would seem|it appears that|might|could be|may be|tends? to)\b",
    re.IGNORECASE,
)


def lengths(text: str, cut: Sequence[Span]) -> Iterator[Remark]:
    """Sentences that are long. cut: the sentences, in order."""
    for start, end in cut:
        count = len(words(text[start:end]))
        if count > LONG_SENTENCE:
            yield Remark(
                "sentence_length",
                f"This sentence has {count} words. Above {LONG_SENTENCE} readers lose the thread: split it.",
                start,
                end,
            )


def openings(text: str, cut: Sequence[Span]) -> Iterator[Remark]:
    """Rows of three and more sentences that begin with the same word."""
    first = [((words(text[start:end]) or [""])[0].casefold(), (start, end)) for start, end in cut]
    for word, group in itertools.groupby(first, key=lambda item: item[0]):
        row = [span for _, span in group]
        if word and len(row) >= _SAME_OPENINGS:
            yield Remark(
                "opening",
                f"{len(row)} sentences in a row begin with “{word}”. Begin one of them otherwise.",
                row[0][0],
                row[-1][1],
            )


def english(text: str, cut: Sequence[Span]) -> Iterator[Remark]:
    """Hints about passives, nominalisations and hedges: words are looked at, not grammar."""
    for start, end in cut:
        for match in _PASSIVE.finditer(text, start, end):
            if not _NO_PASSIVE.search(match.group()):
                yield Remark("passive", "This looks like a passive. Who does it?", *match.span())
        nouns = list(_NOMINALISATION.finditer(text, start, end))
        different = dict.fromkeys(noun.group().casefold() for noun in nouns)
        if len(different) >= _MANY_NOMINALISATIONS:
            listed = ", ".join(different)
            yield Remark(
                "nominalisation",
                f"{len(different)} nouns stand for what somebody does or is: {listed}. Try verbs.",
                nouns[0].start(),
                nouns[-1].end(),
            )
        for match in _HEDGE.finditer(text, start, end):
            yield Remark("hedge", "This takes back a part of what you say. Do you need it?", *match.span())
