"""The OpenAI-compatible /v1: agents as models, and embeddings."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Sequence

from flask import Blueprint, Response, request

from meldrag.agents.v1 import agents_pb2
from meldrag.session.v1 import session_pb2
from meldrag.vector.v1 import vector_pb2
from services.gateway.body import Query, idempotency_key, json_object
from services.gateway.calls import Client, EndOfStreamError, stream, unary, upload
from services.gateway.door import answer, door, dumps
from services.gateway.multipart import PIECE_BYTES
from services.gateway.openai import asking, completion, embedding, failure, models
from services.gateway.openai.asking import Asked
from services.gateway.openai.content import Media
from services.gateway.openapi.operation import EVENTS, JSON, Answer, messages, not_there, operation
from services.gateway.openapi.operation import json as told
from services.gateway.openapi.schema import reference
from services.gateway.problem import MEDIA_TYPE, ProblemError, invalid
from services.gateway.routes.runs import raise_failure
from services.gateway.streaming import Stream, event_response

blueprint = Blueprint("openai", __name__)

_DONE = b"data: [DONE]\n\n"
_PAGE = 1000
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_COMPLETED = Answer(
    {
        JSON: reference("Completion"),
        EVENTS: messages("CompletionChunk", "OpenAIError", last="[DONE]"),
    }
)
_PATHS = {"models": "GET", "chat/completions": "POST", "embeddings": "POST"}


@blueprint.get("/models")
@operation(answers={200: told("Models")}, tells="OpenAIError")
def list_models() -> Response:
    """The agents as models, the one that chooses first."""
    Query(request).finish()
    return answer({"object": "list", "data": _models()})


@blueprint.get("/models/<path:model_id>")
@operation(answers={200: told("Model")}, tells="OpenAIError")
def get_model(model_id: str) -> Response:
    """One model."""
    Query(request).finish()
    found = next((model for model in _models() if model["id"] == model_id), None)
    if found is None:
        raise models.not_found(model_id)
    return answer(found)


def _models() -> list[dict[str, models.Json]]:
    # A page holds more agents than there are fields for their results.
    page = unary(door().clients.agents.ListAgents, agents_pb2.ListAgentsRequest(page_size=_PAGE))
    return models.listed(page.agents)


@blueprint.post("/chat/completions")
@operation(
    answers={200: _COMPLETED},
    body="NewCompletion",
    problems=(404, 502, 507),
    repeat="key",
    tells="OpenAIError",
)
def create_chat_completion() -> Response:
    """Lets the agent that the model is answer the last message of the user."""
    Query(request).finish()
    request_id = idempotency_key(request)
    client = Client.of(request)
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        asked = asking.read(json_object(request, door().settings.meld_max_chat_bytes))
        agent_id, media = asked.taken()
        if asked.passes_tools:
            _check_passes_tools(agent_id)
        attachment_ids = _kept(asked, agent_id, media, request_id)
        upstream = stream(door().clients.agents.RunAgent, asked.run(agent_id, attachment_ids, request_id))
        held.callback(upstream.close)
        first = upstream.first(client)
        raise_failure(first)
        if asked.stream:
            lines = _Lines(asked)
            body = Stream(
                upstream,
                client,
                door().drain,
                door().settings.meld_heartbeat_seconds,
                lines.of,
                tail=lines.tail,
                fail=_failed,
            )
            return event_response(body.chunks(first), held.pop_all().close)
        with contextlib.suppress(EndOfStreamError):
            while True:
                event = upstream.wait(client)
                if event.HasField("ended"):
                    raise_failure(event)
                    return answer(completion.whole(asked, first.event_time.seconds, event.ended.result))
    raise _unended()


def _unended() -> ProblemError:
    return ProblemError(502, "NO_ANSWER", "the run's events ended before the run")


class _Lines:
    """The lines of a stream. After an error there are no more."""

    def __init__(self, asked: Asked) -> None:
        self._chunks = completion.Chunks(asked)
        self._over = False

    def of(self, event: agents_pb2.RunAgentResponse) -> bytes:
        """What a client is sent for an event; may be nothing."""
        if self._over:
            return b""
        try:
            raise_failure(event)
        except ProblemError as problem:
            self._over = True
            return _failed(problem)
        said = b"".join(_line(chunk) for chunk in self._chunks.of(event))
        if not event.HasField("ended"):
            return said
        self._over = True
        return said + _DONE

    def tail(self) -> bytes:
        """What a client is sent when the events have ended."""
        return b"" if self._over else _failed(_unended())


def _line(value: models.Json) -> bytes:
    return f"data: {dumps(value)}\n\n".encode()


def _failed(problem: ProblemError) -> bytes:
    return _line(failure.error(problem.document()))


def _check_passes_tools(agent_id: str) -> None:
    """Raises ProblemError 400."""
    agent = unary(door().clients.agents.GetAgent, agents_pb2.GetAgentRequest(agent_id=agent_id)).agent
    if not agent.passes_tools:
        raise failure.unsupported(
            "tools",
            f"{models.model_of(agent_id)} asks for none of the caller's: the agent passes none on, or no"
            ' model that asks for tools is configured; leave them out, or say tool_choice "none"',
        )


def _kept(asked: Asked, agent_id: str, media: Sequence[Media], request_id: str) -> list[str]:
    """Keeps pictures and recordings for the agent; the ids of the attachments. Raises ProblemError."""
    if not media:
        return []
    agent = unary(door().clients.agents.GetAgent, agents_pb2.GetAgentRequest(agent_id=agent_id)).agent
    if "attachment_ids" not in agent.input_schema.fields["properties"].struct_value.fields:
        raise invalid(
            "messages",
            f"{models.model_of(agent_id)} takes no files; {models.model_of(models.AUTO)} finds who does",
        )
    limit = door().settings.meld_max_attachment_bytes
    if any(len(item.data) > limit for item in media):
        raise ProblemError(413, "ATTACHMENT_TOO_LARGE", f"a file has at most {limit} bytes")
    return [_keep(asked, item, number, request_id) for number, item in enumerate(media, 1)]


def _keep(asked: Asked, item: Media, number: int, request_id: str) -> str:
    header = session_pb2.Attachment(
        session_id=asked.session_id,
        filename=f"{item.kind}-{number}.{item.suffix}",
        media_type=item.media_type,
        bytes=len(item.data),
        sha256=hashlib.sha256(item.data).hexdigest(),
    )
    # A repeated request finds its attachments again, and so is the same run.
    own = hashlib.sha256(f"{request_id}/{number}".encode()).hexdigest() if request_id else ""

    def parts() -> Iterator[session_pb2.PutAttachmentRequest]:
        yield session_pb2.PutAttachmentRequest(header=header, request_id=own)
        for start in range(0, len(item.data), PIECE_BYTES):
            yield session_pb2.PutAttachmentRequest(data=item.data[start : start + PIECE_BYTES])

    kept = upload(door().clients.session.PutAttachment, session_pb2.PutAttachmentRequest, parts())
    return kept.attachment.attachment_id


@blueprint.post("/embeddings")
@operation(
    answers={200: told("Embeddings")},
    body="NewEmbeddings",
    problems=(404, 409, 502),
    repeat="reads",
    tells="OpenAIError",
)
def create_embeddings() -> Response:
    """Embeds texts as documents and questions are. It changes nothing, so a key for repeats has no effect."""
    Query(request).finish()
    idempotency_key(request)
    wanted = embedding.read(json_object(request, door().settings.meld_max_chat_bytes))
    vectors: list[Sequence[float]] = []
    embedding_model = ""
    for texts in wanted.calls():
        made = unary(door().clients.vector.EmbedTexts, vector_pb2.EmbedTextsRequest(texts=texts))
        if not vectors:
            embedding_model = made.embedding_model
            wanted.check(embedding_model, len(made.embeddings[0].values))
        vectors += [row.values for row in made.embeddings]
    return answer(embedding.told(wanted, embedding_model, vectors))


@blueprint.route("", methods=_METHODS)
@blueprint.route("/", methods=_METHODS)
@blueprint.route("/<path:other>", methods=_METHODS)
@not_there
def refuse(other: str = "") -> Response:
    """Whatever else OpenAI has, and methods that a path does not have here."""
    allowed = "GET" if other.startswith("models/") else _PATHS.get(other)
    if allowed is not None:
        raise ProblemError(
            405,
            "METHOD_NOT_ALLOWED",
            f"{request.path[:200]} takes {allowed} alone",
            headers={"Allow": allowed},
        )
    raise ProblemError(404, "UNKNOWN_URL", f"there is no {request.method} {request.path[:200]}")


@blueprint.after_request
def say_it_as_openai_does(response: Response) -> Response:
    """Problems, wherever in the house they were raised, in the form that this API's clients know."""
    if response.mimetype != MEDIA_TYPE:
        return response
    problem = json.loads(response.get_data())
    response.set_data(dumps(failure.error(problem)))
    response.content_type = "application/json"
    response.headers["X-Should-Retry"] = "true" if failure.worth_another_try(problem) else "false"
    return response
