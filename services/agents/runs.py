"""All runs of this process: how many, whose, how they begin and end."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from meldrag.agents.v1 import agents_pb2
from services.agents import wire
from services.agents.chat.prices import Price
from services.agents.children import ChildRuns, Stream
from services.agents.journal.difference import Difference
from services.agents.journal.journal import Journal
from services.agents.journal.past import Past, read_past
from services.agents.journal.terms import Equipment, Terms, ledger
from services.agents.journal.work import Worker
from services.agents.ledger import Allowance, exhausted
from services.agents.measures import RunMeasures
from services.agents.model import Degradation
from services.agents.ports import (
    Answered,
    Conversations,
    Decision,
    OpenRuns,
    Quota,
    RecordedRun,
    Replicas,
    RunEvent,
    RunRecords,
    RunState,
)
from services.agents.recorder import Recorder
from services.agents.run import Run, RunKey
from services.agents.workflow.approvals import not_waiting
from services.chassis import context
from services.chassis.errors import (
    AbortedError,
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    NotFoundError,
    ResourceExhaustedError,
    ServiceError,
    UnavailableError,
)

_log = logging.getLogger(__name__)

_EXCHANGE_PAUSES = (0.1, 0.5, 2.0, 5.0, 10.0)
# Failed, cancelled and interrupted tries of one request id.
_MAX_ATTEMPTS = 64
_CLOSE_SECONDS = 1.0
# Clocks differ, and a record may be completed some time after its run.
_SLACK_SECONDS = 60.0
# A caller that leaves this close to its deadline left because of it.
_LATE_SECONDS = 0.05
# How often runs of ended processes are looked for, and how long that may take.
_INHERIT_SECONDS = 10.0
_INHERIT_RETRY_SECONDS = 1.0
_INHERIT_PASS_SECONDS = 60.0
# Processes that a run may see end before it is taken to be what ends them.
_MAX_TAKEOVERS = 3

# Runs that workflows begin, for each of the runs that callers may have.
_ROOM_BELOW = 8

_QUOTA_PAUSES = (0.5, 2.0, 5.0)
_QUOTA_SECONDS = 5.0

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_CHARACTERS = 26

_OUTCOMES = {
    RunState.SUCCEEDED: agents_pb2.RUN_OUTCOME_SUCCEEDED,
    RunState.FAILED: agents_pb2.RUN_OUTCOME_FAILED,
    RunState.CANCELLED: agents_pb2.RUN_OUTCOME_CANCELLED,
}

_MODES = {
    agents_pb2.ANSWER_MODE_GENERATIVE: "generative",
    agents_pb2.ANSWER_MODE_EXTRACTIVE: "extractive",
    agents_pb2.ANSWER_MODE_NO_ANSWER: "no_answer",
    agents_pb2.ANSWER_MODE_TOOLS: "tools",
}


@dataclass(frozen=True)
class RunLimits:
    """How many runs, and how long.

    max_runs: at once. allowance: of one run. detached_seconds: longest life of a detached run.
    record_seconds: what a finished run waits for the session service before its caller gets the last event.
    """

    max_runs: int
    allowance: Allowance
    detached_seconds: float
    record_seconds: float


@dataclass
class _Live:
    """A run at work.

    late: its caller's deadline has passed. lost: another replica has taken it. left: another process is to go
    on with it.
    """

    run: Run
    request: agents_pb2.RunAgentRequest
    recorder: Recorder
    work: asyncio.Task[agents_pb2.RunResult]
    life: asyncio.Task[None] | None = None
    late: bool = False
    lost: bool = False
    left: bool = False


class Runs:
    """Begins, follows, cancels and ends runs.

    A request id leads to one answer: its run's id is made from whose it is and that id, so the session
    service's record decides. A run that succeeded is streamed again; one that failed or was cancelled is
    followed by a new try under a further id. A run that is recorded as running but not known here is asked
    for at the replica that owns it, and taken for cut off when that does not know it either. Where the record
    names no other replica, it is when the run began before this process did, or longer ago than any run may
    last. A run that was cut off is taken over and goes on behind what is recorded of it: a detached one by
    itself, another one when its request comes again.

    A run below another one is begun by it, ends with it, and is left to the next process with it; however it
    ended, its request is answered from its record.
    """

    def __init__(
        self,
        *,
        worker: Worker,
        records: RunRecords,
        conversations: Conversations,
        replicas: Replicas,
        limits: RunLimits,
        prices: Mapping[str, Price] | None = None,
        equipment: Equipment = Equipment(),  # noqa: B008 - frozen
        measures: RunMeasures | None = None,
        open_runs: OpenRuns | None = None,
        quota: Quota | None = None,
    ) -> None:
        """open_runs and quota: None where nobody logs in."""
        self._worker = worker
        self._records = records
        self._conversations = conversations
        self._replicas = replicas
        self._limits = limits
        self._prices = prices or {}
        self._equipment = equipment
        self._open_runs = open_runs
        self._quota = quota
        # Runs of processes that ended are looked for as far back as there are any, once.
        self._looked_back = False
        self._live: dict[str, _Live] = {}
        self._requests: dict[tuple[str, str], str] = {}
        self._background: set[asyncio.Task[Any]] = set()
        self._started = time.time()
        self._measures = measures or RunMeasures()
        self._measures.watch(lambda: [_agent_of(live) for live in list(self._live.values())])

    async def follow(
        self, request: agents_pb2.RunAgentRequest, left: str = ""
    ) -> AsyncGenerator[agents_pb2.RunAgentResponse]:
        """Runs the request, or streams the run that answered it before.

        left: what the run that asks for this one leaves it of its ledger; see Allowance.text. Closing the
        generator cancels the run, unless it is detached. Raises ServiceError before the first event.
        """
        async with contextlib.aclosing(self._stream(request, left)) as events:
            async for _, event in events:
                yield event

    def follow_with_steps(self, request: agents_pb2.RunAgentRequest, left: str = "") -> Stream:
        """As `follow`, with the events of the runs below while they come, each with its step; "" for the
        run's own. A run that is streamed from its record has its own alone.
        """
        return self._stream(request, left, watched=True)

    async def _stream(
        self,
        request: agents_pb2.RunAgentRequest,
        left: str,
        above: Run | None = None,
        *,
        watched: bool = False,
    ) -> Stream:
        """above: the run that this one is below."""
        found = await self._begin(request, self._limits.allowance.within(left), above)
        if isinstance(found, str):
            async with contextlib.aclosing(
                self._records.replay(found, agents_pb2.RunAgentResponse)
            ) as events:
                async for event in events:
                    yield "", event
            return
        found.run.watched = watched
        try:
            async with contextlib.aclosing(found.run.follow_with_steps()) as live_events:
                async for step_and_event in live_events:
                    yield step_and_event
        finally:
            if not found.run.over and not request.detached:
                found.late = context.remaining() <= _LATE_SECONDS
                found.work.cancel()

    async def cancel(self, space: str, run_id: str) -> bool:
        """Stops a run, here or in the replica that has it; False when it has ended.

        Raises NotFoundError (RUN_NOT_FOUND) and UnavailableError (SESSION_UNAVAILABLE, REPLICA_UNAVAILABLE).
        """
        if self._stop(space, run_id):
            return True
        record = await self._records.get(run_id)
        if record.state is not RunState.RUNNING or record.owner in ("", self._replicas.name):
            return False
        return await self._replicas.reach(record.owner, run_id, stop=True)

    async def decide(self, space: str, run_id: str, step_id: str, decision: Decision) -> None:
        """Decides an approval step of a run, here or in the replica that has it.

        Raises NotFoundError (RUN_NOT_FOUND), FailedPreconditionError (STEP_NOT_WAITING) and UnavailableError
        (SESSION_UNAVAILABLE; REPLICA_UNAVAILABLE, also when nobody has the run just now).
        """
        if await self.decide_here(space, run_id, step_id, decision):
            return
        record = await self._records.get(run_id)
        if record.state is not RunState.RUNNING:
            raise not_waiting(run_id, step_id)
        ours = record.owner in ("", self._replicas.name)
        if ours or not await self._replicas.decide(record.owner, run_id, step_id, decision):
            raise UnavailableError(
                "the run was cut off and is not at work; it may be resumed soon",
                reason="REPLICA_UNAVAILABLE",
                metadata={"run_id": run_id},
                retry_after=1.0,
            )

    async def decide_here(self, space: str, run_id: str, step_id: str, decision: Decision) -> bool:
        """Decides a step of a run of this process, and waits until that is in its record; False when there is
        no such run.

        Raises FailedPreconditionError (STEP_NOT_WAITING) and UnavailableError (SESSION_UNAVAILABLE).
        """
        live = self._live.get(run_id)
        if live is None or live.run.key.space != space:
            return False
        await live.run.approvals.decide(step_id, decision)
        await live.recorder.settled()
        return True

    def reach(self, space: str, run_id: str, *, stop: bool) -> bool:
        """Whether a run is at work in this process, or about to be; stopped when told to."""
        if stop:
            return self._stop(space, run_id)
        live = self._live.get(run_id)
        if live is not None:
            return live.run.key.space == space
        return any(claim[0] == space and claimed == run_id for claim, claimed in self._requests.items())

    def _stop(self, space: str, run_id: str) -> bool:
        live = self._live.get(run_id)
        if live is None or live.run.key.space != space:
            return False
        live.work.cancel()
        return True

    async def close(self, seconds: float) -> None:
        """Lets the runs at work end for `seconds` and cancels the rest. Records are completed where it can;
        those of detached runs are left to the process that comes next.
        """
        await _wait([live.life for live in self._live.values() if live.life], seconds)
        lives = list(self._live.values())
        to_leave = [live for live in lives if self._goes_on(live)]
        for live in to_leave:
            _leave(live)
        for live in lives:
            live.work.cancel()
        await _wait([live.life for live in self._live.values() if live.life], 2 * self._limits.record_seconds)
        await _wait(list(self._background), _CLOSE_SECONDS)
        for task in list(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    def _goes_on(self, live: _Live) -> bool:
        """Whether a run that is left goes on in the next process: a detached one, and those below it."""
        if live.run.journal.broken or not live.recorder.open:
            return False
        above = self._live.get(live.run.key.parent_run_id)
        return live.request.detached if above is None else self._goes_on(above)

    # -- beginning ---------------------------------------------------------------------------------------

    async def _begin(
        self, request: agents_pb2.RunAgentRequest, allowance: Allowance, above: Run | None
    ) -> _Live | str:
        """A run at work, or the id of the recorded one that answered this request id."""
        self._check_room(below=above is not None)
        if not allowance.hops:
            raise exhausted("hops", self._limits.allowance.hops)
        if above is None:
            await self._check_quota()
        space = context.principal().space
        parent = above.key.run_id if above else ""
        if not request.request_id:
            return self._launch(RunKey(new_run_id(), space, "", parent), request, allowance)
        claim = (space, request.request_id)
        if claim in self._requests:
            raise _in_progress(request.request_id, self._requests[claim])
        self._requests[claim] = ""
        try:
            return await self._claim(space, request, allowance, parent)
        except BaseException:
            self._requests.pop(claim, None)
            raise

    async def _check_quota(self) -> None:
        """Raises ResourceExhaustedError (QUOTA_EXHAUSTED) when the caller has used up the tokens of a day."""
        if self._quota is None:
            return
        try:
            await self._quota.take(0)
        except UnavailableError as error:
            # What is used is taken from it later, when the service is back.
            _log.info("a quota is not known: %s", error.message)

    async def _take_from_quota(self, run: Run) -> None:
        tokens, call = run.ledger.input_tokens + run.ledger.output_tokens, context.current()
        if self._quota is None or call is None or not tokens or run.key.parent_run_id:
            return
        for pause in (*_QUOTA_PAUSES, None):
            with context.entered(dataclasses.replace(call, deadline=time.monotonic() + _QUOTA_SECONDS)):
                try:
                    await self._quota.take(tokens, run.key.run_id)
                except UnavailableError as error:
                    if pause is None:
                        _log.warning("%d tokens were not taken from a quota: %s", tokens, error.message)
                        return
                except ServiceError as error:
                    # Others of the same person have used up the rest meanwhile.
                    _log.info("%d tokens exceed a quota: %s", tokens, error.message)
                    return
                else:
                    return
            await asyncio.sleep(pause or 0.0)

    def _check_room(self, *, below: bool) -> None:
        """Raises ResourceExhaustedError (TOO_MANY_RUNS). Runs that workflows begin have room of their own, so
        that workflows do not wait for each other's.
        """
        limit = self._limits.max_runs * (_ROOM_BELOW if below else 1)
        if self._at_work(below=below) >= limit:
            raise ResourceExhaustedError(
                f"{limit} runs are at work",
                reason="TOO_MANY_RUNS",
                metadata={"limit": str(limit)},
                retry_after=1.0,
            )

    def _at_work(self, *, below: bool) -> int:
        """How many runs, of those that others began or of the rest."""
        return sum(bool(live.run.key.parent_run_id) == below for live in self._live.values())

    async def _claim(
        self, space: str, request: agents_pb2.RunAgentRequest, allowance: Allowance, parent: str
    ) -> _Live | str:
        for attempt in range(_MAX_ATTEMPTS):
            run_id = derived_run_id(space, request.request_id, attempt)
            key = RunKey(run_id, space, request.request_id, parent)
            # Known from here on to another replica that finds the record and asks.
            self._requests[space, request.request_id] = key.run_id
            recorder = self._recorder(key, request)
            try:
                record = await recorder.opened()
            except UnavailableError:
                # Without the record nothing tells whether the request was answered before; the run goes
                # on where it can, and says that it is not recorded.
                return self._launch(key, request, allowance, recorder)
            except FailedPreconditionError as error:
                raise FailedPreconditionError(
                    "the request id was used with another request",
                    reason="REQUEST_ID_REUSED",
                    metadata={"request_id": request.request_id},
                ) from error
            # A step that is to be tried again has another request id.
            final = record.state is not RunState.RUNNING if parent else record.state is RunState.SUCCEEDED
            if final:
                self._requests.pop((space, request.request_id), None)
                return record.run_id
            ours = record.owner in ("", self._replicas.name)
            new = record.last_sequence == record.last_position == 0
            if record.state is RunState.RUNNING and new and ours:
                return self._launch(key, request, allowance, recorder)
            if record.state is RunState.RUNNING:
                if await self._may_live(record):
                    raise _in_progress(request.request_id, record.run_id)
                resumed = await self._resume(key, request, record)
                if resumed is not None:
                    return resumed
        raise AbortedError(
            f"the request was tried {_MAX_ATTEMPTS} times",
            reason="RUN_IN_PROGRESS",
            metadata={"request_id": request.request_id, "run_id": key.run_id},
        )

    async def _may_live(self, record: RecordedRun) -> bool:
        """Whether a run that is recorded as running, and not known here, may be at work."""
        oldest = time.time() - self._limits.detached_seconds - _SLACK_SECONDS
        if record.owner in ("", self._replicas.name):
            return record.created >= max(self._started, oldest)
        try:
            return record.created >= oldest and await self._replicas.reach(
                record.owner, record.run_id, stop=False
            )
        except UnavailableError:
            return True

    def _launch(
        self,
        key: RunKey,
        request: agents_pb2.RunAgentRequest,
        allowance: Allowance,
        recorder: Recorder | None = None,
        resumed: tuple[RecordedRun, Past] | None = None,
    ) -> _Live:
        recorder = recorder or self._recorder(key, request, resumed[0] if resumed else None)
        with self._time_of(request, resumed[0].created if resumed else None):
            journal = Journal(
                write=recorder.add_entry,
                settled=recorder.settled,
                recorded=resumed[1].entries if resumed else (),
                terms=Terms(allowance, self._prices, self._equipment).plain(),
            )
            past = resumed[1].events if resumed else ()
            run = Run(key, ledger(journal), recorder.add, journal, past)
            run.children = ChildRuns(
                run, lambda child, left: self._stream(child, left, run, watched=run.watched)
            )
            work = asyncio.create_task(self._worker.work(run, request, recorder), name=f"work {key.run_id}")
            live = _Live(run, request, recorder, work)
            live.life = asyncio.create_task(self._live_through(live), name=f"life {key.run_id}")

        def lose() -> None:
            live.lost = True
            live.work.cancel()

        self._keep(recorder.start(lose))
        self._live[key.run_id] = live
        if key.request_id:
            self._requests[key.space, key.request_id] = key.run_id
        if self._open_runs is not None and resumed is None and _outlives_its_caller(key, request):
            remembering = _remember(self._open_runs, key.run_id)
            self._keep(asyncio.create_task(remembering, name=f"remember {key.run_id}"))
        return live

    def _recorder(
        self, key: RunKey, request: agents_pb2.RunAgentRequest, resumed: RecordedRun | None = None
    ) -> Recorder:
        return Recorder(
            self._records,
            key.run_id,
            request.session_id,
            request.agent_id,
            request,
            resumed=resumed,
            parent_run_id=key.parent_run_id,
        )

    # -- going on with what a process left ---------------------------------------------------------------

    async def keep_inheriting(self) -> None:
        """Looks for runs of processes that have ended, at once and now and then, without an end."""
        while True:
            pause = _INHERIT_SECONDS
            try:
                await self.inherit()
            except UnavailableError as error:
                _log.info("runs of ended processes are not looked for: %s", error.message)
                pause = _INHERIT_RETRY_SECONDS
            except ServiceError as error:
                _log.warning("runs of ended processes: %s (%s)", error.message, error.reason)
            await asyncio.sleep(pause)

    async def inherit(self) -> None:
        """Goes on with detached runs whose processes have ended, and closes the records of those that nobody
        can ask for again. Raises ServiceError.
        """
        if self._open_runs is not None:
            await self._inherit_of_all(self._open_runs)
            return
        call = _call_of(context.LOCAL_OWNER)
        oldest = time.time() - self._limits.detached_seconds - _SLACK_SECONDS
        with context.entered(call):
            async with contextlib.aclosing(
                self._records.running(oldest if self._looked_back else 0.0)
            ) as found:
                async for record in found:
                    await self._inherit(call.principal.space, record)
        self._looked_back = True

    async def _inherit_of_all(self, open_runs: OpenRuns) -> None:
        """As `inherit`, of everybody's runs, each in the name of whose it is."""
        async with contextlib.aclosing(open_runs.all()) as found:
            known = [open_run async for open_run in found]
        for open_run in known:
            if open_run.run_id in self._live:
                continue
            with context.entered(_call_of(open_run.principal)):
                try:
                    record = await self._records.get(open_run.run_id)
                except NotFoundError:
                    # It may be about to be opened; later it has expired, or was deleted with its session.
                    if time.time() - open_run.since > self._limits.detached_seconds + _SLACK_SECONDS:
                        await open_runs.remove(open_run.run_id)
                    continue
                if record.state is not RunState.RUNNING:
                    await open_runs.remove(open_run.run_id)
                    continue
                await self._inherit(open_run.principal.space, record)

    async def _inherit(self, space: str, record: RecordedRun) -> None:
        request = agents_pb2.RunAgentRequest()
        if record.request is None or not record.request.Unpack(request):
            return
        if not request.detached and request.request_id:
            # Its caller may come again, and nobody else waits for it.
            return
        claim = (space, request.request_id)
        if self.reach(space, record.run_id, stop=False) or claim in self._requests:
            return
        if self._at_work(below=False) >= self._limits.max_runs or await self._may_live(record):
            return
        key = RunKey(record.run_id, space, request.request_id, record.parent_run_id)
        if request.request_id:
            self._requests[claim] = record.run_id
        launched = None
        try:
            launched = await self._resume(key, request, record)
        except AbortedError:
            # Another replica was faster.
            pass
        finally:
            if launched is None and request.request_id:
                self._requests.pop(claim, None)

    async def _resume(
        self, key: RunKey, request: agents_pb2.RunAgentRequest, record: RecordedRun
    ) -> _Live | None:
        """Takes over a run whose process ended and goes on with it; None when that is not possible: then its
        record is closed. Raises AbortedError when another replica takes it.
        """
        try:
            taken = await self._records.take(record.run_id, record.owner)
        except FailedPreconditionError as error:
            raise _in_progress(request.request_id, record.run_id) from error
        cause = self._hopeless(taken, request)
        try:
            past = await read_past(self._records, taken)
        except FailedPreconditionError as error:
            cause = cause or error.message
        if cause:
            await self._bury(taken, cause)
            return None
        _log.info("run %s goes on behind event %d", taken.run_id, taken.last_sequence)
        return self._launch(key, request, self._limits.allowance, resumed=(taken, past))

    def _hopeless(self, taken: RecordedRun, request: agents_pb2.RunAgentRequest) -> str:
        """Why there is no point in going on with a run, whatever is recorded; "" where there is."""
        if taken.takeovers > _MAX_TAKEOVERS:
            return f"{_MAX_TAKEOVERS} processes have ended in it"
        if request.detached and time.time() > taken.created + self._limits.detached_seconds:
            return "its time has passed"
        if not request.detached and not request.request_id:
            return "its caller is gone"
        return ""

    async def _bury(self, record: RecordedRun, cause: str) -> None:
        """Closes the record of a run whose process ended under it."""
        cut_off = InternalError(
            f"the service ended in the middle of the run, and it was not resumed: {cause}",
            reason="RUN_INTERRUPTED",
        )
        ended = agents_pb2.RunAgentResponse(
            run_id=record.run_id,
            sequence=record.last_sequence + 1,
            ended=agents_pb2.RunEnded(outcome=agents_pb2.RUN_OUTCOME_FAILED, error=wire.error(cut_off)),
        )
        ended.event_time.GetCurrentTime()
        event = RunEvent(ended.sequence, ended.event_time, ended)
        await self._records.append(record.run_id, [event], [], RunState.FAILED, "")

    # -- running and ending ------------------------------------------------------------------------------

    async def _live_through(self, live: _Live) -> None:
        """Waits for the work and ends the run. Only the work is ever cancelled, so every run has an end."""
        try:
            await asyncio.wait({live.work})
            if live.left and live.work.cancelled():
                await live.recorder.complete(self._limits.record_seconds)
                return
            state, result, error = _outcome(live)
            mode = "none" if result is None else _MODES.get(result.answer_mode, "none")
            self._measures.finished(_agent_of(live), state.value, mode, live.run.ledger.elapsed())
            await self._end(live, state, result, error)
        finally:
            key = live.run.key
            if not live.left and not live.lost:
                self._settle(live)
            self._live.pop(key.run_id, None)
            self._requests.pop((key.space, key.request_id), None)

    def _settle(self, live: _Live) -> None:
        """What is done about an ended run that nobody waits for."""
        run = live.run
        self._keep(asyncio.create_task(self._take_from_quota(run), name=f"quota {run.key.run_id}"))
        if self._open_runs is not None and _outlives_its_caller(run.key, live.request):
            forgetting = _forget(self._open_runs, run.key.run_id)
            self._keep(asyncio.create_task(forgetting, name=f"forget {run.key.run_id}"))

    @contextlib.contextmanager
    def _time_of(self, request: agents_pb2.RunAgentRequest, began: float | None = None) -> Iterator[None]:
        """A detached run has a deadline of its own. began: in seconds since 1970, when it was not now."""
        call = context.current()
        if call is None or not request.detached:
            yield
            return
        seconds = self._limits.detached_seconds - (0.0 if began is None else time.time() - began)
        with context.entered(dataclasses.replace(call, deadline=time.monotonic() + seconds)):
            yield

    async def _end(
        self,
        live: _Live,
        state: RunState,
        result: agents_pb2.RunResult | None,
        error: ServiceError | None,
    ) -> None:
        run, deadline = live.run, time.monotonic() + self._limits.record_seconds
        if error is not None and not run.begun:
            run.refuse(error)
            # The caller has its answer; the record is completed in the background.
            deadline = 0.0
        in_session = True
        if result is not None and result.session_id:
            in_session = await self._append_exchange(live, result, deadline - time.monotonic())
        ended = agents_pb2.RunEnded(outcome=_OUTCOMES[state], result=result)
        if error is not None:
            ended.error.CopyFrom(wire.error(error))
        run.settle_past()
        event = run.prepare(ended=ended)
        live.recorder.add(event)
        in_record = await live.recorder.finish(state, run.agent_id, deadline - time.monotonic())
        if result is not None and not (in_session and in_record):
            missing = Degradation(
                "session",
                "The session service does not answer; "
                + ("the record of the run" if in_session else "the exchange")
                + " is not stored yet.",
            )
            event = _degraded(event, missing)
        if not run.over:
            run.publish(event)

    async def _append_exchange(self, live: _Live, result: agents_pb2.RunResult, seconds: float) -> bool:
        """Appends question and answer to the session; whether that was done in time. It goes on after."""
        task = self._keep(asyncio.create_task(self._exchange(live, result), name="exchange"))
        done, _ = await asyncio.wait({task}, timeout=max(0.0, seconds))
        return bool(done) and task.result()

    async def _exchange(self, live: _Live, result: agents_pb2.RunResult) -> bool:
        key = live.run.key
        answered = Answered(result.text, result.agent_id, result.run_id, wire.attributes(result))
        name = f"exchange-{base_id(key.space, key.request_id) if key.request_id else key.run_id}"
        call = context.current()
        for pause in (*_EXCHANGE_PAUSES, None):
            own = call and dataclasses.replace(call, deadline=time.monotonic() + 5.0)
            with context.entered(own) if own else contextlib.nullcontext():
                try:
                    await self._conversations.append_exchange(
                        result.session_id, name, live.request.message, answered
                    )
                except UnavailableError as error:
                    if pause is None:
                        _log.warning("an exchange was not stored: %s", error.message)
                        return False
                except FailedPreconditionError:
                    # An earlier try of this request id was cut off behind this step: its exchange stands.
                    return True
                except ServiceError as error:
                    _log.warning("an exchange cannot be stored: %s (%s)", error.message, error.reason)
                    return False
                else:
                    return True
            await asyncio.sleep(pause or 0.0)
        return False

    def _keep(self, task: asyncio.Task[Any]) -> asyncio.Task[Any]:
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


