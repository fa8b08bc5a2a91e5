"""Whether whoever began a stream may still hear it: a stream outlives the moment in which its caller was let
in.

The credential is shown to the session service again every few seconds. The end of an access token does not
count (it lasts ten minutes, a run half an hour), only what ended it before: signing out, a new password, a
revoked key, a user who was disabled or removed; and the end that a key was given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
from flask import g, has_app_context

from meldrag.session.v1 import identity_pb2
from services.gateway.problem import ProblemError

SECONDS = 5.0
_ANSWER_SECONDS = 2.0

Identify = Callable[..., identity_pb2.IdentifyResponse]


class Standing:
    """What one request has shown. Used by one thread at a time.

    identify: asks the session service; takes a message and `timeout` in seconds. seconds: how often to ask.
    """

    def __init__(
        self, identify: Identify, shown: identity_pb2.IdentifyRequest, seconds: float = SECONDS
    ) -> None:
        self._identify = identify
        self._shown = identity_pb2.IdentifyRequest(open_stream=True)
        self._shown.MergeFrom(shown)
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def problem(self) -> ProblemError | None:
        """Why the stream has to end; None while it may go on, also while nobody can be asked.

        Waits two seconds at most, and only when it is time to ask again.
        """
        if time.monotonic() < self._next:
            return None
        try:
            self._identify(self._shown, timeout=_ANSWER_SECONDS)
        except grpc.RpcError as error:
            said: Any = error
            if said.code() is grpc.StatusCode.UNAUTHENTICATED:
                return ProblemError(401, "SIGNED_OUT", "the session or API key that began this has ended")
        self._next = time.monotonic() + self._seconds
        return None


def begin(standing: Standing) -> None:
    """Remembers what the request that is served has shown."""
    g.standing = standing


def current() -> Standing | None:
    """What the request that is served has shown; None where nobody signs in."""
    found = g.get("standing") if has_app_context() else None
    return found if isinstance(found, Standing) else None
