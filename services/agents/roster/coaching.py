"""Helps somebody to learn: judges a text, plans from the documents, asks and remembers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from google.protobuf.timestamp_pb2 import Timestamp

from meldrag.agents.v1 import results_pb2
from services.agents.answering import terms
from services.agents.coaching import assessment, cloze, schedule
from services.agents.coaching.assessment import Assessment
from services.agents.coaching.progress import Answer, Card, Progress
from services.agents.coaching.remarks import byte_places
from services.agents.coaching.repetition import BEST
from services.agents.coaching.topics import Topic, topics
from services.agents.model import Passage
from services.agents.ports import JsonObject
from services.agents.roster.agent import AgentDefinition, Work
from services.agents.routing.parts import split
from services.chassis.errors import InvalidArgumentError, ServiceError

_ASSESS, _PRACTISE = "assess", "practise"
_NOTE = "meld_learning"
_MAX_ANSWERS = 50
_MAX_ANSWER = 2_000
_MAX_QUESTIONS = 20
_QUESTIONS = 5
_MAX_GOALS = 8
_MAX_REFLECTIONS = 10
_MAX_STATEMENT = 1_000
_ASKS_PLAN = re.compile(
    r"\b(?:plan|schedule|timetable|curriculum|syllabus|roadmap|study|revise|revision)\b"
    r"|\bin \S+ (?:days|weeks|months)\b",
    re.IGNORECASE,
)
_ASKS_QUESTIONS = re.compile(
    r"\b(?:quiz|test me|ask me|question me|examine me|flash ?cards?|practice questions?|exercises?|drill)\b",
    re.IGNORECASE,
)
# What learners say of learning, not of what they learn.
_COACHING_WORDS = frozenset(
    (
        *("make", "give", "need", "want", "help", "plan", "learn", "learning", "study", "prepare", "teach"),
        *("quiz", "ask", "test", "question", "questions", "exercise", "exercises", "practise", "practice"),
        *("answer", "answers", "schedule", "day", "days", "week", "weeks", "month", "months", "one", "two"),
        *("three", "four", "five", "six", "seven", "eight", "nine", "ten", "next", "new"),
    )
)
_TASK = (
    "Coach the learner whose request stands below: goals in the learner's own terms, questions to think "
    "about, and, where a text is shown, remarks on it. A remark quotes the words that it is about, "
    "exactly as they stand there. The request: "
)
_UNREADABLE = "What the session keeps of it cannot be read: somebody else changed it."
_NO_SESSION = "The run has no session to keep it in."

Inputs = results_pb2.CoachingInputs
Result = results_pb2.CoachingResult


class _Text(NamedTuple):
    """What is judged. start: its first byte in the message, for a quoted one."""

    text: str
    start: int


async def compose(work: Work[Inputs]) -> Result:
    """What was measured of a text, a plan where one is asked for, questions from the documents, and what
    became of the answers; with a model, its goals, its remarks and its questions.

    Raises InvalidArgumentError (INPUTS_INVALID) that names the path.
    """
    _check(work.inputs)
    text = _text(work)
    said = work.question if text is None else work.question.replace(text.text, "…")
    result = Result(goals=split(said), feedback=work.cited_findings())
    if text is not None:
        _add_assessment(result, text, await _assessed(work, text))
        work.keep(result)
    await _practise(work, result, text)
    work.keep(result)
    await _advise(work, result, text)
    return result


def _check(inputs: Inputs) -> None:
    if len(inputs.text) > assessment.MAX_CHARACTERS:
        raise _invalid("$.text", f"more than {assessment.MAX_CHARACTERS} characters")
    if not 0 <= inputs.questions <= _MAX_QUESTIONS:
        raise _invalid("$.questions", f"0 to {_MAX_QUESTIONS}")
    if len(inputs.answers) > _MAX_ANSWERS:
        raise _invalid("$.answers", f"more than {_MAX_ANSWERS}")
    if len({answer.question_id for answer in inputs.answers}) < len(inputs.answers):
        raise _invalid("$.answers", "a question is answered twice")
    for position, answer in enumerate(inputs.answers):
        if answer.HasField("grade") and not 0 <= answer.grade <= BEST:
            raise _invalid(f"$.answers[{position}].grade", f"0 to {BEST}")
        if len(answer.answer) > _MAX_ANSWER:
            raise _invalid(f"$.answers[{position}].answer", f"more than {_MAX_ANSWER} characters")
    both = inputs.HasField("start_time") and inputs.HasField("due_time")
    if both and inputs.due_time.seconds <= inputs.start_time.seconds:
        raise _invalid("$.due_time", "it is not after start_time")


def _text(work: Work[Inputs]) -> _Text | None:
    if work.inputs.text.strip():
        return _Text(work.inputs.text, 0)
    found = assessment.quoted(work.question)
    return None if found is None else _Text(found.text, len(work.question[: found.start].encode()))


# -- a text ----------------------------------------------------------------------------------------------


async def _assessed(work: Work[Inputs], text: _Text) -> Assessment:
    async def action() -> JsonObject:
        # A long text takes half a second; the loop has other runs to serve.
        made = await asyncio.to_thread(assessment.assess, text.text, work.inputs.language)
        return made.to_json()

    told = await work.tools.use(
        _ASSESS,
        {"characters": len(text.text), "language": work.inputs.language},
        action,
        lambda value: f"{len(value['metrics'])} measures, {len(value['remarks'])} remarks",
    )
    return Assessment.from_json(told)


def _add_assessment(result: Result, text: _Text, found: Assessment) -> None:
    result.text.CopyFrom(
        results_pb2.TextAssessment(
            language=found.language,
            metrics=[results_pb2.Metric(name=m.name, value=m.value, unit=m.unit) for m in found.metrics],
            unmeasured=found.unmeasured,
            headings=found.headings,
            message_byte_start=text.start,
        )
    )
    places = byte_places(text.text, (place for r in found.remarks for place in (r.start, r.end)))
    for remark in found.remarks:
        result.remarks.add(
            kind=remark.kind,
            statement=remark.statement,
            byte_start=places[remark.start],
            byte_end=places[remark.end],
            quote=text.text[remark.start : remark.end],
        )
    result.left_out.extend(
        f"{count} more remarks of the kind {kind} are not listed." for kind, count in found.left_out.items()
    )


# -- a plan, questions and answers -----------------------------------------------------------------------


async def _practise(work: Work[Inputs], result: Result, text: _Text | None) -> None:
    inputs = work.inputs
    planned = bool(inputs.HasField("start_time") or inputs.HasField("due_time"))
    planned = planned or (text is None and bool(_ASKS_PLAN.search(work.question)))
    asked = bool(inputs.questions) or (text is None and bool(_ASKS_QUESTIONS.search(work.question)))
    if not (planned or asked or inputs.answers):
        return
    answers = [
        Answer(a.question_id, a.answer, a.grade if a.HasField("grade") else None) for a in inputs.answers
    ]
    wanted = inputs.questions or (_QUESTIONS if asked or planned else 0)
    now, progress, unkept = await _remembered(work, answers, wanted)
    if planned:
        await _plan(work, result, now)
    if wanted or answers:
        await _ask_and_review(work, result, progress, wanted=wanted, now=now)
        result.progress.CopyFrom(
            results_pb2.LearningProgress(
                asked=len(progress.cards),
                passed=sum(card.passed for card in progress.cards.values()),
                due=len(progress.due(now)),
                kept=not unkept,
                unkept_reason=unkept,
            )
        )


async def _remembered(
    work: Work[Inputs], answers: Sequence[Answer], wanted: int
) -> tuple[int, Progress, str]:
    """The time, the progress after the answers and with fresh questions, and why it is not kept."""
    fresh = list(cloze.questions(_subject(work))) if wanted else []

    async def action() -> JsonObject:
        now = int(time.time())

        def change(kept: JsonObject) -> JsonObject:
            return Progress.from_json(kept).after(answers, fresh, wanted, now).to_json()

        unkept = _NO_SESSION
        if work.notes is not None:
            try:
                return {"now": now, "unkept": "", "kept": await work.notes.change(_NOTE, change)}
            except ServiceError as error:
                unkept = error.message
            except (ValueError, KeyError, TypeError):
                unkept = _UNREADABLE
        return {"now": now, "unkept": unkept, "kept": change({})}

    told = await work.tools.use(
        _PRACTISE,
        {"answers": [answer.question_id for answer in answers], "questions": wanted},
        action,
        lambda value: f"{len(value['kept'].get('cards', []))} questions, {value['unkept'] or 'kept'}",
    )
    return told["now"], Progress.from_json(told["kept"]), told["unkept"]


def _subject(work: Work[Inputs]) -> list[Passage]:
    """The passages that hold a word of what is to be learnt; all of them where none does."""
    wanted = {terms.stem(word) for word in terms.content_words(work.question) if word not in _COACHING_WORDS}
    passages = work.evidence.passages
    return [p for p in passages if wanted & set(terms.stems(p.text))] or list(passages)


async def _plan(work: Work[Inputs], result: Result, now: int) -> None:
    inputs = work.inputs
    start = inputs.start_time.seconds if inputs.HasField("start_time") else now
    due = inputs.due_time.seconds if inputs.HasField("due_time") else schedule.horizon(work.question, start)
    found = topics(_subject(work))
    if not found:
        result.plan_reason = "There is no plan: no passage was found to learn from."
        return
    if due is not None and due <= start:
        result.plan_reason = "There is no plan: its end is not after its beginning."
        return
    lessons = schedule.lessons(len(found), start, due)
    citations = await _citations(work, found)
    for lesson in lessons:
        name = found[lesson.topic].name
        result.milestones.add(
            description=f"Repeat: {name}" if lesson.repetition else f"Learn: {name}",
            due_time=Timestamp(seconds=lesson.time),
            citations=citations[lesson.topic],
            topic=name,
            repetition=lesson.repetition,
        )
    end = "as nobody said until when, each is repeated three times" if due is None else "none after the end"
    result.plan_reason = (
        f"{len(found)} topic{'s' * (len(found) > 1)} as the documents have them, each repeated after the "
        f"intervals of SM-2 (1, 6, then 2.5 times as many days); {end}."
    )
    if missed := schedule.skipped([topic.name for topic in found], lessons):
        result.left_out.append(f"There is no time for {', '.join(missed)}.")


async def _citations(work: Work[Inputs], found: Sequence[Topic]) -> list[tuple[int, ...]]:
    """Of each topic the numbers of its citations; none where the quote does not hold."""
    held = {f.statement: f.citations for f in await work.sources.cite([topic.quote for topic in found])}
    return [held.get(topic.quote.text, ()) for topic in found]


async def _ask_and_review(
    work: Work[Inputs], result: Result, progress: Progress, *, wanted: int, now: int
) -> None:
    known = [a for a in work.inputs.answers if a.question_id in progress.cards]
    reviewed = [progress.cards[answer.question_id] for answer in known]
    asked = progress.due(now)[:wanted]
    held = await work.sources.cite([card.question.quote() for card in [*reviewed, *asked]])
    citations = {finding.statement: finding.citations for finding in held}
    for answer, card in zip(known, reviewed, strict=True):
        result.reviews.add(
            question_id=answer.question_id,
            answer=answer.answer,
            expected=card.question.answer,
            grade=card.grade or 0,
            next_time=Timestamp(seconds=card.due),
            citations=citations.get(card.question.sentence, ()),
        )
    standing = [card for card in asked if card.question.sentence in citations]
    result.questions.extend(_question(card, citations[card.question.sentence]) for card in standing)
    if changed := len(asked) - len(standing):
        result.left_out.append(f"{changed} questions are not asked: their sentences do not stand any more.")
    if unknown := [a.question_id for a in work.inputs.answers if a.question_id not in progress.cards]:
        result.left_out.append(f"These were never asked in this session: {', '.join(unknown)[:200]}.")
    if len(asked) < wanted:
        result.left_out.append(
            f"{len(asked)} of {wanted} questions: there are no more sentences for them, or no more room."
        )


def _question(card: Card, citations: Sequence[int]) -> results_pb2.PracticeQuestion:
    question = card.question
    return results_pb2.PracticeQuestion(
        question_id=question.question_id,
        prompt=question.prompt,
        answer=question.answer,
        citations=citations,
        due_time=Timestamp(seconds=card.due),
    )


# -- a model ---------------------------------------------------------------------------------------------


async def _advise(work: Work[Inputs], result: Result, text: _Text | None) -> None:
    shown = {f"passage {n}": passage.text for n, passage in enumerate(work.evidence.passages, 1)}
    if text is not None:
        shown = {"text": text.text, "measures": tell(result), **shown}
    advice = await work.ask(results_pb2.CoachingAdvice, _TASK + work.question, data=shown)
    if advice is None:
        return
    if goals := [goal.strip()[:_MAX_STATEMENT] for goal in advice.goals if goal.strip()]:
        result.goals[:] = goals[:_MAX_GOALS]
    asked = [question.strip()[:_MAX_STATEMENT] for question in advice.reflections if question.strip()]
    result.reflections.extend(asked[:_MAX_REFLECTIONS])
    for remark in advice.remarks:
        start = text.text.find(remark.quote) if text is not None and remark.quote.strip() else -1
        if text is None or start < 0 or not remark.statement.strip():
            result.dropped_remark_count += 1
            continue
        first = len(text.text[:start].encode())
        result.remarks.add(
            kind="opinion",
            statement=remark.statement.strip()[:_MAX_STATEMENT],
            byte_start=first,
            byte_end=first + len(remark.quote.encode()),
            quote=remark.quote,
        )


# -- in words --------------------------------------------------------------------------------------------


def tell(result: Result) -> str:
    """The outcome in plain words; empty when nothing was judged, planned, asked or answered."""
    lines = []
    if result.HasField("text"):
        values = [f"{m.name} {m.value:g} {m.unit}".rstrip() for m in result.text.metrics]
        lines.append(f"Measured: {', '.join(values) or 'nothing'}.")
        lines += [f"Not measured: {reason}" for reason in result.text.unmeasured]
        lines += [f"- “{_short(r.quote)}”: {r.statement}" for r in result.remarks if r.kind != "opinion"][:10]
    lines += [f"- You answered “{_short(r.answer)}”: {_verdict(r)}" for r in result.reviews]
    if result.plan_reason:
        lines.append(f"Plan: {result.plan_reason}")
        lines += [f"- {_day(m.due_time)} {m.description}" for m in result.milestones]
    if result.questions:
        lines.append("Questions:")
        lines += [
            f"- {q.prompt} ({q.question_id}) {''.join(f'[{n}]' for n in q.citations)}"
            for q in result.questions
        ]
    if result.HasField("progress") and result.progress.unkept_reason:
        lines.append(f"Your progress is not kept: {result.progress.unkept_reason}")
    lines += result.left_out
    opinions = [f"- “{_short(r.quote)}”: {r.statement}" for r in result.remarks if r.kind == "opinion"]
    if opinions or result.reflections:
        lines.append("A model thinks:")
        lines += [*opinions, *(f"- {question}" for question in result.reflections)]
    return "\n".join(lines)


def _verdict(review: results_pb2.ReviewedAnswer) -> str:
    right = "right" if review.grade == BEST else f"it is “{review.expected}”, grade {review.grade} of {BEST}"
    return f"{right}; again on {_day(review.next_time)}."


def _marks(citations: Iterable[int]) -> str:
    return "".join(f"[{number}]" for number in citations)


def _day(moment: Timestamp) -> str:
    return f"{moment.ToDatetime():%Y-%m-%d}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"{line[:59]}…"


def _invalid(path: str, cause: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the inputs do not fit the agent coaching: {path}: {cause}",
        reason="INPUTS_INVALID",
        metadata={"agent_id": "coaching", "path": path, "cause": cause},
    )


AGENT = AgentDefinition(
    agent_id="coaching",
    display_name="Coaching",
    purpose="Helps somebody learn or improve: feedback, practice, a plan to study from the documents.",
    inputs=results_pb2.CoachingInputs,
    result=results_pb2.CoachingResult,
    examples=(
        "Help me prepare for my first presentation to the board.",
        "How can I get better at giving feedback?",
        "Make me a plan to learn SQL in six weeks.",
        "Quiz me on chapter three of the handbook.",
        "What should I improve in this cover letter?",
    ),
    compose=compose,
    tools=(_ASSESS, _PRACTISE),
    tell=tell,
    material=frozenset({"quotation"}),
)
