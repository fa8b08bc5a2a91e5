"""What the contracts say about their methods: how long a call may take, whether a repeat does no harm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FileDescriptor

from meldrag.agents.v1 import agents_pb2
from meldrag.options.v1 import options_pb2
from meldrag.session.v1 import identity_pb2, session_pb2
from meldrag.vector.v1 import vector_pb2


@dataclass(frozen=True)
class Rule:
    """default, maximum: seconds that a call gets which names none, and that any gets at most.

    idempotent: whether UNAVAILABLE may be answered by another try.
    """

    default: float
    maximum: float
    idempotent: bool

    def timeout(self, asked: float | None) -> float:
        """Seconds that a call gets."""
        return self.default if asked is None else min(asked, self.maximum)


def _rules(*files: FileDescriptor) -> dict[str, Rule]:
    found = {}
    for file in files:
        for service in file.services_by_name.values():
            for method in service.methods:
                options = method.GetOptions()
                limits: options_pb2.Deadline = options.Extensions[cast(Any, options_pb2.deadline)]
                unknown = descriptor_pb2.MethodOptions.IDEMPOTENCY_UNKNOWN
                found[f"/{service.full_name}/{method.name}"] = Rule(
                    limits.default.ToTimedelta().total_seconds(),
                    limits.maximum.ToTimedelta().total_seconds(),
                    options.idempotency_level != unknown,
                )
    return found


RULES: Mapping[str, Rule] = _rules(
    agents_pb2.DESCRIPTOR, identity_pb2.DESCRIPTOR, session_pb2.DESCRIPTOR, vector_pb2.DESCRIPTOR
)


def channel_options() -> list[tuple[str, Any]]:
    """Options of a channel that repeats what may be repeated when it is UNAVAILABLE (gRFC A6)."""
    return [
        ("grpc.service_config", json.dumps(_service_config())),
        # The servers permit a ping each 10 s.
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
    ]


def _service_config() -> dict[str, Any]:
    paths = (path.lstrip("/").split("/") for path, rule in RULES.items() if rule.idempotent)
    policy = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {
        "loadBalancingConfig": [{"round_robin": {}}],
        "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
        "methodConfig": [
            {
                "name": [{"service": service, "method": method} for service, method in paths],
                "retryPolicy": policy,
            }
        ],
    }
