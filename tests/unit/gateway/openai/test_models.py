from __future__ import annotations

import pytest

from meldrag.agents.v1 import agents_pb2
from services.gateway.openai import models
from services.gateway.problem import ProblemError


@pytest.mark.parametrize("agent_id", ["auto", "research", "code_repair", "test_generator"])
def test_an_agent_is_found_again_by_the_name_of_its_model(agent_id: str) -> None:
    assert models.agent_of(models.model_of(agent_id)) == agent_id


@pytest.mark.parametrize("model", ["", "gpt-4", "meld-", "research", "meld-code_repair", "MELD-auto"])
def test_other_names_are_no_models(model: str) -> None:
    with pytest.raises(ProblemError) as caught:
        models.agent_of(model)
    assert (caught.value.status, caught.value.reason) == (404, "MODEL_NOT_FOUND")


def test_the_model_that_embeds_does_not_chat() -> None:
    with pytest.raises(ProblemError) as caught:
        models.agent_of("meld-embedding")
    assert (caught.value.status, caught.value.reason) == (400, "MODEL_EMBEDS")


def test_models_are_listed_as_the_protocol_has_them() -> None:
    agents = [agents_pb2.Agent(agent_id="code_repair", display_name="Code repair", purpose="Mends.")]
    listed = models.listed(agents)
    assert [model["id"] for model in listed] == ["meld-auto", "meld-code-repair", "meld-embedding"]
    assert listed[1] == {
        "id": "meld-code-repair",
        "object": "model",
        "created": 0,
        "owned_by": "meld-rag",
        "name": "Code repair",
        "description": "Mends.",
    }
