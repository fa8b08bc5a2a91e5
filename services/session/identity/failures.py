"""The errors of identity, one constructor for each reason of error_reason.proto."""

from __future__ import annotations

from services.chassis.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    NotFoundError,
    PermissionDeniedError,
    ResourceExhaustedError,
    UnauthenticatedError,
    UnavailableError,
)


def user_not_found(user_id: str) -> NotFoundError:
    """No such user in the caller's tenant."""
    return NotFoundError("no such user", reason="USER_NOT_FOUND", metadata={"user_id": user_id})


def user_exists(name: str) -> AlreadyExistsError:
    """The name is taken."""
    return AlreadyExistsError("a user has that name", reason="USER_EXISTS", metadata={"name": name})


def last_owner(user_id: str) -> FailedPreconditionError:
    """Nobody would be left who may do everything."""
    return FailedPreconditionError(
        "this is the last owner; make another one first", reason="LAST_OWNER", metadata={"user_id": user_id}
    )


def owner_needed(role: str) -> PermissionDeniedError:
    """The caller is no owner."""
    return PermissionDeniedError(
        "only an owner may make or change an owner", reason="OWNER_NEEDED", metadata={"role": role}
    )


def not_your_own(user_id: str) -> PermissionDeniedError:
    """The caller may not do this to others."""
    return PermissionDeniedError(
        "this may only be done to one's own", reason="NOT_YOUR_OWN", metadata={"user_id": user_id}
    )


def credential_wrong() -> UnauthenticatedError:
    """Whatever is wrong with it: an answer that told would help who guesses."""
    return UnauthenticatedError("name and password, or the API key, are wrong", reason="CREDENTIAL_WRONG")


def api_key_expired() -> UnauthenticatedError:
    """Told only to who has the key."""
    return UnauthenticatedError("the API key has ended; make another one", reason="API_KEY_EXPIRED")


def token_invalid() -> UnauthenticatedError:
    """Not made here, or for something else."""
    return UnauthenticatedError("the token is not valid", reason="TOKEN_INVALID")


def token_expired() -> UnauthenticatedError:
    """Its time has passed."""
    return UnauthenticatedError("the token has ended", reason="TOKEN_EXPIRED")


def token_revoked() -> UnauthenticatedError:
    """It was ended before its time."""
    return UnauthenticatedError("the token was revoked; sign in again", reason="TOKEN_REVOKED")


def too_many_attempts(seconds: float) -> ResourceExhaustedError:
    """Whoever asks has to wait."""
    return ResourceExhaustedError(
        f"too many wrong tries; try again in {seconds:.0f} s",
        reason="TOO_MANY_ATTEMPTS",
        retry_after=seconds,
    )


def setup_done() -> FailedPreconditionError:
    """There are users."""
    return FailedPreconditionError("there are users already", reason="SETUP_DONE")


def setup_refused() -> PermissionDeniedError:
    """No code is set, or another."""
    return PermissionDeniedError(
        "the setup code is not that of MELD_SETUP_CODE, or none is set", reason="SETUP_REFUSED"
    )


def quota_exhausted(unit: str, limit: int, remaining: int, seconds: float) -> ResourceExhaustedError:
    """Not so much is left."""
    return ResourceExhaustedError(
        f"the quota of {unit} is used up; try again in {seconds:.0f} s",
        reason="QUOTA_EXHAUSTED",
        metadata={"unit": unit, "limit": str(limit), "remaining": str(remaining)},
        retry_after=seconds,
    )


def login_not_configured() -> FailedPreconditionError:
    """There is nothing to sign tokens with."""
    return FailedPreconditionError(
        "tokens need a JWT_SECRET_KEY of 32 characters or more", reason="LOGIN_NOT_CONFIGURED"
    )


def api_key_not_found(api_key_id: str) -> NotFoundError:
    """No such key that the caller may see."""
    return NotFoundError("no such API key", reason="API_KEY_NOT_FOUND", metadata={"api_key_id": api_key_id})


def too_many_api_keys(limit: int) -> ResourceExhaustedError:
    """A user has as many as one may."""
    return ResourceExhaustedError(
        f"a user may have {limit} API keys; revoke one first",
        reason="TOO_MANY_API_KEYS",
        metadata={"limit": str(limit)},
    )


def too_many_users(limit: int) -> ResourceExhaustedError:
    """The tenant has as many as it may."""
    return ResourceExhaustedError(
        f"there may be {limit} users", reason="TOO_MANY_USERS", metadata={"limit": str(limit)}
    )


def sign_in_busy() -> UnavailableError:
    """Checking a password takes a processor; others wait for it."""
    return UnavailableError("too many passwords are being checked", reason="SIGN_IN_BUSY", retry_after=1.0)
