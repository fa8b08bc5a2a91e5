"""A run as a chat completion: whole, or in chunks while it comes about."""

from __future__ import annotations

from typing import Any

from meldrag.agents.v1 import agents_pb2
from services.gateway import rendering
from services.gateway.openai import calling
from services.gateway.openai.asking import Asked, SourcesAs

Json = Any

# A footnote is for reading; the field has the whole quote.
_MAX_SHOWN_QUOTE = 300
_WITHDRAWN = "\n\n(What stands above is withdrawn. The answer is:)\n\n"


def sources(result: agents_pb2.RunResult) -> list[dict[str, Json]]:
    """The citations of an answer. The agents service sends none that it has not verified."""
    return [rendering.citation(item) | {"verified": True} for item in result.citations]


def footnotes(result: agents_pb2.RunResult) -> str:
    """What comes behind a text to tell its sources; empty where there are none."""
    if not result.citations:
        return ""
    return "\n\nSources:" + "".join(f"\n\n{_footnote(item)}" for item in result.citations)


def _footnote(citation: agents_pb2.Citation) -> str:
    place = citation.location or (f"page {citation.page}" if citation.page else "")
    quote = " ".join(citation.quote.split())
    if len(quote) > _MAX_SHOWN_QUOTE:
        quote = f"{quote[:_MAX_SHOWN_QUOTE].rstrip()}…"
    title = " ".join(citation.title.split()) or citation.document_id
    return f"[{citation.number}] {title}{f', {place}' if place else ''}: “{quote}”"


def usage(result: agents_pb2.RunResult) -> dict[str, Json]:
    """Tokens that models read and wrote; 0 where none worked."""
    used = result.usage
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
    }


def _finish(result: agents_pb2.RunResult) -> str:
    if result.tool_calls:
        return "tool_calls"
    return "length" if result.cut else "stop"


def _about(result: agents_pb2.RunResult, as_: SourcesAs) -> dict[str, Json]:
    """Fields that only this server has."""
    told = rendering.run_result(result)
    names = ("run_id", "agent", "answer_mode", "result", "degraded", "session_id", "events_url")
    about: dict[str, Json] = {"meld": {name: told[name] for name in names}}
    return about if as_ == "none" else about | {"sources": sources(result)}


def whole(asked: Asked, created: int, result: agents_pb2.RunResult) -> dict[str, Json]:
    """The completion of a run that has succeeded. created: when it began, in seconds since 1970."""
    text = result.text + (footnotes(result) if asked.sources == "footnotes" else "")
    message: dict[str, Json] = {"role": "assistant", "content": text, "refusal": None}
    if result.tool_calls:
        message["tool_calls"] = calling.told(result.tool_calls, one=asked.offer.one)
        message["content"] = text or None
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(result)}
    return {
        "id": _id(result.run_id),
        "object": "chat.completion",
        "created": created,
        "model": asked.model,
        "choices": [choice],
        "usage": usage(result),
        **_about(result, asked.sources),
    }


def _id(run_id: str) -> str:
    return f"chatcmpl-{run_id}"


class Chunks:
    """The chunks of one completion, made from the events of its run in order.

    The protocol cannot take a text back, and a run can. So the newest piece of the text waits for what comes
    behind it; a piece that is replaced before it was sent is never seen. Where more was sent, the new text
    goes on from there if it begins the same, else the client is told in words.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._head: dict[str, Json] = {}
        self._sent = ""
        self._waiting = ""

    def of(self, event: agents_pb2.RunAgentResponse) -> list[dict[str, Json]]:
        """What the event adds. The last event must be of a run that has succeeded."""
        chunks: list[dict[str, Json]] = []
        if not self._head:
            self._head = {
                "id": _id(event.run_id),
                "object": "chat.completion.chunk",
                "created": event.event_time.seconds,
                "model": self._asked.model,
            }
            chunks.append(self._chunk({"role": "assistant", "content": ""}))
        match event.WhichOneof("event"):
            case "text" if event.text.reset:
                self._replace(event.text.text)
            case "text":
                chunks += self._flush()
                self._waiting = event.text.text
            case "ended":
                chunks += self._end(event.ended.result)
        return chunks

    def _flush(self) -> list[dict[str, Json]]:
        if not self._waiting:
            return []
        piece, self._waiting = self._waiting, ""
        self._sent += piece
        return [self._chunk({"content": piece})]

    def _replace(self, text: str) -> None:
        if text.startswith(self._sent):
            self._waiting = text[len(self._sent) :]
        else:
            self._waiting = f"{_WITHDRAWN}{text}"

    def _end(self, result: agents_pb2.RunResult) -> list[dict[str, Json]]:
        notes = footnotes(result) if self._asked.sources == "footnotes" else ""
        self._waiting += notes
        chunks = self._flush()
        for index, call in enumerate(calling.told(result.tool_calls, one=self._asked.offer.one)):
            chunks.append(self._chunk({"tool_calls": [{"index": index, **call}]}))
        last = self._chunk({}, _finish(result)) | _about(result, self._asked.sources)
        chunks.append(last)
        if self._asked.usage_wanted:
            chunks.append({**self._head, "choices": [], "usage": usage(result)})
        return chunks

    def _chunk(self, delta: dict[str, Json], finish: str | None = None) -> dict[str, Json]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._head, "choices": [choice]}
        # Where the last chunk tells the usage, the protocol has null in all others.
        return chunk | ({"usage": None} if self._asked.usage_wanted else {})
