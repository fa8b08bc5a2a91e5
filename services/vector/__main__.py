"""`python -m services.vector`: the vector service."""

from __future__ import annotations

from contextlib import AsyncExitStack

from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.chassis import telemetry
from services.chassis.server import Hosted, Server, run_service
from services.chassis.settings import load
from services.vector.application import started
from services.vector.models import configured
from services.vector.servicer import VectorServicer
from services.vector.settings import VectorSettings


async def main() -> None:
    """Settings, telemetry, adapters, servicer, serve."""
    settings = load(VectorSettings)
    async with AsyncExitStack() as stack:
        stack.enter_context(telemetry.configure("vector", settings))
        model = stack.enter_context(configured(settings))
        application = await stack.enter_async_context(started(settings, model.embedder, model.count_tokens))
        servicer = VectorServicer(application)
        server = Server(
            name="vector",
            services=[
                Hosted(
                    vector_pb2.DESCRIPTOR.services_by_name["VectorService"],
                    lambda grpc_server: vector_pb2_grpc.add_VectorServiceServicer_to_server(
                        servicer, grpc_server
                    ),
                )
            ],
            dependencies=application.dependencies(),
            settings=settings,
            bind=settings.meld_vector_address,
        )
        await server.run()


if __name__ == "__main__":
    run_service(main, "vector")
