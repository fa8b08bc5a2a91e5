"""From the words of a call to the contracts' messages; the same for both clients."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from google.protobuf import struct_pb2

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from meldrag.vector.v1 import vector_pb2

Mode = Literal["hybrid", "dense", "lexical"]

_MODES: Mapping[str, vector_pb2.SearchMode] = {
    "hybrid": vector_pb2.SEARCH_MODE_HYBRID,
    "dense": vector_pb2.SEARCH_MODE_DENSE,
    "lexical": vector_pb2.SEARCH_MODE_LEXICAL,
}


def new_request_id() -> str:
    """Makes a write happen once, however often it arrives."""
    return uuid.uuid4().hex


def search(query: str, collections: Sequence[str], top_k: int, mode: Mode) -> vector_pb2.SearchRequest:
    """A question to collections. Raises ValueError for a mode that is none."""
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(_MODES)}")
    return vector_pb2.SearchRequest(
        query=query, collection_ids=_names(collections), top_k=top_k, mode=_MODES[mode]
    )


def run(
    message: str,
    *,
    agent: str,
    collections: Sequence[str],
    session: str,
    inputs: Mapping[str, Any] | None,
    request_id: str,
) -> agents_pb2.RunAgentRequest:
    """A task for an agent."""
    return agents_pb2.RunAgentRequest(
        agent_id=agent,
        message=message,
        collection_ids=_names(collections),
        session_id=session,
        inputs=_struct(inputs),
        request_id=request_id or new_request_id(),
    )


def workflow(
    workflow_id: str,
    message: str,
    *,
    steps: Iterable[workflow_pb2.WorkflowStep],
    collections: Sequence[str],
    session: str,
    inputs: Mapping[str, Any] | None,
    request_id: str,
) -> agents_pb2.RunWorkflowRequest:
    """A workflow by its name, or steps."""
    return agents_pb2.RunWorkflowRequest(
        workflow_id=workflow_id,
        message=message,
        steps=steps,
        collection_ids=_names(collections),
        session_id=session,
        inputs=_struct(inputs),
        request_id=request_id or new_request_id(),
    )


def citations(
    claimed: Iterable[agents_pb2.Citation | vector_pb2.Citation],
) -> vector_pb2.VerifyCitationsRequest:
    """Citations to be checked, as an answer has them or as claims."""
    return vector_pb2.VerifyCitationsRequest(
        citations=[
            vector_pb2.Citation(
                document_id=claim.document_id,
                extraction_sha256=claim.extraction_sha256,
                span=vector_pb2.Span(byte_start=claim.byte_start, byte_end=claim.byte_end),
                quote=claim.quote,
            )
            if isinstance(claim, agents_pb2.Citation)
            else claim
            for claim in claimed
        ]
    )


def _names(collections: Sequence[str]) -> Sequence[str]:
    """Collections; a single text would be taken for its letters."""
    if isinstance(collections, str):
        raise TypeError("collections must be a list of names, not one text")
    return collections


def _struct(inputs: Mapping[str, Any] | None) -> struct_pb2.Struct | None:
    if inputs is None:
        return None
    made = struct_pb2.Struct()
    made.update(dict(inputs))
    return made
