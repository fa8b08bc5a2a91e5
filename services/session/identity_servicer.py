"""The gRPC face of users, tokens and keys. None of its methods is offered in this release."""

from __future__ import annotations

from typing import Any, NoReturn

from meldrag.session.v1 import identity_pb2_grpc
from services.session.failures import method_not_available

_WHEN = "users, tokens, keys and quotas come with sign-in, in a later release; this one has one local owner"


class IdentityServicer(identity_pb2_grpc.IdentityServiceServicer):
    """IdentityService. Every method raises UnimplementedError (METHOD_NOT_AVAILABLE)."""

    async def CreateUser(self, _request: Any, _rpc: Any) -> NoReturn:
        """Comes in a later release."""
        raise method_not_available("CreateUser", _WHEN)

    async def ListUsers(self, _request: Any, _rpc: Any) -> NoReturn:
        """Comes in a later release."""
        raise method_not_available("ListUsers", _WHEN)

    async def UpdateUser(self, _request: Any, _rpc: Any) -> NoReturn:
        """Comes in a later release."""
        raise method_not_available("UpdateUser", _WHEN)

    async def Authenticate(self, _request: Any, _rpc: Any) -> NoReturn:
        """Comes in a later release."""
        raise method_not_available("Authenticate", _WHEN)

    async def RefreshToken(self, _request: Any, _rpc: Any) -> NoReturn:
        """Comes in a later release."""
        raise method_not_available("RefreshToken", _WHEN)

    async def RevokeToken(self, _request: Any, _rpc: Any) -> NoReturn:
        """Comes in a later release."""
        raise method_not_available("RevokeToken", _WHEN)

    async def CreateApiKey(self, _request: Any, _rpc: Any) -> NoReturn:
        """Comes in a later release."""
        raise method_not_available("CreateApiKey", _WHEN)

    async def RevokeApiKey(self, _request: Any, _rpc: Any) -> NoReturn:
        """Comes in a later release."""
        raise method_not_available("RevokeApiKey", _WHEN)

    async def ConsumeQuota(self, _request: Any, _rpc: Any) -> NoReturn:
        """Comes in a later release."""
        raise method_not_available("ConsumeQuota", _WHEN)