def _leave(live: _Live) -> None:
    """Leaves a run to the next process: what its work does in ending here is not part of it."""
    live.left = True
    live.recorder.freeze()
    live.run.refuse(
        UnavailableError(
            "the service stops; the run goes on in the next process",
            reason="REPLICA_UNAVAILABLE",
            metadata={"run_id": live.run.key.run_id},
            retry_after=1.0,
        )
    )


def _call_of(principal: context.Principal) -> context.Call:
    """A call in somebody's name that they did not make now."""
    deadline = time.monotonic() + _INHERIT_PASS_SECONDS
    return context.Call(principal, context.new_request_id(), deadline)


async def _remember(open_runs: OpenRuns, run_id: str) -> None:
    """Lets another process find the run in its owner's name, should this one end."""
    try:
        await open_runs.add(run_id, context.principal())
    except ServiceError as error:
        _log.warning("run %s would not be taken over: %s", run_id, error.message)


async def _forget(open_runs: OpenRuns, run_id: str) -> None:
    try:
        await open_runs.remove(run_id)
    except ServiceError as error:
        # The next look for runs of ended processes finds that it has ended.
        _log.info("run %s is not forgotten yet: %s", run_id, error.message)


def _outlives_its_caller(key: RunKey, request: agents_pb2.RunAgentRequest) -> bool:
    """Whether nobody comes again for a run whose process ends: another one goes on with it, or closes it."""
    return not key.parent_run_id and (request.detached or not request.request_id)


