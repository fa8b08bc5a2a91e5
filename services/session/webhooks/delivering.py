"""Sends what waits in the queue, beside the other replicas that do the same.

A message is claimed for a time that is longer than a try may last. Whoever is killed meanwhile holds it until
then, and the next one who looks sends it again, so a message may arrive twice and none is lost.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from services.chassis.crash import crash_point
from services.chassis.errors import ServiceError
from services.session.webhooks import signing
from services.session.webhooks.body import body
from services.session.webhooks.model import TEST, Claimed, Outcome
from services.session.webhooks.posting import Poster, PostingError, Reply
from services.session.webhooks.reaching import Reach, target
from services.session.webhooks.schedule import Schedule, retry_after
from services.session.webhooks.secret_making import KeyLostError, SecretMaker
from services.session.webhooks.store import MessageQueue

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
# Longer than the look-up of a host, a try and what is written about both.
LEASE_SECONDS = 60.0
# At once, of all and of one person: up to fifteen people whose receivers hang hold up nobody else.
_MAX_TRIES = 32
_MAX_TRIES_OF_ONE = 2
# Tries that have begun get this long when the process stops.
_LEAVE_SECONDS = 2.0
_GONE = 410


class Deliveries:
    """Sends messages while `sending`. clock: seconds since 1970."""

    def __init__(
        self,
        queue: MessageQueue,
        reach: Reach,
        poster: Poster,
        schedule: Schedule | None = None,
        *,
        secrets: SecretMaker | None = None,
        look_seconds: float = _LOOK_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._queue = queue
        self._reach = reach
        self._poster = poster
        self._schedule = schedule or Schedule()
        self._secrets = secrets or SecretMaker()
        self._look_seconds = look_seconds
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._tries: set[asyncio.Task[None]] = set()
        self._of_space = Counter[str]()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Sends for the duration of the block."""
        # A context of its own: what is sent belongs to no call.
        looking = contextvars.Context().run(asyncio.create_task, self._look(), name="webhooks")
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait((looking,))
            if self._tries:
                await asyncio.wait(self._tries, timeout=_LEAVE_SECONDS)
            left = set(self._tries)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left)

    async def _look(self) -> None:
        """Begins tries for ever. What lasts is told once."""
        failing: type[Exception] | None = None
        while True:
            try:
                await self._begin()
                failing = None
            except Exception as error:
                if failing is not type(error):
                    _tell(error)
                failing = type(error)
            await asyncio.sleep(self._look_seconds)

    async def _begin(self) -> None:
        """Begins the tries that are due, as far as there is room."""
        spaces = await self._queue.due_spaces()
        # So that those who come first in the store do not always come first here.
        random.shuffle(spaces)
        for space in spaces:
            room = min(_MAX_TRIES - len(self._tries), _MAX_TRIES_OF_ONE - self._of_space[space])
            if room <= 0:
                continue
            for claimed in await self._queue.claim(space, room, self._lease_seconds):
                self._of_space[space] += 1
                task = asyncio.create_task(self._send(claimed), name=f"webhook {claimed.message.message_id}")
                self._tries.add(task)
                task.add_done_callback(self._done(space))

    def _done(self, space: str) -> Callable[[asyncio.Task[None]], None]:
        def done(task: asyncio.Task[None]) -> None:
            self._tries.discard(task)
            self._of_space[space] -= 1
            if not self._of_space[space]:
                del self._of_space[space]
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("a webhook was not sent", exc_info=error)

        return done

    async def _send(self, claimed: Claimed) -> None:
        """Tries once, and says in the store how it went."""
        crash_point("webhook_claimed")
        reply: Reply | None = None
        try:
            reply, error = await self._tried(claimed)
            crash_point("webhook_sent")
            outcome, pause = self._outcome(claimed, reply)
        except KeyLostError:
            error = "its secret was made with another key than this house has: give it another secret"
            outcome, pause = Outcome.UNSIGNED, 0.0
        except Exception as defect:
            # What is not settled would come back with every end of its lease, and for ever.
            _log.error("a webhook cannot be sent", exc_info=defect)
            error = "a defect of this service kept it from being sent"
            outcome, pause = self._after_failure(claimed, 0.0)
        status = reply.status if reply else 0
        if not error and outcome is not Outcome.DELIVERED:
            error = _words(status)
        try:
            await self._queue.settle(
                claimed,
                outcome,
                status=status,
                error=error,
                pause_seconds=pause,
                disabled_after=self._schedule.disabled_after,
            )
        except ServiceError as failure:
            # It is sent again when its lease has ended.
            _log.info("how a webhook went is not kept: %s", failure.message)

    async def _tried(self, claimed: Claimed) -> tuple[Reply | None, str]:
        """The answer, or why there is none. Raises KeyLostError: nothing is sent that is not signed."""
        secrets = self._read(claimed)
        content = body(claimed)
        message_id, now = claimed.message.message_id, int(self._clock())
        try:
            wanted = target("url", claimed.url)
            addresses = await self._reach.addresses(wanted)
            headers = signing.headers(secrets, message_id, now, content)
            return await self._poster.post(wanted, addresses, headers, content), ""
        except ServiceError as error:
            return None, error.message
        except PostingError as error:
            return None, str(error)

    def _read(self, claimed: Claimed) -> list[str]:
        """What it is signed with. One that is only to hold for a while may be lost. Raises KeyLostError."""
        webhook_id = claimed.message.webhook_id
        now, *before = claimed.secrets
        found = [self._secrets.read(webhook_id, now)]
        for one in before:
            with suppress(KeyLostError):
                found.append(self._secrets.read(webhook_id, one))
        return found

    def _outcome(self, claimed: Claimed, reply: Reply | None) -> tuple[Outcome, float]:
        """What becomes of the message, and the seconds until it is tried again."""
        if reply is not None and 200 <= reply.status < 300:
            return Outcome.DELIVERED, 0.0
        if reply is not None and reply.status == _GONE:
            return Outcome.GONE, 0.0
        asked = retry_after(reply.retry_after, self._clock) if reply is not None else 0.0
        return self._after_failure(claimed, asked)

    def _after_failure(self, claimed: Claimed, asked: float) -> tuple[Outcome, float]:
        """What becomes of one that failed. asked: seconds that the receiver asks for at least."""
        if claimed.message.event_type == TEST:
            return Outcome.FAILED, 0.0
        pause = self._schedule.pause(claimed.message.attempts, asked)
        return (Outcome.FAILED, 0.0) if pause is None else (Outcome.AGAIN, pause)


def _tell(error: Exception) -> None:
    """Says why nothing is sent now."""
    if isinstance(error, ServiceError):
        _log.info("webhooks wait: %s", error.message)
    else:
        # A defect; without this nothing would be sent any more, and nobody would know.
        _log.error("webhooks cannot be sent now", exc_info=error)


def _words(status: int) -> str:
    if 300 <= status < 400:
        return f"the receiver answered {status}, and redirects are not followed"
    return f"the receiver answered {status}"
