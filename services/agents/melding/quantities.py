"""Quantities in a statement: numbers with units, dates and times, in forms that can be compared.

A quantity is an interval: as wide as its rounding ("14 m" is 13.5 to 14.5 m), its words ("about", "5 to 7")
or its date ("May 1990") make it. Lengths are in metres, masses in kilograms, spans of time in seconds, shares
from 0 to 1 (5 % is 0.05), dates in days of the calendar; money of different currencies is never converted.
"""

from __future__ import annotations

import calendar
import datetime
import enum
import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from services.agents.answering import terms
from services.agents.melding import units

SHARE, DATE, YEARDAY, CLOCK, COUNT = "share", "date", "day of the year", "time of day", "count"

_ROUGHLY = 0.1
# A conversion of units was rounded by whoever wrote it.
_CONVERTED = 0.02
_NEAR_NOUNS = 3

_MONTHS = {
    name.lower(): number
    for names in (calendar.month_name, calendar.month_abbr)
    for number, name in enumerate(names)
    if name
} | {"sept": 9}
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_YEAR = r"(?:1\d{3}|20\d{2})"
_DAY = r"(?:3[01]|[12]?\d)"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?P<year>{_YEAR})-(?P<month>\d{{2}})-(?P<day>\d{{2}})\b",
        rf"\b(?P<day>{_DAY})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?(?P<name>{_MONTH})\.?,?\s+(?P<year>{_YEAR})\b",
        rf"\b(?P<name>{_MONTH})\.?\s+(?P<day>{_DAY})(?:st|nd|rd|th)?,?\s+(?P<year>{_YEAR})\b",
        rf"\b(?P<name>{_MONTH})\.?,?\s+(?:of\s+)?(?P<year>{_YEAR})\b",
        rf"\b(?P<day>{_DAY})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?(?P<name>{_MONTH})\b",
        rf"\b(?P<name>{_MONTH})\.?\s+(?P<day>{_DAY})(?:st|nd|rd|th)?\b(?!\s*(?:%|\d))",
        r"\b(?P<tens>(?:1\d|20)\d0)s\b",
        r"\b(?P<century>[12]?\d)(?:st|nd|rd|th)[\s-]century\b",
    )
)
# A number of four digits is a year behind one of these words, or in brackets.
_BARE_YEAR = re.compile(
    rf"(?:\b(?:in|since|by|of|from|until|till|before|after|during|year|around|about|circa|early|late|mid)\s+(?:the\s+year\s+)?"
    rf"|\()(?P<year>{_YEAR})(?![\d,.]\d|\s*(?:%|[a-z]*\s*(?:per)\b)|\w)",
    re.IGNORECASE,
)
_CLOCK_TIME = re.compile(
    r"\b(?:(?P<hour>[01]?\d|2[0-3])[:.](?P<minute>[0-5]\d)(?:\s*(?P<half>[ap]\.?m\b\.?))?"
    r"|(?P<only>1[0-2]|0?[1-9])\s*(?P<halfday>[ap]\.?m\b\.?))(?!\d)",
    re.IGNORECASE,
)

