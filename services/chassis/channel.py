"""Channels to the services, under the rules that their contracts state.

Every call has a deadline, carries the request id and the trace, and is repeated
only when the contract says that a repeat does no harm. This is done in front of
the stubs and not by gRPC's client interceptors: those differ between the sync
and the asyncio API, and wrap every call in another object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import grpc
import grpc.aio
from google.protobuf.descriptor import ServiceDescriptor
from opentelemetry import propagate

from services.chassis import context
from services.chassis.access import MethodRule, rules
from services.chassis.certificates import Certificates
from services.chassis.passes import Identity

# What a caller keeps of its own time to work on an answer.
_MARGIN_SECONDS = 0.05
# Calls without a contract of ours: health and reflection.
_OPEN_TIMEOUT_SECONDS = 2.0


def open_channel(
    address: str,
    *services: ServiceDescriptor,
    identity: Identity | None = None,
    certificates: Certificates | None = None,
) -> grpc.Channel:
    """A channel for threads. Open it after a fork, once per process; close it at the end.

    identity: says with each call who makes it; see services.chassis.passes. None where nobody logs in.
    certificates: by which both ends know each other; None where they speak in the clear.
    """
    options = _options(services)
    if certificates is None:
        inner = grpc.insecure_channel(address, options)
    else:
        inner = grpc.secure_channel(address, credentials(certificates), [*options, *named(certificates)])
    return cast(grpc.Channel, _RuledChannel(inner, rules(services), identity))


def open_aio_channel(
    address: str,
    *services: ServiceDescriptor,
    identity: Identity | None = None,
    certificates: Certificates | None = None,
) -> grpc.aio.Channel:
    """A channel for the running event loop; see open_channel."""
    options = _options(services)
    if certificates is None:
        inner = grpc.aio.insecure_channel(address, options)
    else:
        inner = grpc.aio.secure_channel(address, credentials(certificates), [*options, *named(certificates)])
    return cast(grpc.aio.Channel, _RuledChannel(inner, rules(services), identity))


def credentials(certificates: Certificates) -> grpc.ChannelCredentials:
    """What a caller shows and asks for."""
    return grpc.ssl_channel_credentials(certificates.authority, certificates.key, certificates.certificate)


def named(certificates: Certificates) -> list[tuple[str, Any]]:
    """Options of a channel: the name that the other end's certificate has to have, by whatever address it is
    called. Replicas are called by addresses that no certificate can know.
    """
    return [("grpc.ssl_target_name_override", certificates.name)]


def _options(services: Iterable[ServiceDescriptor]) -> list[tuple[str, Any]]:
    return [
        ("grpc.service_config", json.dumps(_service_config(services))),
        # The server permits a ping each 10 s; equal values would strike by jitter.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
        # A lost connection looks the name up again; gRPC would wait half a minute before it does so twice.
        ("grpc.dns_min_time_between_resolutions_ms", 500),
        # Channels of one process to one address would otherwise share a connection
        # and its backoff.
        ("grpc.use_local_subchannel_pool", 1),
    ]


def _service_config(services: Iterable[ServiceDescriptor]) -> dict[str, Any]:
    """Retries of UNAVAILABLE, for methods that may be repeated, within a budget (gRFC A6)."""
    repeatable = []
    for path, rule in rules(services).items():
        if rule.idempotent:
            service, method = path.lstrip("/").split("/")
            repeatable.append({"service": service, "method": method})
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    }
    if repeatable:
        config["methodConfig"] = [
            {
                "name": repeatable,
                "retryPolicy": {
                    "maxAttempts": 3,
                    "initialBackoff": "0.05s",
                    "maxBackoff": "0.4s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    return config


class _RuledChannel:
    """Gives stubs callables that know their method's rule; the rest is the channel's own."""

    def __init__(self, inner: Any, method_rules: Mapping[str, MethodRule], identity: Identity | None) -> None:
        self._inner = inner
        self._rules = method_rules
        self._identity = identity

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._ruled(self._inner.unary_unary, method, args, kwargs)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._ruled(self._inner.unary_stream, method, args, kwargs)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._ruled(self._inner.stream_unary, method, args, kwargs)

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self._ruled(self._inner.stream_stream, method, args, kwargs)

    def _ruled(self, make: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        rule = self._rules.get(method)
        # Health is nobody's: those calls go without a name.
        return _RuledCallable(make(method, *args, **kwargs), rule, self._identity if rule else None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __enter__(self) -> _RuledChannel:
        return self

    def __exit__(self, *exc: object) -> None:
        self._inner.close()

    async def __aenter__(self) -> _RuledChannel:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._inner.close()


class _RuledCallable:
    def __init__(self, inner: Any, rule: MethodRule | None, identity: Identity | None) -> None:
        self._inner = inner
        self._rule = rule
        self._identity = identity

    def __call__(self, *args: Any, timeout: float | None = None, metadata: Any = None, **kwargs: Any) -> Any:
        return self._inner(*args, timeout=self._timeout(timeout), metadata=self._metadata(metadata), **kwargs)

    def future(self, *args: Any, timeout: float | None = None, metadata: Any = None, **kwargs: Any) -> Any:
        return self._inner.future(
            *args, timeout=self._timeout(timeout), metadata=self._metadata(metadata), **kwargs
        )

    def with_call(self, *args: Any, timeout: float | None = None, metadata: Any = None, **kwargs: Any) -> Any:
        return self._inner.with_call(
            *args, timeout=self._timeout(timeout), metadata=self._metadata(metadata), **kwargs
        )

    def _timeout(self, asked: float | None) -> float:
        if self._rule is None:
            limit = _OPEN_TIMEOUT_SECONDS if asked is None else asked
        else:
            limit = self._rule.timeout(asked)
        return max(0.001, min(limit, context.remaining() - _MARGIN_SECONDS))

    def _metadata(self, given: Any) -> list[tuple[str, str | bytes]]:
        carrier: dict[str, str] = {context.REQUEST_ID_KEY: context.request_id()}
        propagate.inject(carrier)
        identity = self._identity() if self._identity else ()
        return [*(given or ()), *carrier.items(), *identity]
