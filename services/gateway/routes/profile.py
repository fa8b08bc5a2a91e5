"""A profile of the worker that answers, for whoever runs the house."""

from __future__ import annotations

from flask import Blueprint, Response, request

from services.chassis.profiler import MAX_SECONDS, ProfilerBusyError
from services.chassis.scraping import profile_seconds
from services.gateway.door import door
from services.gateway.identity.admission import is_local
from services.gateway.openapi.operation import TEXT, Answer, Parameter, operation
from services.gateway.problem import ProblemError, invalid

blueprint = Blueprint("profile", __name__)

_DEFAULT_SECONDS = "5"


@blueprint.post("/profile")
@operation(
    answers={200: Answer({TEXT: {"type": "string"}})},
    query=(Parameter("seconds", {"type": "number"}, "How long; 5 when absent."),),
    problems=(404, 409),
    repeat="reads",
    house_wide=True,
)
def profile() -> Response:
    """Folded stacks of all threads, one a line with its count, after `seconds` (5 unless the query says)."""
    if not door().settings.profiling_enabled:
        raise ProblemError(404, "NOT_FOUND", "PROFILING_ENABLED is off")
    # Without login everybody is an administrator, and only this machine can be told from the rest.
    if not door().settings.login_required and not is_local(request):
        raise ProblemError(403, "PROFILE_NOT_ALLOWED", "nobody signs in here: profiles are for this machine")
    seconds = profile_seconds(request.args.get("seconds", _DEFAULT_SECONDS))
    if seconds is None:
        raise invalid("seconds", f"must be above 0 and at most {MAX_SECONDS:.0f}")
    try:
        stacks = door().profiler.profile(seconds)
    except ProfilerBusyError as error:
        raise ProblemError(409, "PROFILER_BUSY", str(error), retry_after=seconds) from error
    return Response(stacks, content_type="text/plain; charset=utf-8")
