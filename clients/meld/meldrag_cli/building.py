"""The vectors of another embedding model on their way, watched also while the house is away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from meldrag_cli import rendering
from meldrag_cli.failures import Failure, RefusedFailure, UnreachableFailure
from meldrag_cli.gateway import Gateway, path
from meldrag_cli.terminal import Terminal

# As long as an import outlasts a service that is replaced, and some more for one that mends its index first.
AWAY_SECONDS = 120.0
_LOOK_SECONDS = 2.0
# So a house says that a service behind it has gone, that it goes itself, or that one stream was long enough.
_AWAY = frozenset({"UPSTREAM_UNAVAILABLE", "TRANSPORT", "SHUTTING_DOWN", "UPSTREAM_DEADLINE", "DEADLINE"})

Json = Mapping[str, Any]


class Watch:
    """Follows a build of one collection; what is told of it goes to `tell`, stage first.

    The build goes on without anybody who watches. So a house that does not answer is waited for, up to
    AWAY_SECONDS at a time; then its failure is raised.
    """

    def __init__(
        self, gateway: Gateway, terminal: Terminal, collection: str, tell: Callable[[str, Json], None]
    ) -> None:
        self._gateway = gateway
        self._terminal = terminal
        self._where = path("collections", collection)
        self._tell = tell
        self._away_since: float | None = None

    def begin(self, body: Json) -> dict[str, Any]:
        """Asks for a build and follows it. Returns the collection as it answers then.

        Raises RefusedFailure: REEMBED_STALLED, REEMBED_CANCELLED, and what the house refuses.
        """
        building: Json | None = None
        while building is None:
            try:
                with self._gateway.events(f"{self._where}/reembed", body) as events:
                    for event in events:
                        self._back()
                        building = event.data["reembedding"]
                        self._say(event.name, building)
                        if event.name == "done":
                            done: dict[str, Any] = event.data["collection"]
                            return done
            except Failure as failure:
                if building is None:
                    self._require_begin(failure)
                    self._wait(failure)
                else:
                    self._require_passing(failure)
            else:
                if building is None:
                    raise RefusedFailure("NO_ANSWER", "the house told nothing of the build")
        return self.follow(building)

    def follow(self, building: Json) -> dict[str, Any]:
        """Looks at a build that was begun until its vectors answer. Returns the collection as it is then.

        A look only reads: whoever gives the build up meanwhile does not see it begin anew. Raises as `begin`.
        """
        while True:
            there = self._look()
            now = there["reembedding"]
            if now is not None and _model(now) == _model(building):
                if now != building:
                    building = now
                    self._say(str(now["stage"]).lower(), now)
                time.sleep(_LOOK_SECONDS)
                continue
            if _model(there) != _model(building):
                raise RefusedFailure("REEMBED_CANCELLED", f"{building['embedding_model']} was given up")
            whole = {**building, "stage": "DONE", "chunks": there["chunks"], "vectors": there["vectors"]}
            self._say("done", whole, there)
            return there

    def _look(self) -> dict[str, Any]:
        while True:
            try:
                there = self._gateway.get(self._where)
            except Failure as failure:
                self._wait(failure)
            else:
                self._back()
                return there

    def _say(self, stage: str, building: Json, collection: Json | None = None) -> None:
        self._tell(stage, {"reembedding": building, "collection": collection})
        if stage == "stalled":
            detail = f"the model refuses {rendering.counted(building['refused_chunks'], 'passage')}"
            raise RefusedFailure("REEMBED_STALLED", detail)

    def _wait(self, failure: Failure) -> None:
        """Some time passes. Raises the failure when it will not pass, or has not for too long."""
        self._require_passing(failure)
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
            self._terminal.note(
                f"{failure.detail}; waiting up to {AWAY_SECONDS:g} s for it, the work goes on by itself"
            )
        if now - self._away_since >= AWAY_SECONDS:
            more = "what was begun goes on when it is back, and the same command watches it again"
            detail = f"{failure.detail}, for {AWAY_SECONDS:g} s; {more}"
            raise type(failure)(**{**failure.problem, "detail": detail})
        asked = failure.retry_after if isinstance(failure, RefusedFailure) else None
        time.sleep(min(max(asked or 0.0, _LOOK_SECONDS), AWAY_SECONDS))

    def _require_begin(self, failure: Failure) -> None:
        """Raises what is told at once before a build: a slip of the address, a model that is down."""
        if failure.reason not in _AWAY and self._away_since is None:
            raise failure

    def _require_passing(self, failure: Failure) -> None:
        if isinstance(failure, UnreachableFailure) or failure.reason in _AWAY:
            return
        # Too many requests, a record that is busy: known by what they say of a later try.
        if isinstance(failure, RefusedFailure) and failure.retry_after is not None:
            return
        raise failure

    def _back(self) -> None:
        if self._away_since is not None:
            self._away_since = None
            self._terminal.note("it is back")


def _model(value: Json) -> tuple[Any, ...]:
    return tuple(value.get(name) for name in ("embedding_model", "dimension", "embedding_revision"))
