"""The ports of a run behind its journal: each answers from it where it can, and is written down in it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from services.agents.journal.codecs import (
    CONVERSATION,
    EMBEDDINGS,
    FOUND,
    JSON,
    NEARNESS,
    ROUTE,
    STANDINGS,
    read_error,
    written_error,
)
from services.agents.journal.entry import Outcome, canonical, digest, packed, read_json, unpacked
from services.agents.journal.journal import Journal
from services.agents.model import Conversation, Passage, Quote, Standing
from services.agents.ports import (
    Answered,
    Attachment,
    ChatModel,
    Conversations,
    Embeddings,
    Meter,
    ModelDone,
    ModelError,
    Nearness,
    Piece,
    Prompt,
    Retriever,
    Routes,
    TextPiece,
    ToolRequest,
)
from services.agents.routing.route import Route


class JournaledRetriever:
    """Is a Retriever."""

    def __init__(self, inner: Retriever, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    async def search(
        self, query: str, collection_ids: Sequence[str], top_k: int | None
    ) -> tuple[tuple[Passage, ...], str]:
        """See Retriever."""
        asked = {"query": query, "collections": list(collection_ids), "top_k": top_k}
        return await self._journal.ask(
            "search", asked, lambda: self._inner.search(query, collection_ids, top_k), FOUND
        )

    async def collections(self, most: int) -> tuple[str, ...]:
        """See Retriever."""
        return tuple(
            await self._journal.ask(
                "collections", {"most": most}, lambda: self._inner.collections(most), JSON
            )
        )

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See Retriever."""
        return await self._journal.ask(
            "embed", {"texts": list(texts)}, lambda: self._inner.embed(texts), EMBEDDINGS
        )

    async def compare(self, question: str, quotes: Sequence[Quote]) -> Nearness | None:
        """See Retriever."""
        spans = [[quote.passage.chunk_id, quote.byte_start, quote.byte_end] for quote in quotes]
        return await self._journal.ask(
            "compare",
            {"question": question, "spans": spans},
            lambda: self._inner.compare(question, quotes),
            NEARNESS,
        )

    async def verify(self, quotes: Sequence[Quote]) -> list[Standing | None]:
        """See Retriever."""
        asked = [
            [
                *(quote.passage.document_id, quote.passage.extraction_sha256),
                *(quote.byte_start, quote.byte_end, quote.text),
            ]
            for quote in quotes
        ]
        return await self._journal.ask("verify", asked, lambda: self._inner.verify(quotes), STANDINGS)


