"""Agents under the names of models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meldrag.agents.v1 import agents_pb2
from services.gateway.problem import ProblemError

AUTO = "auto"
EMBEDDING = "meld-embedding"

_PREFIX = "meld-"
_OWNER = "meld-rag"

Json = Any


def model_of(agent_id: str) -> str:
    """The model that an agent is."""
    return f"{_PREFIX}{agent_id.replace('_', '-')}"


def agent_of(model: str) -> str:
    """The agent that a model is, "auto" among them; whether there is such an agent the service says.

    Raises ProblemError 404 for what cannot be one.
    """
    agent_id = model.removeprefix(_PREFIX).replace("-", "_")
    if not agent_id or model_of(agent_id) != model:
        raise not_found(model)
    if model == EMBEDDING:
        raise ProblemError(
            400,
            "MODEL_EMBEDS",
            f"{EMBEDDING} makes embeddings; it does not chat",
            metadata={"field": "model"},
        )
    return agent_id


def not_found(model: str) -> ProblemError:
    """There is no such model."""
    return ProblemError(
        404,
        "MODEL_NOT_FOUND",
        f"there is no model {model[:100]!r}; GET /v1/models lists those that there are",
        metadata={"field": "model"},
    )


def listed(agents: Iterable[agents_pb2.Agent]) -> list[dict[str, Json]]:
    """All models: the one that chooses, one for each agent, the one that embeds."""
    return [
        _model(model_of(AUTO), "Auto", "Chooses the agent that fits the question."),
        *(_model(model_of(agent.agent_id), agent.display_name, agent.purpose) for agent in agents),
        _model(
            EMBEDDING,
            "Embedding",
            "Embeds texts as documents and questions are embedded; for /v1/embeddings.",
        ),
    ]


def _model(model: str, name: str, description: str) -> dict[str, Json]:
    return {
        "id": model,
        "object": "model",
        # The protocol wants a time; agents have none.
        "created": 0,
        "owned_by": _OWNER,
        "name": name,
        "description": description,
    }
