"""The agents service as a gRPC server."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import Any

from services.agents.adapters import listener_client, quota_client, session_client, vector_client
from services.agents.adapters.models import foreign_tools, open_audio, open_models, open_painter
from services.agents.assembly import assemble
from services.agents.chat.measures import ModelMeasures
from services.agents.chat.prices import parse_prices
from services.agents.chat.providers import audio, configured, images
from services.agents.settings import AgentsSettings
from services.chassis import passes, telemetry
from services.chassis.channel import open_aio_channel
from services.chassis.server import Server
from services.sandbox.sandbox import opening_sandbox


async def serve(settings: AgentsSettings) -> None:
    """Serves until told to stop."""
    async with AsyncExitStack() as stack:
        stack.enter_context(telemetry.configure("agents", settings))
        known_by: Any = {"identity": passes.identity(settings), "certificates": settings.certificates}
        vector = await stack.enter_async_context(
            open_aio_channel(settings.meld_vector_address, vector_client.SERVICE, **known_by)
        )
        session = await stack.enter_async_context(
            open_aio_channel(
                settings.meld_session_address,
                session_client.SERVICE,
                quota_client.SERVICE,
                listener_client.SERVICE,
                **known_by,
            )
        )
        measures = ModelMeasures(parse_prices(settings.meld_model_prices))
        model = await stack.enter_async_context(
            open_models(configured(settings), settings.openai_max_tokens, measures)
        )
        sound = await stack.enter_async_context(open_audio(audio(settings), measures))
        sandbox = await stack.enter_async_context(opening_sandbox(settings.meld_sandbox))
        painter = await stack.enter_async_context(open_painter(images(settings), measures))
        house = await stack.enter_async_context(
            assemble(
                settings,
                vector,
                session,
                model,
                sound=sound,
                sandbox=sandbox,
                painter=painter,
                foreign=foreign_tools(settings),
            )
        )
        await Server(
            name="agents",
            services=house.services,
            dependencies=house.dependencies,
            settings=settings,
            authenticator=passes.authenticator(settings),
            bind=settings.bind,
            max_concurrent=settings.meld_max_runs + 100,
        ).run()