_SMALL = {
    word: value
    for value, word in enumerate(
        (
            *(
                "zero",
                "one",
                "two",
                "three",
                "four",
                "five",
                "six",
                "seven",
                "eight",
                "nine",
                "ten",
                "eleven",
            ),
            *("twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
        )
    )
} | {
    word: 10 * value
    for value, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_SCALES = {
    "hundred": 1e2,
    "thousand": 1e3,
    "k": 1e3,
    "million": 1e6,
    "mn": 1e6,
    "mio": 1e6,
    "billion": 1e9,
    "bn": 1e9,
    "trillion": 1e12,
    "dozen": 12.0,
}
_SPECIAL = {"once": (1.0, "time"), "twice": (2.0, "time"), "thrice": (3.0, "time")}
_WORD_NUMBER = "|".join(sorted(_SMALL, key=len, reverse=True))
_DIGITS = r"\d{1,3}(?:[,\u202f\u00a0' ]\d{3})+(?:\.\d+)?|\d+[.,]\d{1,2}(?!\d)|\d+(?:\.\d+)?"
_VALUE = (
    rf"(?:(?P<digits>(?<![\w.,/])(?<![A-Za-z]-)[-−]?(?:{_DIGITS})(?:e[-+]?\d+)?)(?P<attached>k|bn|mn|mio|M)?(?![\d])"
    rf"|\b(?P<words>(?:{_WORD_NUMBER})(?:[\s-](?:{_WORD_NUMBER}))?)\b)"
    r"(?P<scales>(?:\s*(?:hundred|thousand|million|billion|trillion|bn|mn|mio|dozen)\b)*)"
)
_NUMBER = re.compile(_VALUE)
_SCALE_ALONE = re.compile(
    r"\b(?:a|an|one)?\s*\b(?P<scale>hundred|thousand|million|billion|dozen)\b", re.IGNORECASE
)
_SPECIAL_WORD = re.compile(r"\b(?:once|twice|thrice)\b", re.IGNORECASE)
_HALF = re.compile(
    r"\b(?P<part>half|a third|one third|two thirds|a quarter|one quarter|three quarters)\s+(?:of|the)\b",
    re.IGNORECASE,
)
_PARTS = {
    "half": 1 / 2,
    "a third": 1 / 3,
    "one third": 1 / 3,
    "two thirds": 2 / 3,
    "a quarter": 1 / 4,
    "one quarter": 1 / 4,
    "three quarters": 3 / 4,
}
_RANGE_JOIN = re.compile(r"\s*(?:–|—|-|to|and)\s*\Z", re.IGNORECASE)
_LABEL = re.compile(
    r"\b(sections?|pages?|chapters?|tables?|fig(?:ure|\.)?|versions?|steps?|nos?\.?|numbers?|types?|phases?|articles?|rooms?|lines?|grades?"
    r"|levels?|platforms?|gates?|piers?|quays?|buildings?|floors?|class|group|model|route|bus|tram|line|flight|paragraph|rule|stage|unit"
    r"|day|week|month|hour|appendix|annex|part|volume|issue)\s+\Z",
    re.IGNORECASE,
)
# "p < 0.05" is no property of what a statement is about.
_PROBABILITY = re.compile(r"\bp(?:[- ]values?)?\s*(?:=|<|>|≤|≥|of|less than|was|is)\s*\Z", re.IGNORECASE)
_PRONOUN_ONE = re.compile(
    r"(?:(?:this|that|the|which|every|each|no|any|some|only|another)\s+)one\Z", re.IGNORECASE
)
_AFTER_ONE = re.compile(r"\s+(?:of|another|can|may|has|must|should|would|could|is|day)\b", re.IGNORECASE)
_PER = re.compile(
    r"\s*(?:/|per\s+|an?\s+|each\s+|every\s+)(?P<per>second|minute|hour|day|night|week|month|year|person|adult|child|head|capita|piece|kilogram|kg"
    r"|litre|liter|km|kilometre|mile|h|s|min)\b",
    re.IGNORECASE,
)


_TIMES = re.compile(r"\s+times\b", re.IGNORECASE)


class Bound(enum.Enum):
    """What a quantity is the limit of."""

    NONE = ""
    LEAST = "at least"
    MOST = "at most"


_BEFORE: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(rf"(?:{pattern})\s*(?:an?\s+)?\Z", re.IGNORECASE), kind)
    for pattern, kind in (
        (r"\bat least|\bno less than|\bnot less than|\bno fewer than|\bminimum of|\bmin\.", "least"),
        (
            r"\bat most|\bup to|\bno more than|\bnot more than|\bnot exceed(?:ing)?|\bmaximum of|\bmax\."
            r"|\bwithin",
            "most",
        ),
        (r"\bmore than|\bover|\babove|\bexceed(?:s|ed|ing)?|\bgreater than|\blonger than|>", "more"),
        (r"\bless than|\bunder|\bbelow|\bfewer than|\bshorter than|<", "less"),
        (
            r"\babout|\baround|\bapproximately|\bapprox\.|\broughly|\bcirca|\bca\.|\bnearly|\balmost"
            r"|\bsome|~|≈|\bc\.|\bclose to",
            "roughly",
        ),
    )
)
_BEHIND: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\s*(?:or more|or longer|or older|\+)", re.IGNORECASE), "more"),
    (re.compile(r"\s*or (?:less|fewer|shorter|younger)", re.IGNORECASE), "less"),
)


