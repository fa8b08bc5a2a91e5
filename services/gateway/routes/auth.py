"""Signing in and out."""

from __future__ import annotations

from flask import Blueprint, Response, request

from meldrag.session.v1 import identity_pb2
from services.chassis import context
from services.gateway import rendering
from services.gateway.body import Fields, Query, idempotency_key, json_object
from services.gateway.calls import unary
from services.gateway.door import answer, door
from services.gateway.identity.admission import as_the_house
from services.gateway.identity.credentials import Jar, refresh_cookie, unauthenticated
from services.gateway.identity.external import ExternalLogin
from services.gateway.openapi.operation import Answer, json, operation, text_of
from services.gateway.openapi.resources import SCOPES, TEXT, YES_OR_NO
from services.gateway.openapi.schema import array, record, reference
from services.gateway.problem import ProblemError

blueprint = Blueprint("auth", __name__)

# Names and passwords; nothing longer is read of anybody who is not known yet.
_MAX_BYTES = 16 << 10
_FLOW_COOKIE = "meld_external"
_FLOW_SECONDS = 600

# Whoever is not known yet can be refused, and can be told to wait.
_BEFORE_ONE_IS_KNOWN = (401, 403, 409, 429, 502, 503, 504)
_WAYS = json(record(dict.fromkeys(("login", "setup", "external"), YES_OR_NO)))
_EXPIRES = {"expires": TEXT | {"format": "date-time", "description": "When the access token ends."}}
_TOKENS = {**dict.fromkeys(("access_token", "refresh_token", "token_type"), TEXT), **_EXPIRES}
_BY_COOKIE = ("Set-Cookie",)
_LOGGED_IN = json(
    record({"user": reference("User"), **_TOKENS}, optional=("access_token", "refresh_token", "token_type")),
    headers=_BY_COOKIE,
)
_RENEWED = json(record(_TOKENS, optional=("access_token", "refresh_token", "token_type")), headers=_BY_COOKIE)
_DONE = json(record({}), headers=_BY_COOKIE)
_SENT_ON = {303: Answer(headers=("Location", "Set-Cookie"))}
_CALLER = json(
    record(
        {
            **dict.fromkeys(("id", "tenant", "role"), TEXT),
            "groups": array(TEXT),
            "scopes": SCOPES,
            "login": YES_OR_NO,
        }
    )
)


@blueprint.get("/auth")
@operation(answers={200: _WAYS}, problems=(429, 502, 503, 504), public=True)
def ways() -> Response:
    """Whether one has to sign in here, and how."""
    Query(request).finish()
    required = door().settings.login_required
    external = door().external is not None
    return answer({"login": required, "setup": required and _is_empty(), "external": external})


def _is_empty() -> bool:
    """Whether there is no user yet."""
    with as_the_house():
        page = unary(door().clients.identity.ListUsers, identity_pb2.ListUsersRequest(page_size=1))
    return not page.users


@blueprint.post("/auth/setup")
@operation(
    answers={201: json("User")}, body="SetUp", problems=_BEFORE_ONE_IS_KNOWN, repeat="key", public=True
)
def set_up() -> Response:
    """Makes the first owner, for whoever knows the setup code."""
    fields = _fields()
    message = identity_pb2.SetUpRequest(
        name=fields.text("name", required=True),
        password=fields.text("password", required=True, content=True),
        setup_code=fields.text("setup_code", required=True, content=True),
        request_id=idempotency_key(request),
    )
    fields.finish()
    made = unary(door().clients.identity.SetUp, message, _source())
    return answer(rendering.user(made.user), 201)


@blueprint.post("/auth/login")
@operation(answers={200: _LOGGED_IN}, body="Login", problems=_BEFORE_ONE_IS_KNOWN, repeat="anew", public=True)
def login() -> Response:
    """Trades a name and a password for tokens; with "cookie": true for cookies, which no script sees."""
    fields = _fields()
    credential = identity_pb2.PasswordCredential(
        name=fields.text("name", required=True),
        password=fields.text("password", required=True, content=True),
        tenant_id=fields.text("tenant"),
    )
    as_cookie = fields.boolean("cookie")
    fields.finish()
    message = identity_pb2.AuthenticateRequest(password=credential)
    let_in = unary(door().clients.identity.Authenticate, message, _source())
    return _signed_in({"user": rendering.user(let_in.user)}, let_in.tokens, as_cookie)


@blueprint.get("/auth/external")
@operation(answers=_SENT_ON, problems=(404, 502), public=True)
def begin_external() -> Response:
    """Sends the browser to the identity provider."""
    Query(request).finish()
    url, kept = _external().begin(_way_back())
    response = _sent_to(url)
    _keep_flow(response, kept, _FLOW_SECONDS)
    return response


