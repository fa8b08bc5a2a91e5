"""How outcomes are written down and read again, exactly."""

from __future__ import annotations

import dataclasses
import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import grpc
import numpy as np

from services.agents.journal.entry import canonical, packed, raw, read_json
from services.agents.model import Conversation, Passage, Standing, Turn
from services.agents.ports import Embeddings, Likeness, ModelError, Nearness, Vectors
from services.agents.routing.route import Alternative, Route
from services.chassis import errors
from services.chassis.errors import ServiceError

T = TypeVar("T")

Found = tuple[tuple[Passage, ...], str]


@dataclass(frozen=True)
class Codec(Generic[T]):
    """Writes values as bytes and reads them again. pack: compresses, where that is worth it."""

    write: Callable[[T], bytes]
    read: Callable[[bytes], T]
    pack: Callable[[bytes], bytes] = packed


_LIKENESS = struct.Struct("<dd")

JSON: Codec[Any] = Codec(canonical, read_json)


def _write_embeddings(made: Embeddings) -> bytes:
    stream = io.BytesIO()
    np.save(stream, made.vectors, allow_pickle=False)
    stream.write(_LIKENESS.pack(made.likeness.factor, made.likeness.offset))
    return stream.getvalue()


def _read_embeddings(data: bytes) -> Embeddings:
    stream = io.BytesIO(data)
    vectors: Vectors = np.load(stream, allow_pickle=False)
    # Records of before end here: cosines were taken as they are.
    said = stream.read()
    return Embeddings(vectors, Likeness(*_LIKENESS.unpack(said)) if said else Likeness())


# Numbers of an embedding are noise to a compressor: it saves a tenth and takes milliseconds.
EMBEDDINGS: Codec[Embeddings] = Codec(_write_embeddings, _read_embeddings, raw)


def _write_nearness(made: Nearness | None) -> bytes:
    if made is None:
        return canonical(None)
    likeness = [made.likeness.factor, made.likeness.offset]
    return canonical([list(made.words), made.weights.tolist(), made.of.tolist(), likeness])


def _read_nearness(data: bytes) -> Nearness | None:
    said = read_json(data)
    if said is None:
        return None
    words, weights, rows, likeness = said
    of = np.array(rows, np.float32).reshape(len(rows), len(words))
    return Nearness(tuple(words), np.array(weights, np.float32), of, Likeness(*likeness))


NEARNESS: Codec[Nearness | None] = Codec(_write_nearness, _read_nearness)


def _read_found(data: bytes) -> Found:
    passages, degraded = read_json(data)
    return tuple(Passage(**passage) for passage in passages), degraded


# Passages are flat, and `asdict` takes ten times as long.
FOUND: Codec[Found] = Codec(
    lambda found: canonical([[vars(passage) for passage in found[0]], found[1]]), _read_found
)


STANDINGS: Codec[list[Standing | None]] = Codec(
    lambda standings: canonical([standing and [standing.page, standing.location] for standing in standings]),
    lambda data: [said and Standing(*said) for said in read_json(data)],
)


def _read_conversation(data: bytes) -> Conversation:
    said = read_json(data)
    turns = tuple(Turn(**turn) for turn in said["turns"])
    return Conversation(said["session_id"], tuple(said["collection_ids"]), turns)


CONVERSATION: Codec[Conversation] = Codec(
    lambda conversation: canonical(dataclasses.asdict(conversation)), _read_conversation
)


def _read_route(data: bytes) -> Route:
    said = read_json(data)
    alternatives = tuple(Alternative(**other) for other in said["alternatives"])
    return Route(
        said["agent_id"],
        said["confidence"],
        tuple(said["reasons"]),
        alternatives,
        # Records of before have none.
        said.get("asks", 0.0),
    )


ROUTE: Codec[Route] = Codec(lambda route: canonical(dataclasses.asdict(route)), _read_route)


def written_error(error: Exception) -> bytes | None:
    """An error that a run may meet and go on from; None for a defect, which ends it."""
    match error:
        case ServiceError():
            said: dict[str, Any] = {
                "code": error.code.name,
                "reason": error.reason,
                "message": error.message,
                "metadata": error.metadata,
                "retry_after": error.retry_after,
            }
        case ModelError():
            said = {
                "message": str(error),
                "model": error.model,
                "repeatable": error.repeatable,
                "ill": error.ill,
                "retry_after": error.retry_after,
                "truncated": error.truncated,
            }
        case _:
            return None
    return canonical(said)


def read_error(data: bytes) -> Exception:
    """The error that was written."""
    said = read_json(data)
    if "code" not in said:
        return ModelError(said.pop("message"), **said)
    kind = errors.of_code(grpc.StatusCode[said["code"]])
    return kind(
        said["message"], reason=said["reason"], metadata=said["metadata"], retry_after=said["retry_after"]
    )
