"""The models that are configured, opened."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.agents.chat.measures import ModelMeasures
from services.agents.chat.providers import AudioProvider, Provider
from services.agents.ports import AudioModel, ChatModel, ForeignTools, Painter
from services.agents.settings import AgentsSettings


@asynccontextmanager
async def open_models(
    providers: Sequence[Provider], max_output_tokens: int, measures: ModelMeasures | None = None
) -> AsyncIterator[ChatModel | None]:
    """A chat model made of these providers; None when there are none."""
    if not providers:
        yield None
        return
    # The client library takes more than a second to load, which a start without a model is spared.
    from services.agents.adapters.openai_model import open_chain  # noqa: PLC0415

    async with open_chain(providers, max_output_tokens, measures) as chain:
        yield chain


@asynccontextmanager
async def open_painter(
    provider: Provider | None, measures: ModelMeasures | None = None
) -> AsyncIterator[Painter | None]:
    """The model that makes pictures; None when there is none."""
    if provider is None:
        yield None
        return
    from services.agents.adapters.openai_images import open_images  # noqa: PLC0415 # as above

    async with open_images(provider, measures) as painter:
        yield painter


@asynccontextmanager
async def open_audio(
    provider: AudioProvider | None, measures: ModelMeasures | None = None
) -> AsyncIterator[AudioModel | None]:
    """The models of sound; None when there are none."""
    if provider is None:
        yield None
        return
    from services.agents.adapters.openai_audio import open_sound  # noqa: PLC0415 # as above

    async with open_sound(provider, measures) as model:
        yield model


def foreign_tools(settings: AgentsSettings) -> ForeignTools | None:
    """The tools of the MCP servers that are configured; None when there are none."""
    if not settings.mcp_servers:
        return None
    from services.agents.adapters.mcp_client import McpTools  # noqa: PLC0415 # as above

    return McpTools(settings.mcp_servers)
