"""A TCP proxy that cuts connections between a request and its answer."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class CuttingProxy:
    """Passes bytes between clients and a server on loopback.

    share: of the answers after which the connection is reset instead. The
    server has got and done by then what was asked. cuts: how many there were.
    """

    def __init__(self, upstream: int, seed: int) -> None:
        self.port = 0
        self.share = 0.0
        self.cuts = 0
        self._upstream = upstream
        self._random = random.Random(seed)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client's connection, from its start to its end."""
        try:
            above_reader, above_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            writer.close()
            return
        there = asyncio.create_task(self._pass(reader, above_writer, cut=None))
        back = asyncio.create_task(self._pass(above_reader, writer, cut=writer))
        await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        for task in (there, back):
            task.cancel()
        for end in (writer, above_writer):
            end.close()

    async def _pass(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, cut: asyncio.StreamWriter | None
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if cut is not None and self._random.random() < self.share:
                    self.cuts += 1
                    # Closing with a linger time of 0 sends a reset.
                    connection = cut.get_extra_info("socket")
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                target.write(data)
                await target.drain()


@asynccontextmanager
async def cutting_proxy(upstream: int, seed: int) -> AsyncIterator[CuttingProxy]:
    """A proxy in front of a port of loopback, for the duration of the block."""
    proxy = CuttingProxy(upstream, seed)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
