"""Melds what steps answered, and cites it for the run that melds."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import json_format
from google.protobuf.message import Message

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from services.agents.answering import citations
from services.agents.melding.answers import Binder
from services.agents.melding.melding import Melds
from services.agents.roster.agent import Sources
from services.agents.workflow.cited import quote
from services.agents.workflow.ports import Answer, Ended


async def melded(melds: Melds, sources: Sources, question: str, answers: tuple[Answer, ...]) -> Ended:
    """The answers as one, with verified citations under numbers of the run; those that do not hold are left
    out.

    Raises UnavailableError (RETRIEVAL_UNAVAILABLE).
    """
    binder = Binder()
    bound = [
        binder.answer(
            answer.step_id,
            agents_pb2.RunResult(
                agent_id=answer.agent_id,
                text=answer.text,
                citations=[
                    json_format.ParseDict(citation, agents_pb2.Citation()) for citation in answer.citations
                ],
            ),
        )
        for answer in answers
    ]
    made = await melds.meld(question, bound)
    cited = binder.citations()
    held = await sources.number([quote(citation) for citation in cited])
    numbers = {c.number: new for c, new in zip(cited, held, strict=True) if new is not None}
    lost = frozenset(citation.number for citation in cited) - numbers.keys()
    _renumber(made, numbers)
    made.answer = citations.renumbered(citations.without_marks(made.answer, lost), numbers)
    return Ended(
        workflow_pb2.STEP_STATE_SUCCEEDED,
        text=made.answer,
        result=json_format.MessageToDict(made, preserving_proto_field_name=True),
    )


def _renumber(message: Message, numbers: Mapping[int, int]) -> None:
    """Gives all citations in a result the numbers of the run."""
    for field, value in message.ListFields():
        if field.name == "citations":
            kept = [numbers[number] for number in value if number in numbers]
            del value[:]
            value.extend(kept)
        elif field.message_type is not None:
            for inner in value if field.is_repeated else [value]:
                _renumber(inner, numbers)
