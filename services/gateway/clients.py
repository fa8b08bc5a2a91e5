"""The three services, as this process reaches them."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2_grpc

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from meldrag.session.v1 import (
    identity_pb2,
    identity_pb2_grpc,
    session_pb2,
    session_pb2_grpc,
    webhook_pb2,
    webhook_pb2_grpc,
)
from meldrag.vector.v1 import vector_pb2, vector_pb2_grpc
from services.chassis.certificates import Certificates
from services.chassis.channel import open_channel
from services.chassis.passes import Identity

AGENTS = agents_pb2.DESCRIPTOR.services_by_name["AgentService"]
IDENTITY = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"]
SESSION = session_pb2.DESCRIPTOR.services_by_name["SessionService"]
WEBHOOK = webhook_pb2.DESCRIPTOR.services_by_name["WebhookService"]
VECTOR = vector_pb2.DESCRIPTOR.services_by_name["VectorService"]


@dataclass(frozen=True)
class Addresses:
    """Where the services listen, as host:port."""

    agents: str
    session: str
    vector: str


class Clients:
    """Stubs on one channel a service, opened at the first use in each process.

    A channel that was open before a fork does not work after it, so a child
    that inherits this object opens its own.
    """

    def __init__(
        self,
        addresses: Addresses,
        identity: Identity | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        """identity, certificates: see services.chassis.channel."""
        self._addresses = addresses
        self._identity = identity
        self._certificates = certificates
        self._lock = threading.Lock()
        self._pid = 0
        self._channels: dict[str, grpc.Channel] = {}

    @property
    def agents(self) -> agents_pb2_grpc.AgentServiceStub:
        """The agents service."""
        return agents_pb2_grpc.AgentServiceStub(self._channel("agents"))

    @property
    def session(self) -> session_pb2_grpc.SessionServiceStub:
        """The session service."""
        return session_pb2_grpc.SessionServiceStub(self._channel("session"))

    @property
    def identity(self) -> identity_pb2_grpc.IdentityServiceStub:
        """Users and their tokens, in the process of the session service."""
        return identity_pb2_grpc.IdentityServiceStub(self._channel("session"))

    @property
    def webhook(self) -> webhook_pb2_grpc.WebhookServiceStub:
        """Webhooks, in the process of the session service."""
        return webhook_pb2_grpc.WebhookServiceStub(self._channel("session"))

    @property
    def vector(self) -> vector_pb2_grpc.VectorServiceStub:
        """The vector service."""
        return vector_pb2_grpc.VectorServiceStub(self._channel("vector"))

    def health(self) -> dict[str, health_pb2_grpc.HealthStub]:
        """The health of each service, by the service's name."""
        return {name: health_pb2_grpc.HealthStub(self._channel(name)) for name in _DESCRIPTORS}

    def close(self) -> None:
        """Closes the channels of this process; a later use opens new ones."""
        with self._lock:
            channels, self._channels = self._channels, {}
            mine = self._pid == os.getpid()
        if mine:
            for channel in channels.values():
                channel.close()

    def _channel(self, name: str) -> grpc.Channel:
        with self._lock:
            if self._pid != os.getpid():
                self._pid, self._channels = os.getpid(), {}
            channel = self._channels.get(name)
            if channel is None:
                channel = open_channel(
                    getattr(self._addresses, name),
                    *_DESCRIPTORS[name],
                    identity=self._identity,
                    certificates=self._certificates,
                )
                self._channels[name] = channel
            return channel


_DESCRIPTORS = {"agents": (AGENTS,), "session": (SESSION, IDENTITY, WEBHOOK), "vector": (VECTOR,)}