class JournaledConversations:
    """Is Conversations."""

    def __init__(self, inner: Conversations, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    async def read(self, session_id: str) -> Conversation:
        """See Conversations."""
        return await self._journal.ask(
            "session", {"session_id": session_id}, lambda: self._inner.read(session_id), CONVERSATION
        )

    async def append_exchange(
        self, session_id: str, request_id: str, question: str, answer: Answered
    ) -> None:
        """See Conversations: once for each request id by itself, so it is not written down."""
        await self._inner.append_exchange(session_id, request_id, question, answer)

    async def note(self, session_id: str, name: str) -> str:
        """See Conversations: the tool that asks for it is written down."""
        return await self._inner.note(session_id, name)

    async def keep_note(self, session_id: str, name: str, text: str) -> None:
        """See Conversations: likewise."""
        await self._inner.keep_note(session_id, name, text)


class JournaledRoutes:
    """Is Routes."""

    def __init__(self, inner: Routes, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    async def route(self, request: str) -> Route:
        """See Routes."""
        return await self._journal.ask(
            "route", {"message": request}, lambda: self._inner.route(request), ROUTE
        )


class JournaledModel:
    """Is a ChatModel. An answer is written down when it is whole, or has broken off.

    inner: None where no model is configured any more; one that is recorded answers all the same.
    """

    def __init__(self, inner: ChatModel | None, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    async def ping(self) -> None:
        """See ChatModel."""
        if self._inner is None:
            raise _not_configured()
        await self._inner.ping()

    async def stream(self, prompt: Prompt, seconds: float, meter: Meter) -> AsyncGenerator[Piece]:
        """See ChatModel."""
        said = canonical(_plain(prompt))
        name = digest(said)
        entry = await self._journal.found("model", name, said)
        if entry is not None:
            for recorded in _recorded(read_json(unpacked(entry.value)), meter):
                yield recorded
            return
        answer = _Answer(meter)
        began = time.monotonic()

        def write(outcome: Outcome, error: Exception | None = None) -> None:
            value = packed(canonical(answer.told(error)))
            self._journal.add("model", said, outcome, value, seconds=time.monotonic() - began)

        try:
            if self._inner is None:
                raise _not_configured()
            async with aclosing(self._inner.stream(prompt, seconds, answer)) as pieces:
                async for piece in pieces:
                    answer.pieces.append(piece)
                    if answer.done:
                        # Before anybody acts on it.
                        write(Outcome.VALUE)
                    # To its end: a model that is left early counts as one that nobody let finish.
                    yield piece
        except GeneratorExit:
            # Whoever listened has heard enough, and will again.
            if not answer.done:
                write(Outcome.VALUE)
            raise
        except Exception as error:
            if written_error(error) is not None:
                write(Outcome.ERROR, error)
            raise
        else:
            if not answer.done:
                write(Outcome.VALUE)


def _recorded(told: dict[str, Any], meter: Meter) -> Iterator[Piece]:
    """What a model said, charged as it was. Raises what it failed with."""
    for _ in range(told["charges"]):
        meter.charge_model_call()
    yield from map(_piece, told["pieces"])
    if told["error"] is not None:
        raise read_error(told["error"].encode())


class _Answer:
    """What a model has said so far; counts what it charges."""

    def __init__(self, meter: Meter) -> None:
        self.pieces: list[Piece] = []
        self._meter = meter
        self._charges = 0

    @property
    def done(self) -> bool:
        """Whether it is whole."""
        return bool(self.pieces) and isinstance(self.pieces[-1], ModelDone)

    def charge_model_call(self) -> None:
        """See Meter. One that is refused is charged again, and refused again."""
        self._charges += 1
        self._meter.charge_model_call()

    def told(self, error: Exception | None) -> dict[str, Any]:
        """All of it, as plain JSON."""
        written = None if error is None else written_error(error)
        return {
            "pieces": [
                piece.text if isinstance(piece, TextPiece) else _typed(piece) for piece in self.pieces
            ],
            "error": None if written is None else written.decode(),
            "charges": self._charges,
        }


_KINDS: Mapping[str, type[ToolRequest] | type[ModelDone]] = {
    kind.__name__: kind for kind in (ToolRequest, ModelDone)
}


def _typed(piece: ToolRequest | ModelDone) -> dict[str, Any]:
    return {"kind": type(piece).__name__, **dataclasses.asdict(piece)}


def _piece(told: Any) -> Piece:
    if isinstance(told, str):
        return TextPiece(told)
    fields = dict(told)
    return _KINDS[fields.pop("kind")](**fields)


def _plain(prompt: Prompt) -> dict[str, Any]:
    """A prompt as plain JSON; attachments by their digests."""
    return {
        "messages": [
            {
                **{
                    field.name: getattr(message, field.name)
                    for field in dataclasses.fields(message)
                    if field.name not in ("attachments", "requests")
                },
                "requests": [dataclasses.asdict(request) for request in message.requests],
                "attachments": [_attachment(part) for part in message.attachments],
            }
            for message in prompt.messages
        ],
        "temperature": prompt.temperature,
        "max_output_tokens": prompt.max_output_tokens,
        "budget_tokens": prompt.budget_tokens,
        "schema": prompt.schema,
        "tools": [dataclasses.asdict(tool) for tool in prompt.tools],
        # Not in journals of the time before there were any.
        **({"calls": prompt.calls} if prompt.calls else {}),
    }


def _attachment(part: Attachment) -> dict[str, str]:
    # "data" as in journals of the time when attachments carried their bytes: the same digest under the name.
    return {"media_type": part.media_type, "data": part.sha256}


def _not_configured() -> ModelError:
    return ModelError("no model is configured any more", model="")
