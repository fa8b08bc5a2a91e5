"""Whose the runs at work are, as items of the house itself in the session service."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager

import grpc
import grpc.aio
from google.protobuf import struct_pb2

from meldrag.session.v1 import session_pb2, session_pb2_grpc
from services.agents.adapters.session_client import translated
from services.agents.ports import OpenRun
from services.chassis import context
from services.chassis.context import Principal
from services.chassis.errors import NotFoundError

_SECONDS = 2.0
_KIND = "open_run"
_PAGE = 200


class OpenRunItems:
    """Is OpenRuns, over a channel to the session service. All calls are the house's, whoever is served."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = session_pb2_grpc.SessionServiceStub(channel)

    async def add(self, run_id: str, principal: Principal) -> None:
        """See OpenRuns."""
        item = session_pb2.Item(kind=_KIND, name=run_id)
        item.payload.Pack(_written(principal))
        request = session_pb2.PutItemRequest(item=item, previous_revision=-1)
        with _by_the_house():
            try:
                await self._stub.PutItem(request, timeout=_SECONDS)
            except grpc.RpcError as error:
                raise translated(error) from error

    async def remove(self, run_id: str) -> None:
        """See OpenRuns."""
        with _by_the_house():
            try:
                await self._stub.DeleteItem(
                    session_pb2.DeleteItemRequest(kind=_KIND, name=run_id), timeout=_SECONDS
                )
            except grpc.RpcError as error:
                failure = translated(error)
                if not isinstance(failure, NotFoundError):
                    raise failure from error

    async def all(self) -> AsyncGenerator[OpenRun]:
        """See OpenRuns."""
        request = session_pb2.ListItemsRequest(kind=_KIND, page_size=_PAGE)
        while True:
            with _by_the_house():
                try:
                    page = await self._stub.ListItems(request, timeout=_SECONDS)
                except grpc.RpcError as error:
                    raise translated(error) from error
            for item in page.items:
                said = struct_pb2.Struct()
                if item.payload.Unpack(said):
                    yield OpenRun(item.name, _read(said), item.create_time.ToMilliseconds() / 1000)
            request.page_token = page.next_page_token
            if not page.next_page_token:
                return


@contextmanager
def _by_the_house() -> Iterator[None]:
    with context.entered(context.of_the_house(_SECONDS)):
        yield


def _written(principal: Principal) -> struct_pb2.Struct:
    said = struct_pb2.Struct()
    said.update(
        {
            "tenant": principal.tenant_id,
            "subject": principal.subject,
            "role": principal.role,
            "groups": sorted(principal.groups),
            "scopes": sorted(principal.scopes),
        }
    )
    return said


def _read(said: struct_pb2.Struct) -> Principal:
    fields = said.fields
    return Principal(
        fields["tenant"].string_value,
        fields["subject"].string_value,
        frozenset(int(scope.number_value) for scope in fields["scopes"].list_value.values),
        frozenset(group.string_value for group in fields["groups"].list_value.values),
        fields["role"].string_value,
    )