def _agent_of(live: _Live) -> str:
    """The agent at work; the one asked for while none is chosen."""
    return live.run.agent_id or live.request.agent_id


def _outcome(live: _Live) -> tuple[RunState, agents_pb2.RunResult | None, ServiceError | None]:
    """How the work ended."""
    if live.work.cancelled():
        if live.late:
            late = DeadlineExceededError("the run outlasted its deadline", reason="DEADLINE")
            return RunState.FAILED, None, late
        if live.lost:
            taken = InternalError("another replica has taken the run over", reason="RUN_INTERRUPTED")
            return RunState.FAILED, None, taken
        return RunState.CANCELLED, None, None
    match live.work.exception():
        case None:
            return RunState.SUCCEEDED, live.work.result(), None
        case ServiceError() as error:
            return RunState.FAILED, None, error
        case Difference() as difference:
            other = InternalError(
                f"the service ended in the middle of the run, and it cannot go on there: {difference}",
                reason="RUN_INTERRUPTED",
            )
            return RunState.FAILED, None, other
        case defect:
            return RunState.FAILED, None, failure_of(defect, live.run.key)


def failure_of(defect: BaseException, key: RunKey) -> ServiceError:
    """What a caller is told of a defect; the log has the rest."""
    _log.error("a run failed", exc_info=defect, extra={"fields": {"run_id": key.run_id}})
    return InternalError(
        "an internal error; the log has it under this request id",
        reason="INTERNAL",
        metadata={"request_id": context.request_id()},
    )


