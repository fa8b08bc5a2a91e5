"""What a model can do besides writing text, as declared; `make doctor` tries it out."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from services.chassis.settings import SettingsError


class Capability(enum.Enum):
    """Something that not every model, or not every server of a model, can do."""

    TOOLS = "tools"
    """Asks for tools that it is offered."""
    JSON_SCHEMA = "json_schema"
    """Writes JSON in a schema that it is held to while it writes."""
    VISION = "vision"
    """Looks at pictures."""
    AUDIO = "audio"
    """Listens to recordings."""


Capabilities = frozenset[Capability]

_NAMES = ", ".join(capability.value for capability in Capability)
_TOOLS, _SCHEMA, _VISION, _AUDIO = Capability
# What the vendors document for these models at their OpenAI-compatible endpoints, by provider and the
# beginning of the model's name; the first that fits counts. Anthropic's ignores response_format.
_DOCUMENTED: Mapping[str, tuple[tuple[str, Capabilities], ...]] = {
    "openai": (
        ("gpt-4o-audio", frozenset({_TOOLS, _AUDIO})),
        *(
            (name, frozenset({_TOOLS, _SCHEMA, _VISION}))
            for name in ("gpt-4o", "gpt-4.1", "gpt-5", "o3", "o4")
        ),
        ("gpt-4-turbo", frozenset({_TOOLS, _VISION})),
        ("gpt-", frozenset({_TOOLS})),
    ),
    "anthropic": (("claude-", frozenset({_TOOLS, _VISION})),),
    "google": (("gemini-", frozenset({_TOOLS, _SCHEMA, _VISION, _AUDIO})),),
    "cohere": (("command-", frozenset({_TOOLS, _SCHEMA})),),
}


def documented(provider: str, model: str) -> Capabilities:
    """What a vendor's model can do; nothing where that is not known. provider: empty for another server."""
    for beginning, capabilities in _DOCUMENTED.get(provider, ()):
        if model.startswith(beginning):
            return capabilities
    return frozenset()


def parse(text: str) -> Mapping[str, Capabilities]:
    """Capabilities by model, out of "model=tools+vision,model=…"; "model=" declares none.

    Raises SettingsError.
    """
    known = {capability.value: capability for capability in Capability}
    declared = {}
    for entry in filter(None, map(str.strip, text.split(","))):
        model, separator, names = entry.rpartition("=")
        wanted = [name.strip() for name in names.split("+") if name.strip()]
        if not separator or not model.strip() or not set(wanted) <= set(known):
            raise SettingsError(
                f"MELD_MODEL_CAPABILITIES: model=capability+capability, separated by commas, out of {_NAMES}"
            )
        declared[model.strip()] = frozenset(known[name] for name in wanted)
    return declared
