"""The vector service as a gRPC server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meldrag.vector.v1 import vector_pb2_grpc
from services.chassis import passes, telemetry
from services.chassis.access import Authenticator
from services.chassis.server import Hosted, Server
from services.vector.application import started
from services.vector.models import ConfiguredModel, configured
from services.vector.settings import VectorSettings
from services.vector.snapshots.exchange import clear
from services.vector.snapshots.exporting import Exporting
from services.vector.snapshots.restoring import Restoring
from services.vector.switch import Switch, switched
from services.vector.switched_servicer import SERVICE, SwitchedServicer


async def serve(settings: VectorSettings) -> None:
    """Serves until a signal ends it. The caller holds the data directory."""
    with telemetry.configure("vector", settings), configured(settings) as model:
        async with vector_server(settings, model, settings.bind) as (server, _):
            await server.run()


@asynccontextmanager
async def vector_server(
    settings: VectorSettings, model: ConfiguredModel, bind: str, authenticator: Authenticator | None = None
) -> AsyncIterator[tuple[Server, Switch]]:
    """The server, not started yet, over an application that is. Raises StartError.

    authenticator: that of the settings when None.
    """
    clear(settings.folder)
    async with switched(lambda: started(settings, model)) as switch:
        key = settings.meld_snapshot_key.get_secret_value().encode()
        servicer = SwitchedServicer(
            switch, Exporting(switch, settings.folder, key), Restoring(switch, settings.folder, key)
        )
        hosted = Hosted(
            SERVICE, lambda server: vector_pb2_grpc.add_VectorServiceServicer_to_server(servicer, server)
        )
        server = Server(
            name="vector",
            services=[hosted],
            dependencies=switch.dependencies(),
            settings=settings,
            authenticator=authenticator or passes.authenticator(settings),
            bind=bind,
        )
        switch.follow(server.health.refresh)
        yield server, switch