def new_run_id() -> str:
    """A fresh id: 48 bits of time in milliseconds and 80 random ones, in the order of time."""
    stamp = int(time.time() * 1000) & (2**48 - 1)
    return f"run_{_encoded((stamp << 80) | secrets.randbits(80))}"


def derived_run_id(space: str, request_id: str, attempt: int) -> str:
    """The id of a request id's run, the same in every process."""
    return f"run_{base_id(space, request_id, attempt)}"


def base_id(space: str, request_id: str, attempt: int = 0) -> str:
    """26 characters that depend on these alone."""
    digest = hashlib.sha256("\0".join((space, request_id, str(attempt))).encode()).digest()
    return _encoded(int.from_bytes(digest[:16], "big"))


def _encoded(number: int) -> str:
    characters = []
    for _ in range(_ID_CHARACTERS):
        number, rest = divmod(number, 32)
        characters.append(_CROCKFORD[rest])
    return "".join(reversed(characters))


def _in_progress(request_id: str, run_id: str) -> AbortedError:
    return AbortedError(
        "this request is being answered",
        reason="RUN_IN_PROGRESS",
        metadata={"request_id": request_id, "run_id": run_id},
        retry_after=1.0,
    )


def _degraded(event: agents_pb2.RunAgentResponse, missing: Degradation) -> agents_pb2.RunAgentResponse:
    """The last event with what is missing, unless the run has said so of that component already."""
    if any(known.component == missing.component for known in event.ended.result.degradations):
        return event
    changed = agents_pb2.RunAgentResponse()
    changed.CopyFrom(event)
    changed.ended.result.degradations.append(wire.degradation(missing))
    return changed


async def _wait(tasks: list[asyncio.Task[Any]], seconds: float) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
