"""Which models are configured, and where they are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import SecretStr

from services.agents.chat import capabilities
from services.agents.chat.capabilities import Capabilities
from services.agents.settings import AgentsSettings
from services.chassis.settings import SettingsError

OPENAI_BASE_URL = "https://api.openai.com/v1"
# The vendors' own OpenAI-compatible endpoints.
_BASE_URLS = {
    "openai": OPENAI_BASE_URL,
    "anthropic": "https://api.anthropic.com/v1/",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai/",
    "cohere": "https://api.cohere.ai/compatibility/v1",
}


@dataclass(frozen=True)
class Provider:
    """A model, where it is asked, with which key, and what it can do besides writing text."""

    name: str
    base_url: str
    model: str
    api_key: SecretStr
    capabilities: Capabilities = frozenset()


@dataclass(frozen=True)
class AudioProvider:
    """Models of sound and where they are asked; empty is the name of one that there is not."""

    place: Provider
    transcription_model: str
    speech_model: str


def audio(settings: AgentsSettings) -> AudioProvider | None:
    """The models that listen and speak, at the address of OpenAI's; None when no name is set.

    Raises SettingsError where a name is set and neither a key nor an address.
    """
    listener, speaker = settings.openai_transcription_model, settings.openai_speech_model
    if not listener and not speaker:
        return None
    place = next(provider for provider in _all(settings) if provider.name == "openai")
    if not place.api_key.get_secret_value() and not settings.openai_base_url:
        name = "OPENAI_TRANSCRIPTION_MODEL" if listener else "OPENAI_SPEECH_MODEL"
        raise SettingsError(f"{name}: needs OPENAI_API_KEY or OPENAI_BASE_URL as well")
    return AudioProvider(place, listener, speaker)


def configured(settings: AgentsSettings) -> tuple[Provider, ...]:
    """The providers that have a key, in the order of MELD_MODEL_ORDER; OpenAI also with a base URL alone.

    Raises SettingsError for an order that names something else, and for capabilities that there are not.
    """
    declared = capabilities.parse(settings.meld_model_capabilities)
    order = [name.strip() for name in settings.meld_model_order.split(",") if name.strip()]
    unknown = sorted(set(order) - set(_BASE_URLS))
    if unknown or len(set(order)) != len(order):
        raise SettingsError(
            f"MELD_MODEL_ORDER: each of {', '.join(_BASE_URLS)} at most once, and nothing else"
        )
    known = {
        provider.name: replace(provider, capabilities=declared.get(provider.model, _documented(provider)))
        for provider in _all(settings)
    }
    return tuple(
        known[name]
        for name in order
        if known[name].api_key.get_secret_value() or (name == "openai" and settings.openai_base_url)
    )


def images(settings: AgentsSettings) -> Provider | None:
    """The model that makes pictures, at the address of OpenAI's; None when no name is set.

    Raises SettingsError where a name is set and neither a key nor an address.
    """
    if not settings.openai_image_model:
        return None
    place = next(provider for provider in _all(settings) if provider.name == "openai")
    if not place.api_key.get_secret_value() and not settings.openai_base_url:
        raise SettingsError("OPENAI_IMAGE_MODEL: needs OPENAI_API_KEY or OPENAI_BASE_URL as well")
    return replace(place, model=settings.openai_image_model)


def _documented(provider: Provider) -> Capabilities:
    # Another server than the vendor's may be anything, Ollama, vLLM, a proxy: its owner says what it can do.
    vendor = provider.base_url == _BASE_URLS[provider.name]
    return capabilities.documented(provider.name if vendor else "", provider.model)


def _all(settings: AgentsSettings) -> tuple[Provider, ...]:
    return (
        Provider(
            "openai",
            settings.openai_base_url or OPENAI_BASE_URL,
            settings.openai_model,
            settings.openai_api_key,
        ),
        Provider(
            "anthropic", _BASE_URLS["anthropic"], settings.meld_anthropic_model, settings.anthropic_api_key
        ),
        Provider("google", _BASE_URLS["google"], settings.meld_google_model, settings.google_api_key),
        Provider("cohere", _BASE_URLS["cohere"], settings.meld_cohere_model, settings.cohere_api_key),
    )
