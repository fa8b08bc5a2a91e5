"""What a schedule of steps needs of the world, and what it gets from there."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from meldrag.agents.v1 import agents_pb2, workflow_pb2
from services.agents.ledger import Spent
from services.agents.ports import Decision, JsonObject


@dataclass(frozen=True)
class Task:
    """One try of an agent's step. seconds: None for what is left of the run. attempt: from 1."""

    step_id: str
    agent_id: str
    message: str
    inputs: Mapping[str, Any]
    collection_ids: tuple[str, ...] = ()
    seconds: float | None = None
    attempt: int = 1


@dataclass(frozen=True)
class Ended:
    """How a try ended, as the run's journal has it.

    state: of StepState, as an end. result: the typed result; None without one, or when it is too large to be
    passed on, which `reason` says. citations: as in RunResult. error: name of an ErrorReason; "" unless it
    failed. again: whether it may end otherwise when it is tried again.
    """

    state: workflow_pb2.StepState
    run_id: str = ""
    agent_id: str = ""
    text: str = ""
    result: JsonObject | None = None
    citations: tuple[JsonObject, ...] = ()
    reason: str = ""
    error: str = ""
    again: bool = False
    spent: Spent = field(default_factory=Spent)

    def to_json(self) -> JsonObject:
        """As plain JSON."""
        plain = dataclasses.asdict(self)
        return plain | {"state": int(self.state), "citations": list(self.citations)}

    @classmethod
    def from_json(cls, plain: JsonObject) -> Ended:
        """What `to_json` made."""
        return cls(
            **plain | {"citations": tuple(plain["citations"]), "spent": Spent(**plain["spent"])},
        )

    @classmethod
    def failed(cls, error: str, reason: str, *, again: bool = False) -> Ended:
        """An end without an answer."""
        return cls(workflow_pb2.STEP_STATE_FAILED, reason=reason, error=error, again=again)


@dataclass(frozen=True)
class Question:
    """What an approval step asks. decide_before: in seconds since 1970."""

    step_id: str
    text: str
    decide_before: float
    approve_on_timeout: bool = False


@dataclass(frozen=True)
class Answer:
    """What a step answered, for a meld. citations: as in RunResult; `text` refers to them as "[1]"."""

    step_id: str
    agent_id: str
    text: str
    citations: tuple[JsonObject, ...]


class Children(Protocol):
    """Begins runs below a run. When it ends they end."""

    async def end_of(
        self,
        step_id: str,
        request: agents_pb2.RunAgentRequest,
        left: str,
        stop: asyncio.Event,
        *,
        seconds: float,
        pause: float = 0.0,
    ) -> Ended:
        """How the run of a request ends: within `seconds`, and CANCELLED soon after `stop` is set.

        left: what is left of the ledger; see Allowance.text. pause: before it begins, in seconds.
        """
        ...


class Stage(Protocol):
    """Where steps are done. All that a schedule learns comes from here, in an order that can be repeated.

    `now`, `tell`, `name` and `deadline` answer at once. A schedule does nothing that takes time between an
    outcome and what follows from it.
    """

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def tell(self, change: workflow_pb2.StepState, step_id: str, **told: Any) -> None:
        """Tells how a step stands now; told: further fields of StepChanged."""
        ...

    def name(self, step_id: str, attempt: int) -> str:
        """The id of the run that a try will be, unless one of that id was ended from outside before."""
        ...

    def deadline(self, seconds: float) -> float:
        """In seconds since 1970: that many from now, but not beyond the end of the run."""
        ...

    async def perform(self, task: Task, stop: asyncio.Event) -> Ended:
        """How the try ended; CANCELLED soon after `stop` is set."""
        ...

    async def decide(self, question: Question, stop: asyncio.Event) -> Decision:
        """What was decided, at the latest at the end of its time; `stopped` soon after `stop` is set."""
        ...

    async def meld(self, step_id: str, question: str, answers: tuple[Answer, ...]) -> Ended:
        """The answers melded into one."""
        ...


class Catalog(Protocol):
    """Workflows by name."""

    async def find(self, workflow_id: str) -> tuple[workflow_pb2.WorkflowStep, ...]:
        """The steps of a workflow that is built in or stored. Raises NotFoundError (WORKFLOW_NOT_FOUND), and
        UnavailableError (SESSION_UNAVAILABLE) when it cannot be looked up.
        """
        ...
