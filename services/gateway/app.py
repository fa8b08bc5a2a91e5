"""The Flask application: what every request goes through, and the routes."""

from __future__ import annotations

import errno
import logging

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException

from services.chassis import context
from services.chassis.access import check_house
from services.chassis.errors import ServiceError
from services.gateway import conditional
from services.gateway.body import idempotency_key
from services.gateway.calls import asked_timeout
from services.gateway.door import EXTENSION, Door
from services.gateway.identity import admission
from services.gateway.observation import ROUTE_KEY, Observed
from services.gateway.openapi.operation import declared
from services.gateway.problem import ProblemError, from_http_exception, from_service_error, internal
from services.gateway.proxies import Proxies
from services.gateway.routes import (
    agents,
    attachments,
    auth,
    backups,
    collections,
    documents,
    evaluations,
    health,
    index,
    insights,
    mcp,
    openai,
    openapi,
    page,
    profile,
    reembedding,
    runs,
    search,
    sessions,
    users,
    webhooks,
    workflows,
)
from services.gateway.security import Guard

_log = logging.getLogger(__name__)

_API = "/api/v1"


def create_app(door: Door) -> Flask:
    """The application. It opens no channel and starts no thread until a request needs one."""
    app = Flask("services.gateway", static_folder=None)
    if door.settings.flask_secret_key is not None:
        app.secret_key = door.settings.flask_secret_key.get_secret_value()
    app.extensions[EXTENSION] = door
    # "//" is an unknown path, not a redirect.
    app.url_map.merge_slashes = False
    app.before_request(_name_route)
    Guard(door.settings.hosts, door.settings.origins).install(app)
    app.before_request(_check_timeout)
    if door.settings.login_required:
        admission.install(app)
    app.before_request(_check_house)
    app.before_request(_check_key)
    conditional.install(app)
    for noun in (
        agents,
        attachments,
        auth,
        backups,
        collections,
        documents,
        evaluations,
        index,
        insights,
        search,
        runs,
        workflows,
        sessions,
        profile,
        reembedding,
        users,
        webhooks,
    ):
        app.register_blueprint(noun.blueprint, url_prefix=_API)
    app.register_blueprint(openai.blueprint, url_prefix="/v1")
    app.register_blueprint(health.blueprint)
    app.register_blueprint(mcp.blueprint)
    app.register_blueprint(page.blueprint)
    app.register_blueprint(openapi.blueprint)
    app.register_error_handler(Exception, _refuse)
    observed = Observed(app.wsgi_app, login=door.settings.login_required)
    proxied = Proxies(observed, door.settings.trusted_proxies)
    app.wsgi_app = proxied  # type: ignore[method-assign]  # Flask's documented way
    return app


def _name_route() -> None:
    rule = request.url_rule
    request.environ[ROUTE_KEY] = rule.rule if rule is not None else "unknown"


def _check_house() -> None:
    """What is of all tenants together is for the administrators of the house's own, as in the services."""
    view = current_app.view_functions.get(request.endpoint or "")
    said = declared(view) if view is not None else None
    if said is not None and said.house_wide:
        check_house(context.principal())


def _check_timeout() -> None:
    asked_timeout(request)


def _check_key() -> None:
    """A key that cannot be one is refused even where it has no effect: the client relies on it."""
    if request.method not in ("GET", "HEAD", "OPTIONS"):
        idempotency_key(request)


def _refuse(error: Exception) -> Response:
    """The problem document of whatever a route raised."""
    if isinstance(error, ProblemError):
        problem = error
    elif isinstance(error, ServiceError):
        problem = from_service_error(error)
    elif isinstance(error, HTTPException):
        problem = from_http_exception(error)
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        problem = ProblemError(507, "STORAGE_FULL", "the gateway's disk for uploads is full")
    else:
        _log.error("a request failed", exc_info=error)
        problem = internal()
    return problem.response()
