"""All that the house keeps as one file: given out, checked, and gone back to."""

from __future__ import annotations

import contextlib
import logging
import queue
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from flask import Blueprint, Response, request, stream_with_context

from services.backup import archive, making
from services.backup import folder as folders
from services.backup.clients import Keepers, open_keepers
from services.backup.failure import BackupError, InvalidBackupError
from services.chassis import context
from services.chassis.errors import ServiceError
from services.chassis.passes import service_identity
from services.gateway.body import BodyReader, Query, no_body
from services.gateway.calls import Client, client_gone
from services.gateway.door import answer, door
from services.gateway.identity.admission import is_local
from services.gateway.openapi.operation import EVENTS, JSON, Answer, event_of, operation
from services.gateway.openapi.schema import reference
from services.gateway.problem import ProblemError, from_service_error
from services.gateway.restoring import End, Restoring, Step, problem_of
from services.gateway.streaming import (
    HEARTBEAT,
    cut_off,
    draining,
    error_event,
    event_response,
    sse,
    streamed,
    wants_events,
)

blueprint = Blueprint("backups", __name__)

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
_ARCHIVE = {"type": "string", "contentMediaType": archive.MEDIA_TYPE}
_BODY = {archive.MEDIA_TYPE: _ARCHIVE}
_GIVEN = Answer({archive.MEDIA_TYPE: _ARCHIVE}, "The archive.", ("Content-Disposition",))


def _answers(schema: str) -> dict[int, Answer]:
    return {200: Answer({JSON: reference(schema), EVENTS: event_of("BackupStep", schema)})}


@blueprint.post("/backup")
@operation(answers={200: _GIVEN}, problems=(409, 507), repeat="reads", house_wide=True)
def make_backup() -> Response:
    """Copies all that the house keeps; one archive, its length known from the start."""
    Query(request).finish()
    no_body(request)
    _check_allowed()
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        held.enter_context(door().spool.alone())
        keepers = held.enter_context(_services())
        try:
            made = held.enter_context(making.begun(keepers, door().settings.snapshot_key, _log.info))
        except InvalidBackupError as error:
            # What the services gave, they gave to somebody with another key.
            raise ProblemError(502, "SNAPSHOT_UNUSABLE", str(error)) from None
        except BackupError as error:
            raise problem_of(error) from None
        moment = folders.now()
        name = moment.strftime("%Y%m%d_%H%M%S")
        pieces = archive.pieces(made, name, moment)
        headers = {
            "Content-Disposition": f'attachment; filename="meld-{name}.tar"',
            "Content-Length": str(archive.size(made)),
            "X-Accel-Buffering": "no",
        }
        body = stream_with_context(cut_off(pieces, door().drain, BackupError, problem_of))
        return streamed(body, archive.MEDIA_TYPE, held.pop_all().close, headers)


@blueprint.post("/backup/verify")
@operation(answers=_answers("Backup"), body=_BODY, problems=(409, 422, 507), repeat="reads", house_wide=True)
def verify_backup() -> Response:
    """Checks an archive, every byte of it; changes nothing."""
    return _taken(restore=False)


@blueprint.post("/restore")
@operation(answers=_answers("Restored"), body=_BODY, problems=(409, 422, 507), repeat="same", house_wide=True)
def restore_backup() -> Response:
    """Checks an archive, then replaces all that the house keeps by it; everybody signs in anew."""
    return _taken(restore=True)


def _check_allowed() -> None:
    """Raises ProblemError 403: where nobody signs in, only this machine can be told from the rest."""
    if not door().settings.login_required and not is_local(request):
        detail = "nobody signs in here, so backups are given to and taken from this machine alone"
        raise ProblemError(403, "BACKUP_NOT_ALLOWED", detail)


def _services() -> AbstractContextManager[Keepers]:
    """Both services, called by the house itself as `make backup` does: its questions are the same."""
    settings = door().settings
    return open_keepers(
        settings.meld_vector_address,
        settings.meld_session_address,
        service_identity(settings),
        settings.certificates,
    )


def _taken(*, restore: bool) -> Response:
    Query(request).finish()
    _check_allowed()
    if request.mimetype != archive.MEDIA_TYPE:
        raise ProblemError(415, "UNSUPPORTED_MEDIA_TYPE", f"the body must be {archive.MEDIA_TYPE}")
    settings = door().settings
    with contextlib.ExitStack() as held:
        held.callback(door().slots.take())
        ours = held.enter_context(contextlib.ExitStack())
        folder = ours.enter_context(door().spool.alone())
        try:
            archive.unpack(BodyReader(request, settings.meld_max_backup_bytes).pieces(), folder)
        except BackupError as error:
            raise problem_of(error) from None
        restoring = Restoring(
            folder,
            settings.snapshot_key,
            _services() if restore else None,
            ours.pop_all().close,
        )
        restoring.start()
        client, deadline = Client.of(request), time.monotonic() + context.remaining()
        if wants_events(request):
            body = stream_with_context(_events(restoring, client, deadline))
            return event_response(body, held.pop_all().close)
        for step in _steps(restoring, client, deadline):
            if isinstance(step, End):
                return answer(_result(step))
    raise AssertionError("unreachable")


def _steps(restoring: Restoring, client: Client, deadline: float) -> Iterator[Step | End | None]:
    """What is told of it, its end last; None each moment in which nothing is.

    Raises CancelledError when the client goes, ProblemError when time is up or this process stops. What
    had not touched living data by then is given up; anything else goes on to its end.
    """
    try:
        while True:
            try:
                step: Step | End | None = restoring.steps.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                step = None
            yield step
            if isinstance(step, End):
                return
            if client.gone():
                raise client_gone()
            if time.monotonic() > deadline:
                raise ProblemError(504, "DEADLINE", "the time that the request had is up")
            if door().drain.due():
                raise draining()
    finally:
        restoring.abandon()


def _result(end: End) -> dict[str, Any]:
    if end.problem is not None:
        raise end.problem
    return end.result or {}


def _events(restoring: Restoring, client: Client, deadline: float) -> Iterator[bytes]:
    sent = time.monotonic()
    try:
        for step in _steps(restoring, client, deadline):
            if step is None:
                if time.monotonic() - sent < door().settings.meld_heartbeat_seconds:
                    continue
                yield HEARTBEAT
            elif isinstance(step, End):
                yield sse("end", _result(step))
            else:
                yield sse("step", {"stage": step.stage, "done": step.done, "total": step.total})
            sent = time.monotonic()
    except ServiceError as error:
        yield error_event(from_service_error(error))
    except ProblemError as problem:
        yield error_event(problem)
