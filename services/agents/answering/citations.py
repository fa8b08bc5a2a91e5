"""Citations of an answer: their numbers, the quotes behind them, and the marks "[n]" in the text."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

from services.agents.answering import sentences, terms
from services.agents.model import Citation, Finding, Passage, Quote

# A mark a model writes: one or more passage numbers in brackets. A year in brackets is not one.
_MARK = re.compile(r"\[\s*\d{1,3}(?:\s*[,;]\s*\d{1,3})*\s*\]")
# What may still become a mark, or a fence of code, when more text comes.
_UNDECIDED = re.compile(r"(?:[ \t]*\[[\d\s,;]{0,24}|[ \t]+|(?<!`)`{1,2})$")
_UNDECIDED_FENCE = re.compile(r"(?<!`)`{1,2}$")
# A mark as an answer has it: the number of one citation.
_CITED = re.compile(r"\[(\d{1,3})\]")
_CODE = re.compile(r"```.*?(?:```|$)|`[^`\n]*`", re.DOTALL)
_SENTENCE_END = re.compile(r"[.!?…]\s+|\n+")
# A second sentence joins a quote when it adds this share of the statement's weight.
_JOIN_GAIN = 0.2


class CitationBook:
    """Gives each quote that is cited one number, from 1, in the order of first use."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str, int, int], int] = {}
        self._citations: list[Citation] = []
        self._last = 0

    def cite(self, quote: Quote) -> int:
        """The number of a quote."""
        passage = quote.passage
        key = (passage.document_id, passage.extraction_sha256, quote.byte_start, quote.byte_end)
        number = self._numbers.get(key)
        if number is None:
            self._last += 1
            number = self._numbers[key] = self._last
            self._citations.append(Citation(number, quote))
        return number

    def citations(self) -> tuple[Citation, ...]:
        """What was cited, by number."""
        return tuple(self._citations)

    def with_quotes(self, quotes: Mapping[int, Quote]) -> CitationBook:
        """A book of the citations of these numbers only, with these quotes. They keep their numbers, and a
        new one gets a fresh number.
        """
        book = CitationBook()
        book._last = self._last
        book._citations = [
            Citation(c.number, quotes[c.number]) for c in self._citations if c.number in quotes
        ]
        book._numbers = {key: number for key, number in self._numbers.items() if number in quotes}
        return book


class MarkRewriter:
    """Turns the passage numbers that a model writes into citation numbers, while the text streams.

    A mark to a passage that was not shown is taken out. Text inside code is left as it is. `cite` gets the
    passage's number and the statement before the mark, and returns the citation's number, or None for a
    passage that was not shown.
    """

    def __init__(self, cite: Callable[[int, str], int | None]) -> None:
        self._cite = cite
        self._held = ""
        self._sentence = ""
        self._last_statement = ""
        self._fence = ""

    def feed(self, piece: str) -> str:
        """The text that can be shown now."""
        text = self._held + piece
        undecided = (_UNDECIDED_FENCE if self._fence else _UNDECIDED).search(text)
        cut = undecided.start() if undecided else len(text)
        self._held = text[cut:]
        return self._rewrite(text[:cut])

    def finish(self) -> str:
        """The rest."""
        text, self._held = self._held, ""
        return self._rewrite(text)

    def _rewrite(self, text: str) -> str:
        shown: list[str] = []
        for part in re.split(r"(```|`|[ \t]*\[[\d\s,;]+\])", text):
            if part in {"```", "`"}:
                self._toggle(part)
                shown.append(part)
            elif not self._fence and _MARK.fullmatch(part.strip()):
                shown.append(self._mark(part))
            else:
                shown.append(part)
                self._follow(part)
        return "".join(shown)

    def _toggle(self, fence: str) -> None:
        if not self._fence:
            self._fence = fence
        elif self._fence == fence:
            self._fence = ""

    def _mark(self, part: str) -> str:
        statement = self._sentence.strip() or self._last_statement
        numbers = (self._cite(int(number), statement) for number in re.findall(r"\d+", part))
        marks = "".join(f"[{number}]" for number in dict.fromkeys(n for n in numbers if n is not None))
        blank = part[: len(part) - len(part.lstrip())]
        return blank + marks if marks else ""

    def _follow(self, part: str) -> None:
        """Keeps the sentence that a coming mark would belong to."""
        if self._fence == "`" and "\n" in part:
            # Code within a line ends with the line, closed or not.
            self._fence = ""
        pieces = _SENTENCE_END.split(self._sentence + part)
        complete = [piece.strip() for piece in pieces[:-1] if piece.strip()]
        if complete:
            self._last_statement = complete[-1]
        self._sentence = pieces[-1]