@dataclass(frozen=True)
class Quantity:
    """A quantity. start, end: characters of the statement. exact: the number as written, in the base unit.

    dimension: what it is a quantity of; only those of the same one compare. nouns: stems of what is counted.
    """

    dimension: str
    low: float
    high: float
    exact: float
    text: str
    start: int
    end: int
    unit: str = ""
    nouns: frozenset[str] = frozenset()
    bound: Bound = Bound.NONE

    def comparable(self, other: Quantity) -> bool:
        """Whether both may be the same quantity."""
        if self.dimension != other.dimension:
            return {self.dimension, other.dimension} == {SHARE, COUNT} and self._bare_share(other)
        if self.dimension == COUNT and (self.nouns or other.nouns):
            return bool(self.nouns & other.nouns)
        return True

    def _bare_share(self, other: Quantity) -> bool:
        """Whether the one without "%" is a share: a number from 0 to 1 of nothing that is counted."""
        plain = self if self.dimension == COUNT else other
        return not plain.nouns and 0 < plain.exact < 1

    def agrees(self, other: Quantity) -> bool:
        """Whether both can be true of one thing; only for those that are comparable."""
        if self.bound is not Bound.NONE and self.bound is other.bound:
            # Two limits of the same thing: the number itself is what is said.
            return self._close(other, max(self.low, other.low), min(self.high, other.high), limits=True)
        return self._close(other, max(self.low, other.low), min(self.high, other.high), limits=False)

    def _close(self, other: Quantity, low: float, high: float, *, limits: bool) -> bool:
        slack = 1e-9 * max(1.0, abs(self.exact))
        if self.unit != other.unit and self.dimension not in (DATE, YEARDAY, CLOCK, COUNT):
            slack = _CONVERTED * max(abs(self.exact), abs(other.exact))
        if limits:
            return abs(self.exact - other.exact) <= slack
        return low <= high + slack


def find(text: str) -> tuple[list[Quantity], list[str]]:
    """The quantities of a text in order, and its labels ("section 4"), which name and do not count."""
    found: list[Quantity] = []
    taken: list[tuple[int, int]] = []
    for quantity in (*_dates(text), *_clock_times(text)):
        if _free(taken, quantity.start, quantity.end):
            found.append(quantity)
            taken.append((quantity.start, quantity.end))
    labels: list[str] = []
    for quantity in _numbers(text, labels, taken):
        if _free(taken, quantity.start, quantity.end):
            found.append(quantity)
            taken.append((quantity.start, quantity.end))
    return _ranges(text, sorted(found, key=lambda quantity: quantity.start)), labels


def _free(taken: list[tuple[int, int]], start: int, end: int) -> bool:
    return all(end <= first or last <= start for first, last in taken)


def _dates(text: str) -> Iterator[Quantity]:
    for pattern in (*_DATES, _BARE_YEAR):
        for match in pattern.finditer(text):
            start, end = match.span()
            if pattern is _BARE_YEAR:
                start = match.start("year")
            span = _days(match)
            if span is None:
                continue
            dimension, low, high = span
            bound = Bound.NONE
            yield Quantity(dimension, low, high, low, text[start:end].strip(" (),"), start, end, bound=bound)


def _days(match: re.Match[str]) -> tuple[str, float, float] | None:
    """The dimension and the first and last day of a date; None for one that is not in the calendar."""
    parts = match.groupdict()
    if parts.get("century"):
        first = 100 * (int(parts["century"]) - 1) + 1
        return _span(first, first + 99)
    if parts.get("tens"):
        return _span(int(parts["tens"]), int(parts["tens"]) + 9)
    name, day = parts.get("name"), parts.get("day")
    month = _MONTHS[name.lower()] if name else int(parts.get("month") or 0)
    year = int(parts["year"]) if parts.get("year") else 0
    if not month:
        return _span(year, year)
    try:
        first_day = datetime.date(year or 2000, month, int(day or 1))
    except ValueError:
        return None
    last_day = first_day if day else first_day.replace(day=calendar.monthrange(year or 2000, month)[1])
    if not year:
        return YEARDAY, float(first_day.timetuple().tm_yday), float(last_day.timetuple().tm_yday)
    return DATE, float(first_day.toordinal()), float(last_day.toordinal())


def _span(first: int, last: int) -> tuple[str, float, float] | None:
    if not 1 <= first <= last <= datetime.MAXYEAR:
        return None
    begin, end = datetime.date(first, 1, 1), datetime.date(last, 12, 31)
    return DATE, float(begin.toordinal()), float(end.toordinal())


