"""IdentityService is declared, and says of each method that it comes later."""

from __future__ import annotations

import grpc
import pytest

from meldrag.session.v1 import identity_pb2
from tests.contract.session.conftest import House, refusal

# What the contract wants named before a method is reached.
_NAMED = {"UpdateUser": {"user_id": "u"}, "RevokeApiKey": {"api_key_id": "k"}}


@pytest.mark.parametrize(
    "method", [method.name for method in identity_pb2.DESCRIPTOR.services_by_name["IdentityService"].methods]
)
async def test_a_method_that_comes_later_says_so(house: House, method: str) -> None:
    request = getattr(identity_pb2, f"{method}Request")(**_NAMED.get(method, {}))
    error = await refusal(getattr(house.identity, method)(request))
    assert (error.code, error.reason) == (grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_AVAILABLE")
    assert error.metadata == {"method": method}