@blueprint.get("/auth/external/return")
@operation(
    answers=_SENT_ON,
    query=(
        text_of("state", "Which way back this is; the provider says it."),
        text_of("code", "What the provider gives the gateway its word for."),
        text_of("error", "Why the provider lets nobody in."),
    ),
    problems=(404, *_BEFORE_ONE_IS_KNOWN),
    public=True,
)
def finish_external() -> Response:
    """Takes the browser back, with cookies when the provider knows who sits before it."""
    external = _external()
    # The provider may say more than we ask for.
    if "error" in request.args:
        raise ProblemError(401, "EXTERNAL_LOGIN_REFUSED", "the identity provider lets nobody in")
    person = external.finish(
        request.cookies.get(_FLOW_COOKIE, ""),
        request.args.get("state", ""),
        request.args.get("code", ""),
        _way_back(),
    )
    message = identity_pb2.AuthenticateExternalRequest(
        issuer=person.issuer, subject=person.subject, name=person.name, groups=person.groups
    )
    with as_the_house():
        let_in = unary(door().clients.identity.AuthenticateExternal, message, _source())
    response = _sent_to("/")
    _keep_flow(response, "", 0)
    Jar(request).keep(response, let_in.tokens)
    return response


def _external() -> ExternalLogin:
    external = door().external
    if external is None:
        raise ProblemError(404, "NOT_FOUND", "nobody signs in by another identity provider here")
    return external


def _way_back() -> str:
    """Where the provider sends the browser to. The guard has checked the host."""
    return f"{request.scheme}://{request.host}/api/v1/auth/external/return"


def _sent_to(url: str) -> Response:
    return Response(status=303, headers={"Location": url})


def _keep_flow(response: Response, kept: str, seconds: int) -> None:
    # Lax: the way back is a click on another site's page.
    response.set_cookie(
        _FLOW_COOKIE,
        kept,
        max_age=seconds,
        path="/api/v1/auth/external",
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )


@blueprint.post("/auth/refresh")
@operation(answers={200: _RENEWED}, body="Refresh", problems=_BEFORE_ONE_IS_KNOWN, repeat="anew", public=True)
def refresh() -> Response:
    """Trades a refresh token for new tokens: that of the body, or the cookie's for new cookies."""
    fields = _fields()
    token = fields.text("refresh_token")
    fields.finish()
    as_cookie = not token
    token = token or refresh_cookie(request)
    if not token:
        raise unauthenticated("CREDENTIAL_MISSING", "neither the body nor a cookie holds a refresh token")
    message = identity_pb2.RefreshTokenRequest(refresh_token=token)
    renewed = unary(door().clients.identity.RefreshToken, message, _source())
    return _signed_in({}, renewed.tokens, as_cookie)


@blueprint.post("/auth/logout")
@operation(answers={200: _DONE}, body="Logout", problems=_BEFORE_ONE_IS_KNOWN, repeat="same", public=True)
def logout() -> Response:
    """Ends a session: the token of the body or of the cookie, and all that were renewed from it."""
    fields = _fields()
    token = fields.text("token") or refresh_cookie(request)
    fields.finish()
    if token:
        unary(door().clients.identity.RevokeToken, identity_pb2.RevokeTokenRequest(token=token), _source())
    response = answer({})
    Jar(request).drop(response)
    return response


@blueprint.post("/auth/password")
@operation(answers={200: _DONE}, body="ChangedPassword", problems=(409,), repeat="anew")
def change_password() -> Response:
    """Changes the caller's own password; everything that was signed in with the old one ends."""
    fields = _fields()
    message = identity_pb2.ChangePasswordRequest(
        current_password=fields.text("current_password", required=True, content=True),
        new_password=fields.text("new_password", required=True, content=True),
    )
    fields.finish()
    unary(door().clients.identity.ChangePassword, message, _source())
    response = answer({})
    Jar(request).drop(response)
    return response


@blueprint.get("/auth/me")
@operation(answers={200: _CALLER})
def me() -> Response:
    """Who calls."""
    Query(request).finish()
    principal = context.principal()
    return answer(
        {
            "id": principal.subject,
            "tenant": principal.tenant_id,
            "role": principal.role,
            "groups": sorted(principal.groups),
            "scopes": rendering.scopes(principal.scopes),
            "login": door().settings.login_required,
        }
    )


def _fields() -> Fields:
    """The body of a request that signs in or out. Raises ProblemError 409 where nobody logs in."""
    if not door().settings.login_required:
        raise ProblemError(409, "LOGIN_OFF", "nobody has to sign in here")
    return json_object(request, _MAX_BYTES)


def _source() -> tuple[tuple[str, str], ...]:
    """Where the caller is, by which wrong tries are counted; see services.gateway.proxies for what counts."""
    return (("x-meld-source", request.remote_addr or ""),)


def _signed_in(said: dict[str, object], tokens: identity_pb2.Tokens, as_cookie: bool) -> Response:
    expires = rendering.time(tokens.expire_time)
    if as_cookie:
        response = answer({**said, "expires": expires})
        Jar(request).keep(response, tokens)
        return response
    return answer(
        {
            **said,
            "access_token": tokens.access_token,
            "refresh_token": tokens.refresh_token,
            "token_type": "Bearer",
            "expires": expires,
        }
    )