def _clock_times(text: str) -> Iterator[Quantity]:
    for match in _CLOCK_TIME.finditer(text):
        half = (match["half"] or match["halfday"] or "").lower()
        if "." in match.group().split(half or " ")[0] and not half:
            # "5.30" is a number.
            continue
        hour = int(match["hour"] or match["only"])
        if half.startswith("p") and hour < 12:
            hour += 12
        if half.startswith("a") and hour == 12:
            hour = 0
        minutes = float(60 * hour + int(match["minute"] or 0))
        yield Quantity(CLOCK, minutes, minutes, minutes, match.group(), *match.span())


def _numbers(text: str, labels: list[str], taken: list[tuple[int, int]]) -> Iterator[Quantity]:
    for match in _HALF.finditer(text):
        value = _PARTS[" ".join(match["part"].lower().split())]
        end = match.end("part")
        yield Quantity(SHARE, value - 0.01, value + 0.01, value, match["part"], match.start(), end, "part")
    for match in _SPECIAL_WORD.finditer(text):
        value, noun = _SPECIAL[match.group().lower()]
        end, per = _per(text, match.end())
        nouns = frozenset({noun})
        yield Quantity(
            f"{COUNT}{per}" if per else COUNT,
            value,
            value,
            value,
            text[match.start() : end],
            match.start(),
            end,
            nouns=nouns,
        )
    for match in _NUMBER.finditer(text):
        if not _free(taken, *match.span()):
            continue
        if (
            match["words"]
            and match["words"].lower() == "one"
            and not match["scales"].strip()
            and _pronoun(text, match)
        ):
            continue
        if _PROBABILITY.search(text, 0, match.start()):
            continue
        if (label := _LABEL.search(text, 0, match.start())) and not match["scales"].strip():
            labels.append(f"{terms.stem(label[1].lower())} {match.group().strip()}")
            continue
        yield _number(text, match)
    for match in _SCALE_ALONE.finditer(text):
        value = _SCALES[match["scale"].lower()]
        if not re.search(r"\d\s*\Z", text[: match.start("scale")]):
            yield _quantified(text, match.start("scale"), match.end(), value, 0.0)


def _pronoun(text: str, match: re.Match[str]) -> bool:
    return bool(_PRONOUN_ONE.search(text, 0, match.end("words"))) or bool(
        _AFTER_ONE.match(text, match.end("words"))
    )


def _number(text: str, match: re.Match[str]) -> Quantity:
    if match["digits"]:
        value, half = _read(match["digits"])
    else:
        value = float(sum(_SMALL[word] for word in re.split(r"[\s-]", match["words"].lower())))
        half = 0.0
    end = match.end("digits") if match["digits"] else match.end("words")
    if attached := match["attached"]:
        scale = 1e6 if attached == "M" else _SCALES[attached]
        value, half, end = value * scale, half * scale, match.end("attached")
    for word in match["scales"].split():
        value, half = value * _SCALES[word.lower()], half * _SCALES[word.lower()]
        end = match.end("scales")
    return _quantified(text, match.start(), end, value, half)


def _read(digits: str) -> tuple[float, float]:
    """The value of digits, and half of its last place: trailing zeros of whole numbers may be rounding."""
    plain = digits.replace("−", "-")
    if re.fullmatch(r"-?\d+,\d{1,2}", plain):
        plain = plain.replace(",", ".")
    plain = re.sub(r"[,\u202f\u00a0' ]", "", plain)
    mantissa = plain.lower().split("e")[0]
    if "." in mantissa:
        return float(plain), 0.5 * 10.0 ** -len(mantissa.split(".")[1])
    zeros = len(mantissa) - len(mantissa.rstrip("0")) if mantissa.strip("-0") else 0
    return float(plain), 0.5 * 10.0 ** (zeros - 1) if zeros > 1 else 0.5


