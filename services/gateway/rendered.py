"""Answers with their text as HTML besides, for those who ask with render=html."""

from __future__ import annotations

from collections.abc import Sequence

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import session_pb2
from services.gateway.body import Query
from services.gateway.markdown import Renderer
from services.gateway.openapi.operation import Parameter
from services.gateway.problem import invalid

_HTML = "html"
PARAMETER = Parameter(
    "render", {"type": "string", "enum": [_HTML]}, "html: answers have their text as HTML besides."
)
# What a model has written is Markdown. Quotes are shown as they stand in their documents, byte for byte.
_WRITTEN = agents_pb2.AnswerMode.Name(agents_pb2.ANSWER_MODE_GENERATIVE).removeprefix("ANSWER_MODE_")


def asked(query: Query) -> bool:
    """Whether answers are wanted as HTML besides. Raises ProblemError 400 for another form."""
    form = query.text("render")
    if form not in ("", _HTML):
        raise invalid("render", "must be html, or absent")
    return form == _HTML


def result(value: agents_pb2.RunResult) -> dict[str, str | None]:
    """What is added to a run's result."""
    written = value.answer_mode == agents_pb2.ANSWER_MODE_GENERATIVE
    return {"html": Renderer().html(value.text) if written else None}


def messages(values: Sequence[session_pb2.Message]) -> list[dict[str, str | None]]:
    """What is added to each message of a page. The last ones are rendered first: time may not be enough for
    all, and they are what is looked at.
    """
    renderer = Renderer()
    shown = [
        {"html": renderer.html(value.text) if _is_written(value) else None} for value in reversed(values)
    ]
    return shown[::-1]


def _is_written(value: session_pb2.Message) -> bool:
    mode = value.attributes.fields.get("answer_mode")
    return value.role == session_pb2.ROLE_ASSISTANT and mode is not None and mode.string_value == _WRITTEN
