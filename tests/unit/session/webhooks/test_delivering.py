"""What goes wrong while messages are sent; the contract tests have the rest."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from services.chassis.errors import UnavailableError
from services.session.webhooks.delivering import Deliveries
from services.session.webhooks.model import RUN_FINISHED, TEST, Claimed, Message, MessageState, Outcome
from services.session.webhooks.posting import Reply
from services.session.webhooks.schedule import Schedule


def claimed(event_type: str = RUN_FINISHED, attempts: int = 1) -> Claimed:
    """A message to send."""
    message = Message("msg_1", "whk_1", event_type, MessageState.WAITING, attempts, 0, "", 1, 1, 1)
    return Claimed("local", message, {}, "https://ci.example.org/", ("whsec_" + "A" * 43 + "=",), "token")


class Queue:
    """Gives one message, after failures of looking, and remembers how it was settled."""

    def __init__(self, *looks: Exception, message: Claimed | None = None) -> None:
        self._looks = list(looks)
        self._messages = [message or claimed()]
        self.settled = asyncio.Queue[tuple[Outcome, dict[str, Any]]]()

    async def due_spaces(self) -> list[str]:
        if self._looks:
            raise self._looks.pop(0)
        return ["local"]

    async def claim(self, space: str, count: int, lease_seconds: float) -> list[Claimed]:
        del space, count, lease_seconds
        return [self._messages.pop()] if self._messages else []

    async def settle(self, claimed: Claimed, outcome: Outcome, **said: Any) -> None:
        del claimed
        self.settled.put_nowait((outcome, said))


class Anywhere:
    """Lets everything through."""

    async def addresses(self, wanted: object) -> list[str]:
        del wanted
        return ["203.0.113.1"]


class Answering:
    """Answers so, or fails as nobody expects."""

    def __init__(self, answer: Reply | Exception) -> None:
        self._answer = answer

    async def post(self, *_: object) -> Reply:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


async def settled(queue: Queue, answer: Reply | Exception, schedule: Any = None) -> Any:
    """How the message of a queue is settled."""
    poster: Any = Answering(answer)
    reach: Any = Anywhere()
    deliveries = Deliveries(
        queue, reach, poster, schedule or Schedule((7.0,), chance=lambda: 0.5), look_seconds=0.0
    )
    async with asyncio.timeout(30), deliveries.sending():
        return await queue.settled.get()


class Broken(Schedule):
    """Fails at what a receiver asks for."""

    def pause(self, attempts: int, retry_after: float = 0.0) -> float | None:
        if retry_after:
            raise OverflowError("too large")
        return super().pause(attempts, retry_after)


@pytest.mark.parametrize(
    ("event_type", "attempts", "outcome", "pause"),
    [
        (RUN_FINISHED, 1, Outcome.AGAIN, 7.0),
        (RUN_FINISHED, 2, Outcome.FAILED, 0.0),
        (TEST, 1, Outcome.FAILED, 0.0),
    ],
)
async def test_a_defect_settles_the_message_as_a_failure_does(
    caplog: pytest.LogCaptureFixture, event_type: str, attempts: int, outcome: Outcome, pause: float
) -> None:
    queue = Queue(message=claimed(event_type, attempts))
    found, said = await settled(queue, RuntimeError("nobody thought of this"))
    assert (found, said["pause_seconds"], said["status"]) == (outcome, pause, 0)
    assert said["error"] == "a defect of this service kept it from being sent"
    assert "nobody thought of this" in caplog.text


async def test_a_defect_after_the_answer_settles_the_message_too() -> None:
    found, said = await settled(Queue(), Reply(503, "60"), Broken((7.0,), chance=lambda: 0.5))
    assert (found, said["pause_seconds"], said["status"]) == (Outcome.AGAIN, 7.0, 503)


async def test_what_lasts_is_told_once_and_a_defect_also_after_the_store_was_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    away = UnavailableError("the store is away", reason="STORE_UNAVAILABLE")
    defect = RuntimeError("a defect that lasts")
    found, _ = await settled(Queue(away, away, defect, defect, defect, away), Reply(200))
    assert found is Outcome.DELIVERED
    assert [record.getMessage() for record in caplog.records] == [
        "webhooks wait: the store is away",
        "webhooks cannot be sent now",
        "webhooks wait: the store is away",
    ]
