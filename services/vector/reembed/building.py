"""Begins builds, says how far they are, and lets them answer when they are complete.

The vectors themselves are made by the embedding workers, and the vector index learns of them from its queue,
as for every other passage.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Executor

from services.chassis import context
from services.chassis.errors import FailedPreconditionError, ServiceError
from services.vector.access import Caller, Role
from services.vector.documents import Collection, Request
from services.vector.embedding.ports import (
    Embedder,
    EmbedderRejectedError,
    EmbedderUnavailableError,
    ModelName,
    name_of,
)
from services.vector.embedding.roster import Roster
from services.vector.faults import embedder_unavailable, embedding_model_unusable, reembed_cancelled
from services.vector.record.generations import GenerationState
from services.vector.record.record import Record
from services.vector.record.reembedding import Progress

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 30.0
# While something is being built nobody tells when the vector index has caught up.
_LOOK_SECONDS = 0.25
# Each look of one who watches counts all that is built.
_WATCH_SECONDS = 1.0
_AGAIN_SECONDS = 1.0
_PROBE_SECONDS = 20.0
_PROBE_SHARE = 0.5
_PROBE_TEXT = "Does this model answer?"


class Building:
    """`run` is its life."""

    def __init__(
        self,
        record: Record,
        roster: Roster,
        executor: Executor,
        *,
        queued: Callable[[], None],
        forget: Callable[[int], None],
    ) -> None:
        """queued: called when passages or the vector index have something to do. forget: vectors of a
        generation that are in memory.
        """
        self._record = record
        self._roster = roster
        self._executor = executor
        self._queued = queued
        self._forget = forget
        self._work = asyncio.Event()

    async def begin(self, caller: Caller, collection_id: str, model: str, keep_seconds: float) -> int:
        """Begins, or finds what was begun; the key of the generation. Needs the owner of the collection.

        model: a name of the roster; the configured one where empty. Before anything is built the model is
        asked for one vector: a wrong name or key shows at once and not after an hour. Raises what
        Reembedding.begin raises, FailedPreconditionError (EMBEDDING_MODEL_UNUSABLE), UnavailableError
        (EMBEDDER_UNAVAILABLE).
        """
        collection = await self._record.collections.get(caller, collection_id, Role.OWNER)
        embedder = self._roster.named(model)
        if embedder is None:
            raise self._unusable(model)
        if not await self._record.reembedding.under_way(collection.key):
            await self._probe(embedder)
        keep = int(keep_seconds * 1e6)
        key = await self._record.reembedding.begin(caller, collection_id, name_of(embedder), keep)
        self.wake()
        return key

    async def revert(self, caller: Caller, collection_id: str, request: Request | None) -> Collection:
        """Raises what Reembedding.revert raises."""

        def check(model: ModelName) -> None:
            if self._roster.find(model) is None:
                raise self._unusable(model.name)

        return self._woken(await self._record.reembedding.revert(caller, collection_id, request, check))

    def _unusable(self, model: str) -> FailedPreconditionError:
        known = ", ".join(dict.fromkeys(one.model for one in self._roster.all))
        return embedding_model_unusable(model, f"this service is set to use {known}")

    async def cancel(self, caller: Caller, collection_id: str) -> Collection:
        """Raises what Reembedding.cancel raises."""
        return self._woken(await self._record.reembedding.cancel(caller, collection_id))

    async def finish(self, caller: Caller, collection_id: str) -> Collection:
        """Raises what Reembedding.finish raises."""
        return self._woken(await self._record.reembedding.finish(caller, collection_id))

    async def watch(
        self, caller: Caller, collection_id: str, generation_key: int
    ) -> AsyncGenerator[Progress, None]:
        """How far it is, at each change, until it answers.

        Raises AbortedError (REEMBED_CANCELLED) when it was given up, NotFoundError when the collection went.
        Leaving does not stop the build.
        """
        shown: Progress | None = None
        while True:
            collection = await self._record.collections.get(caller, collection_id)
            changes = await self._record.reembedding.changes([collection.key])
            progress = changes[collection.key].building if collection.key in changes else None
            if progress is not None and progress.generation.key == generation_key:
                if progress != shown:
                    shown = progress
                    yield progress
            elif await self._record.reembedding.state(generation_key) is GenerationState.CURRENT:
                return
            else:
                raise reembed_cancelled(collection_id)
            await asyncio.sleep(_WATCH_SECONDS)

    def wake(self) -> None:
        """There may be something to do."""
        self._work.set()
        self._queued()

    def stored(self) -> None:
        """There are new vectors."""
        self._work.set()

    async def run(self) -> None:
        """Switches what is complete and removes what was retired, until cancelled."""
        while True:
            self._work.clear()
            try:
                busy = await self._turn()
            except ServiceError as error:
                _log.warning("reembedding waits for the record: %s", error)
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            try:
                async with asyncio.timeout(_LOOK_SECONDS if busy else _IDLE_SECONDS):
                    await self._work.wait()
            except TimeoutError:
                continue
            # Vectors come in batches; a look at each is enough.
            await asyncio.sleep(_LOOK_SECONDS)

    async def _turn(self) -> bool:
        """Whether a build is under way."""
        reembedding = self._record.reembedding
        if await reembedding.retire_expired():
            self._queued()
        for key in await reembedding.retired():
            self._forget(key)
            while await reembedding.clear(key):
                pass
            self._queued()
        building = await reembedding.building()
        for key in building:
            if await reembedding.switch(key):
                _log.info("a collection has other vectors now", extra={"fields": {"generation": key}})
        return bool(building)

    async def _probe(self, embedder: Embedder) -> None:
        seconds = min(_PROBE_SECONDS, context.remaining() * _PROBE_SHARE)
        deadline = time.monotonic() + seconds
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds + _AGAIN_SECONDS):
                await loop.run_in_executor(
                    self._executor, lambda: embedder.embed_queries([_PROBE_TEXT], deadline=deadline)
                )
        except (EmbedderUnavailableError, TimeoutError) as error:
            raise embedder_unavailable(embedder.model, str(error) or "no answer in time") from error
        except EmbedderRejectedError as error:
            raise embedding_model_unusable(embedder.model, str(error)) from error

    def _woken(self, collection: Collection) -> Collection:
        self.wake()
        return collection