def _quantified(text: str, start: int, end: int, value: float, half: float) -> Quantity:
    """The quantity of a number that stands from start to end, with the unit around it."""
    currency = units.currency_before(text, start)
    behind = units.match(text, end)
    dimension, unit, factor, offset = COUNT, "", 1.0, 0.0
    begin, nouns = start, frozenset[str]()
    if currency is not None:
        begin, dimension, unit = currency.start, f"money {currency.name}", currency.name
        if scale := re.match(r"\s?m\b", text[end:]):
            value, half, end = value * 1e6, half * 1e6, end + scale.end()
    elif behind is not None:
        dimension, unit, factor, offset = behind.dimension, behind.name, behind.factor, behind.offset
        end = behind.end
    last = end
    if dimension == COUNT and (times := _TIMES.match(text, end)):
        end = times.end()
    end, per = _per(text, end)
    if per:
        dimension = f"{dimension}{per}"
    if dimension.startswith(COUNT):
        nouns = _counted(text, last)
        # What is counted are whole things, and nobody rounds a few of them.
        half = half if abs(value) >= 100 or value % 1 else 0.0
    # Just less than half a place: 14 and 15 do not meet in 14.5.
    half *= 0.98
    low, high = (value - half) * factor + offset, (value + half) * factor + offset
    made = Quantity(
        dimension, low, high, value * factor + offset, text[begin:end].strip(), begin, end, unit, nouns
    )
    return _bounded(text, made)


def _per(text: str, end: int) -> tuple[int, str]:
    match = _PER.match(text, end)
    if match is None:
        return end, ""
    per = match["per"].lower()
    return match.end(), f"/{units.plain(per)}"


def _bounded(text: str, quantity: Quantity) -> Quantity:
    kind = next((kind for pattern, kind in _BEFORE if pattern.search(text, 0, quantity.start)), "")
    if not kind:
        kind = next((kind for pattern, kind in _BEHIND if pattern.match(text, quantity.end)), "")
    match kind:
        case "least":
            return replace(quantity, high=math.inf, bound=Bound.LEAST)
        case "more":
            return replace(quantity, high=math.inf)
        case "most":
            return replace(quantity, low=-math.inf, bound=Bound.MOST)
        case "less":
            return replace(quantity, low=-math.inf)
        case "roughly":
            wide = _ROUGHLY * abs(quantity.exact)
            return replace(quantity, low=quantity.low - wide, high=quantity.high + wide)
        case _:
            return quantity


def _counted(text: str, end: int) -> frozenset[str]:
    """Stems of the words behind a number, up to the first word without a meaning of its own."""
    nouns: list[str] = []
    for word in re.finditer(r"\s+([^\W\d_]+(?:-[^\W\d_]+)*)|(.)", text[end:]):
        if word[1] is None or len(nouns) == _NEAR_NOUNS or not terms.content_words(word[1]):
            break
        nouns += terms.stems(word[1])
    return frozenset(nouns)


def _ranges(text: str, quantities: list[Quantity]) -> list[Quantity]:
    """Two numbers that are the ends of one range, as one quantity."""
    made: list[Quantity] = []
    for quantity in quantities:
        before = made[-1] if made else None
        if before is not None and _joined(text, before, quantity):
            low, high = min(before.low, quantity.low), max(before.high, quantity.high)
            if before.dimension != quantity.dimension:
                # "5 to 7 %": the first number has the unit of the second.
                scale = quantity.exact / _plain_value(quantity) if _plain_value(quantity) else 1.0
                low, high = min(before.low * scale, quantity.low), max(before.high * scale, quantity.high)
            made[-1] = replace(
                quantity,
                low=low,
                high=high,
                start=before.start,
                text=text[before.start : quantity.end].strip(),
            )
        else:
            made.append(quantity)
    return made


def _plain_value(quantity: Quantity) -> float:
    match = re.search(_DIGITS, quantity.text)
    return _read(match.group())[0] if match else 0.0


def _joined(text: str, first: Quantity, second: Quantity) -> bool:
    between = text[first.end : second.start]
    if not _RANGE_JOIN.fullmatch(between) and not _RANGE_JOIN.match(between):
        return False
    joiner = between.strip().lower()
    if joiner not in {"–", "—", "-", "to", "and"}:
        return False
    if joiner == "and" and not re.search(r"\bbetween\s*\Z", text[: first.start], re.IGNORECASE):
        return False
    bare = first.dimension == COUNT and not first.nouns
    return first.dimension == second.dimension or bare


@functools.lru_cache(maxsize=4096)
def of(text: str) -> tuple[tuple[Quantity, ...], tuple[str, ...]]:
    """As `find`, kept for texts that are compared often."""
    quantities, labels = find(text)
    return tuple(quantities), tuple(labels)
