"""One retry loop, fallback before the first text, never after it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

import pytest

from services.agents.chat.capabilities import Capability
from services.agents.chat.chain import ModelChain
from services.agents.ledger import Ledger
from services.agents.ports import Attachment, ChatMessage, ModelDone, ModelError, Prompt, TextPiece
from services.chassis.errors import ResourceExhaustedError

PROMPT = Prompt(())


def failure(**fields: object) -> ModelError:
    """A repeatable failure, unless said otherwise."""
    return ModelError("scripted", model="m", **{"repeatable": True, "ill": True, **fields})  # type: ignore[arg-type]


class Endpoint:
    """An endpoint that follows a script of texts and errors; an error in a list comes behind its texts."""

    def __init__(self, name: str, *script: str | ModelError | Sequence[str | ModelError]) -> None:
        self.model = name
        self.script = list(script)
        self.capabilities: frozenset[Capability] = frozenset()
        self.attempts = 0

    async def attempt(self, prompt: Prompt, seconds: float) -> AsyncGenerator[TextPiece | ModelDone]:
        self.attempts += 1
        step = self.script.pop(0)
        for part in [step] if isinstance(step, str | ModelError) else step:
            if isinstance(part, ModelError):
                raise part
            yield TextPiece(part)
        yield ModelDone(self.model, 0, 0)

    async def reach(self) -> None:
        """Always there."""


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


async def told(
    *endpoints: Endpoint, seconds: float = 60, draw: float = 1.0, ledger: Ledger | None = None
) -> tuple[str, str, Time]:
    """The text, who wrote it, and the pauses."""
    time = Time()
    chain = ModelChain(endpoints, clock=time, sleep=time.sleep, draw=lambda: draw)
    text, author = "", ""
    async for piece in chain.stream(PROMPT, seconds, ledger or Ledger.of(model_calls=20)):
        if isinstance(piece, TextPiece):
            text += piece.text
        else:
            author = piece.model
    return text, author, time


async def test_retries_twice_with_growing_pauses() -> None:
    endpoint = Endpoint("a", failure(), failure(), "fine")
    text, author, time = await told(endpoint)
    assert (text, author, time.slept) == ("fine", "a", [0.5, 1.0])


async def test_jitter_may_shorten_a_pause_to_nothing() -> None:
    _, _, time = await told(Endpoint("a", failure(), "fine"), draw=0.0)
    assert time.slept == [0.0]


async def test_gives_up_after_the_second_retry() -> None:
    endpoint = Endpoint("a", *[failure()] * 9)
    with pytest.raises(ModelError):
        await told(endpoint)
    assert endpoint.attempts == 3


async def test_what_cannot_get_better_is_not_repeated() -> None:
    endpoint = Endpoint("a", failure(repeatable=False), "never")
    with pytest.raises(ModelError):
        await told(endpoint)
    assert endpoint.attempts == 1


async def test_waits_as_long_as_the_model_asks() -> None:
    _, _, time = await told(Endpoint("a", failure(retry_after=7.0), "fine"))
    assert time.slept == [7.0]


async def test_fails_at_once_when_the_model_asks_for_more_than_is_left() -> None:
    endpoint = Endpoint("a", failure(retry_after=7.0), "never")
    with pytest.raises(ModelError) as caught:
        await told(endpoint, seconds=5)
    assert (endpoint.attempts, caught.value.retry_after) == (1, 7.0)


async def test_the_next_endpoint_is_asked_without_a_pause() -> None:
    first, second = Endpoint("a", failure()), Endpoint("b", "fine")
    text, author, time = await told(first, second)
    assert (text, author, time.slept) == ("fine", "b", [])


async def test_an_endpoint_that_refused_is_left_out_of_the_retries() -> None:
    first, second = Endpoint("a", failure(repeatable=False)), Endpoint("b", failure(), "fine")
    _, author, _ = await told(first, second)
    assert (author, first.attempts, second.attempts) == ("b", 1, 2)


async def test_after_the_first_text_nobody_else_goes_on() -> None:
    second = Endpoint("b", "never")
    broken = failure(truncated=True)
    with pytest.raises(ModelError):
        await told(Endpoint("a", ["half ", broken]), second)
    assert second.attempts == 0


async def test_the_ledger_ends_the_tries() -> None:
    with pytest.raises(ResourceExhaustedError) as caught:
        await told(Endpoint("a", *[failure()] * 9), ledger=Ledger.of(model_calls=2))
    assert caught.value.reason == "BUDGET_EXHAUSTED"


async def test_an_outage_is_not_multiplied() -> None:
    """P11: under an outage the calls stay below 1.2 times the requests."""
    time = Time()
    endpoint = Endpoint("a", *[failure()] * 2000)
    chain = ModelChain([endpoint], clock=time, sleep=time.sleep, draw=lambda: 0.5)
    for _ in range(300):
        with pytest.raises(ModelError):
            async for _ in chain.stream(PROMPT, 60, Ledger.of(model_calls=20)):
                pass
        time.now += 0.2
    assert endpoint.attempts <= 1.2 * 300


async def test_a_few_failures_are_not_multiplied() -> None:
    """P11: with every tenth call failing the calls stay below 1.3 times the requests; all are answered."""
    time = Time()
    script = [failure() if number % 10 == 0 else "fine" for number in range(2000)]
    endpoint = Endpoint("a", *script)
    chain = ModelChain([endpoint], clock=time, sleep=time.sleep, draw=lambda: 0.5)
    for _ in range(300):
        pieces = [piece async for piece in chain.stream(PROMPT, 60, Ledger.of(model_calls=20))]
        assert isinstance(pieces[-1], ModelDone)
        time.now += 0.2
    assert endpoint.attempts <= 1.3 * 300


async def test_ping_tells_that_the_breaker_is_open() -> None:
    time = Time()
    chain = ModelChain([Endpoint("a", *[failure()] * 9)], clock=time, sleep=time.sleep)
    await chain.ping()
    for _ in range(3):
        with pytest.raises(ModelError):
            async for _ in chain.stream(PROMPT, 60, Ledger.of(model_calls=20)):
                pass
    with pytest.raises(ModelError):
        await chain.ping()
    time.now += 5
    await chain.ping()


async def test_a_picture_is_shown_to_models_that_see() -> None:
    blind, seeing = Endpoint("blind", "nothing"), Endpoint("seeing", "a cat")
    seeing.capabilities = frozenset({Capability.VISION})
    picture = Attachment.of("image/png", b"")
    shown = Prompt((ChatMessage("user", "What is it?", attachments=(picture,)),))
    chain = ModelChain([blind, seeing])
    pieces = [piece async for piece in chain.stream(shown, 60, Ledger.of(model_calls=9))]
    assert pieces == [TextPiece("a cat"), ModelDone("seeing", 0, 0)]
    assert blind.attempts == 0
    with pytest.raises(ModelError, match="no model with vision is configured"):
        async for _ in ModelChain([blind]).stream(shown, 60, Ledger.of(model_calls=9)):
            pass
