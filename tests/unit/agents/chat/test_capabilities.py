"""What models are said to be able to do."""

from __future__ import annotations

import pytest

from services.agents.chat.capabilities import Capability, documented, parse
from services.agents.chat.providers import configured
from services.agents.settings import AgentsSettings
from services.chassis.settings import SettingsError

TOOLS, SCHEMA, VISION, AUDIO = Capability


@pytest.mark.parametrize(
    ("provider", "model", "able"),
    [
        ("openai", "gpt-4", {TOOLS}),
        ("openai", "gpt-4o-mini", {TOOLS, SCHEMA, VISION}),
        ("openai", "gpt-4o-audio-preview", {TOOLS, AUDIO}),
        ("openai", "something-new", set()),
        ("anthropic", "claude-sonnet-4-5", {TOOLS, VISION}),
        ("google", "gemini-2.5-flash", {TOOLS, SCHEMA, VISION, AUDIO}),
        ("cohere", "command-a-03-2025", {TOOLS, SCHEMA}),
        ("", "gpt-4o", set()),
    ],
)
def test_vendors_document_what_their_models_can_do(provider: str, model: str, able: set[Capability]) -> None:
    assert documented(provider, model) == able


def test_what_is_declared_counts_instead() -> None:
    declared = parse("tiny:1b = tools + json_schema, gpt-4o=, a=b=vision")
    assert declared == {"tiny:1b": {TOOLS, SCHEMA}, "gpt-4o": set(), "a=b": {VISION}}
    settings = AgentsSettings(
        openai_base_url="http://127.0.0.1:11434/v1",
        openai_model="tiny:1b",
        anthropic_api_key="k",
        meld_model_capabilities="tiny:1b=tools",
    )
    local, anthropic = configured(settings)
    assert (local.capabilities, anthropic.capabilities) == ({TOOLS}, {TOOLS, VISION})


def test_nothing_is_supposed_of_another_server() -> None:
    (local,) = configured(AgentsSettings(openai_base_url="http://127.0.0.1:8000/v1", openai_model="gpt-4o"))
    assert local.capabilities == frozenset()


@pytest.mark.parametrize("text", ["gpt-4", "=tools", "gpt-4=sight", "gpt-4=tools;json_schema"])
def test_what_is_no_capability_is_named(text: str) -> None:
    with pytest.raises(SettingsError, match="MELD_MODEL_CAPABILITIES"):
        configured(AgentsSettings(meld_model_capabilities=text))
