"""What a person may still use today, from the identity service."""

from __future__ import annotations

import grpc
import grpc.aio

from meldrag.session.v1 import identity_pb2, identity_pb2_grpc
from services.agents.adapters.session_client import translated

SERVICE = identity_pb2.DESCRIPTOR.services_by_name["IdentityService"]

_SECONDS = 2.0
_UNIT = "tokens"


class QuotaClient:
    """Is Quota, over a channel to the session service."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = identity_pb2_grpc.IdentityServiceStub(channel)

    async def take(self, tokens: int, request_id: str = "") -> None:
        """See Quota."""
        request = identity_pb2.ConsumeQuotaRequest(unit=_UNIT, amount=tokens, request_id=request_id)
        try:
            await self._stub.ConsumeQuota(request, timeout=_SECONDS)
        except grpc.RpcError as error:
            raise translated(error) from error