def best_quote(passage: Passage, statement: str) -> Quote:
    """The sentence of a passage that carries a statement best, with a neighbour where that adds much.

    A heading only where the passage has nothing else.

    Measured by the share of the statement's stems that the sentence holds, rare ones counting more. The first
    sentence when none shares any; the whole passage when it has no sentences.
    """
    found = sentences.read(passage)
    read = [sentence for sentence in found if not sentence.level] or found
    if not read:
        return Quote.of(passage, 0, len(passage.text))
    candidates = [sentence.quote for sentence in read]
    stems = [set(terms.stems(sentence.reading)) for sentence in read]
    weight = terms.inverse_frequencies(stems)
    wanted = set(terms.stems(statement))
    scores = [
        terms.coverage(wanted, present, weight) * sentences.wholeness(candidate.text)
        for candidate, present in zip(candidates, stems, strict=True)
    ]
    best = max(range(len(scores)), key=lambda index: (scores[index], -index))
    pairs = [
        (terms.coverage(wanted, stems[first] | stems[second], weight), first, second)
        for first, second in ((best - 1, best), (best, best + 1))
        if first >= 0 and second < len(candidates)
    ]
    gained = max(pairs, default=(0.0, best, best))
    if gained[0] >= scores[best] + _JOIN_GAIN:
        return _joined(passage, candidates[gained[1]], candidates[gained[2]])
    return candidates[best]


def _joined(passage: Passage, first: Quote, second: Quote) -> Quote:
    raw = passage.text.encode()[first.byte_start - passage.byte_start : second.byte_end - passage.byte_start]
    return Quote(passage, first.byte_start, second.byte_end, raw.decode())


def without_marks(text: str, numbers: Collection[int]) -> str:
    """The text without the marks of these citations, outside code."""
    if not numbers:
        return text
    pieces, position = [], 0
    for code in _CODE.finditer(text):
        pieces += [_unmarked(text[position : code.start()], numbers), code.group()]
        position = code.end()
    return "".join([*pieces, _unmarked(text[position:], numbers)])


def _unmarked(text: str, numbers: Collection[int]) -> str:
    return re.sub(
        r"[ \t]?\[(\d{1,3})\]", lambda match: "" if int(match[1]) in numbers else match.group(), text
    )


def renumbered(text: str, numbers: Mapping[int, int]) -> str:
    """The text with other numbers in its marks, outside code; marks of other numbers stay as they are."""

    def mark(match: re.Match[str]) -> str:
        return f"[{numbers.get(int(match[1]), int(match[1]))}]"

    pieces, position = [], 0
    for code in _CODE.finditer(text):
        pieces += [_CITED.sub(mark, text[position : code.start()]), code.group()]
        position = code.end()
    return "".join([*pieces, _CITED.sub(mark, text[position:])])


def findings(text: str, known: Collection[int]) -> tuple[Finding, ...]:
    """The statements of a text and the citations that each carries; code is left out.

    A mark behind the end of a sentence belongs to that sentence.
    """
    prose = re.sub(r"([.!?…])((?:\s?\[\d{1,3}\])+)", r"\2\1", _CODE.sub(" ", text))
    found = []
    for start, end in sentences.spans(prose):
        piece = prose[start:end]
        numbers = tuple(dict.fromkeys(int(n) for n in re.findall(r"\[(\d{1,3})\]", piece) if int(n) in known))
        statement = re.sub(r"\s*\[\d{1,3}\]", "", piece).strip()
        if re.search(r"[^\W_]", statement):
            found.append(Finding(statement, numbers))
    return tuple(found)


class PassageCiter:
    """What a MarkRewriter needs: passages are numbered from 1 in the order in which a model was shown them.

    carries: whether a quote carries the statement that is to cite it; otherwise the mark is left out, and the
    statement is one of `unfounded`.
    """

    def __init__(
        self, book: CitationBook, passages: Sequence[Passage], carries: Callable[[str, str], bool]
    ) -> None:
        self._book = book
        self._passages = passages
        self._carries = carries
        self.unfounded: set[str] = set()

    def __call__(self, number: int, statement: str) -> int | None:
        """The citation's number; None for none."""
        if not 1 <= number <= len(self._passages):
            return None
        quote = best_quote(self._passages[number - 1], statement)
        if not self._carries(statement, quote.text):
            self.unfounded.add(statement)
            return None
        return self._book.cite(quote)
