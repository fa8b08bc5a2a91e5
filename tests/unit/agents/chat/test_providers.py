"""Which models are configured."""

from __future__ import annotations

from typing import Any

import pytest

from services.agents.chat.providers import audio, configured, images
from services.agents.settings import AgentsSettings
from services.chassis.settings import SettingsError


def names(**settings: Any) -> list[tuple[str, str]]:
    """The configured providers and their models, in order."""
    return [(provider.name, provider.model) for provider in configured(AgentsSettings(**settings))]


def test_none_without_a_key_or_a_url() -> None:
    assert names() == []


def test_a_base_url_alone_is_enough() -> None:
    (provider,) = configured(AgentsSettings(openai_base_url="http://127.0.0.1:1/v1", openai_model="tiny"))
    assert (provider.base_url, provider.model) == ("http://127.0.0.1:1/v1", "tiny")


def test_the_order_is_configured() -> None:
    keys = {"openai_api_key": "a", "cohere_api_key": "b", "anthropic_api_key": "c", "google_api_key": "d"}
    assert [name for name, _ in names(**keys)] == ["openai", "anthropic", "google", "cohere"]
    ordered = names(**keys, meld_model_order="cohere, openai", openai_model="gpt-x")
    assert [name for name, _ in ordered] == ["cohere", "openai"]
    assert ordered[1] == ("openai", "gpt-x")


@pytest.mark.parametrize("order", ["openai,nobody", "openai,openai"])
def test_a_wrong_order_is_named(order: str) -> None:
    with pytest.raises(SettingsError, match="MELD_MODEL_ORDER"):
        names(meld_model_order=order)


def test_keys_do_not_show() -> None:
    assert "secret-key" not in repr(configured(AgentsSettings(openai_api_key="secret-key")))


def test_pictures_are_made_at_the_address_of_openais_when_a_model_is_named() -> None:
    assert images(AgentsSettings(openai_api_key="k")) is None
    made = images(AgentsSettings(openai_image_model="brush", openai_base_url="http://127.0.0.1:1/v1"))
    assert made is not None
    assert (made.model, made.base_url) == ("brush", "http://127.0.0.1:1/v1")


def test_a_model_of_pictures_without_an_address_is_named() -> None:
    with pytest.raises(SettingsError, match="OPENAI_IMAGE_MODEL"):
        images(AgentsSettings(openai_image_model="brush"))


def test_models_of_sound_are_asked_where_openais_are() -> None:
    assert audio(AgentsSettings()) is None
    found = audio(AgentsSettings(openai_base_url="http://127.0.0.1:1/v1", openai_speech_model="tts-1"))
    assert found is not None
    assert (found.place.base_url, found.transcription_model) == ("http://127.0.0.1:1/v1", "")
    assert found.speech_model == "tts-1"


@pytest.mark.parametrize("name", ["openai_transcription_model", "openai_speech_model"])
def test_models_of_sound_need_a_place(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name.upper()}: needs OPENAI_API_KEY or OPENAI_BASE_URL"):
        audio(AgentsSettings(**{name: "m"}))  # type: ignore[arg-type]
