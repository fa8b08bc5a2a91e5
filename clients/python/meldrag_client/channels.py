"""What stubs make their calls of, for threads and for an event loop: deadlines, the token, failures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import grpc

from meldrag_client.rules import RULES, channel_options

Kind = TypeVar("Kind", bound="RuledChannel")


class Stream:
    """Messages as they come. The rest is gRPC's own call: cancel, code, time_remaining."""

    def __init__(self, call: Any) -> None:
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class RuledChannel(ABC):
    """Gives stubs their calls: each with its deadline and the token, and failures as MeldError.

    stream: what messages come as.
    """

    stream: ClassVar[type[Stream]] = Stream

    def __init__(self, inner: Any, token: str) -> None:
        self._inner = inner
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def unary_unary(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """As a channel's."""
        return self._whole(path, self._inner.unary_unary(path, *args, **kwargs))

    def stream_unary(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """As a channel's."""
        return self._whole(path, self._inner.stream_unary(path, *args, **kwargs))

    def unary_stream(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """As a channel's."""
        return self._streamed(path, self._inner.unary_stream(path, *args, **kwargs))

    def stream_stream(self, path: str, *args: Any, **kwargs: Any) -> Any:
        """As a channel's."""
        return self._streamed(path, self._inner.stream_stream(path, *args, **kwargs))

    def close(self) -> Any:
        """Closes the connection; to be awaited where there is an event loop."""
        return self._inner.close()

    @abstractmethod
    def _whole(self, path: str, call: Any) -> Callable[..., Any]:
        """A call with one answer."""

    def _streamed(self, path: str, call: Any) -> Callable[..., Any]:
        kind = type(self).stream

        def ruled(request: Any, timeout: float | None = None, metadata: Any = (), **more: Any) -> Any:
            return kind(call(request, **self._ruled(path, timeout, metadata), **more))

        return ruled

    def _ruled(self, path: str, timeout: float | None, metadata: Any) -> dict[str, Any]:
        return {"timeout": RULES[path].timeout(timeout), "metadata": (*self._metadata, *(metadata or ()))}


def opened(
    kind: type[Kind], library: Any, address: str, token: str, credentials: grpc.ChannelCredentials | None
) -> Kind:
    """A channel. library: grpc, or grpc.aio."""
    options = channel_options()
    if credentials is None:
        return kind(library.insecure_channel(address, options), token)
    return kind(library.secure_channel(address, credentials, options), token)
