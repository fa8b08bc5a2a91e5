"""What a learner was asked in a session, how it was answered, and when to ask again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.agents.coaching.cloze import Question, grade
from services.agents.coaching.repetition import PASSING, Memory
from services.agents.ports import JsonObject

# Of JSON within JSON: a session has room for 16 KiB of metadata, and others keep something there too.
MAX_BYTES = 12_000
_DAY = 86_400


@dataclass(frozen=True)
class Answer:
    """What was answered. grade: the learner's own judgement, where there is one."""

    question_id: str
    text: str
    grade: int | None = None


@dataclass(frozen=True)
class Card:
    """A question that was asked. due: seconds since 1970. grade: of the last answer; None before one."""

    question: Question
    memory: Memory
    due: int
    grade: int | None = None

    @property
    def passed(self) -> bool:
        """Whether the last answer passed."""
        return self.grade is not None and self.grade >= PASSING

    def answered(self, answer: Answer, now: int) -> Card:
        """The card after an answer."""
        given = grade(self.question.answer, answer.text) if answer.grade is None else answer.grade
        memory = self.memory.after(given)
        return Card(self.question, memory, now + memory.interval * _DAY, given)

    def to_json(self) -> JsonObject:
        """Plain JSON."""
        return {
            **self.question.to_json(),
            **dataclasses.asdict(self.memory),
            "due": self.due,
            "grade": self.grade,
        }

    @classmethod
    def from_json(cls, value: JsonObject) -> Card:
        """Reads `to_json`."""
        memory = Memory(**{name: value[name] for name in Memory.__dataclass_fields__})
        return cls(Question.from_json(value), memory, value["due"], value["grade"])


class Progress:
    """The cards of a session, by question id."""

    def __init__(self, cards: Iterable[Card] = ()) -> None:
        self.cards = {card.question.question_id: card for card in cards}

    @classmethod
    def from_json(cls, value: JsonObject) -> Progress:
        """Reads `to_json`; {} for none."""
        return cls(map(Card.from_json, value.get("cards", [])))

    def to_json(self) -> JsonObject:
        """Plain JSON."""
        return {"cards": [card.to_json() for card in self.cards.values()]}

    def after(self, answers: Sequence[Answer], fresh: Iterable[Question], wanted: int, now: int) -> Progress:
        """The progress after some answers, with as many fresh questions as are wanted beyond those that are
        due. Fewer where a session cannot keep more.
        """
        after = Progress(self.cards.values())
        for answer in answers:
            if card := after.cards.get(answer.question_id):
                after.cards[answer.question_id] = card.answered(answer, now)
        open_ = len(after.due(now))
        for question in fresh:
            if open_ >= wanted:
                break
            if question.question_id not in after.cards:
                larger = Progress([*after.cards.values(), Card(question, Memory(), now)])
                if len(json.dumps(json.dumps(larger.to_json()))) > MAX_BYTES:
                    break
                after = larger
                open_ += 1
        return after

    def due(self, now: int) -> list[Card]:
        """What should be asked now, the longest due first."""
        return sorted((card for card in self.cards.values() if card.due <= now), key=lambda card: card.due)
