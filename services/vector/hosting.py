"""The vector service as a gRPC server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.chassis import telemetry
from services.chassis.access import Authenticator, local_owner
from services.chassis.server import Hosted, Server
from services.vector.application import Application, started
from services.vector.models import ConfiguredModel, configured
from services.vector.servicer import VectorServicer
from services.vector.settings import VectorSettings


async def serve(settings: VectorSettings) -> None:
    """Serves until a signal ends it. The caller holds the data directory."""
    with telemetry.configure("vector", settings), configured(settings) as model:
        async with vector_server(settings, model, settings.bind) as (server, _):
            await server.run()


@asynccontextmanager
async def vector_server(
    settings: VectorSettings, model: ConfiguredModel, bind: str, authenticator: Authenticator = local_owner
) -> AsyncIterator[tuple[Server, Application]]:
    """The server, not started yet, over an application that is."""
    async with started(settings, model) as application:
        servicer = VectorServicer(application)
        hosted = Hosted(
            vector_pb2.DESCRIPTOR.services_by_name["VectorService"],
            lambda server: vector_pb2_grpc.add_VectorServiceServicer_to_server(servicer, server),
        )
        server = Server(
            name="vector",
            services=[hosted],
            dependencies=application.dependencies(),
            settings=settings,
            authenticator=authenticator,
            bind=bind,
        )
        application.keeper.follow(server.health.refresh)
        yield server, application
