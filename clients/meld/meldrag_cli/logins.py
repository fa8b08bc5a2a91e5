"""Logins that were kept: for each house who signed in there, in a file that only its user may read."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from meldrag_cli.failures import RefusedFailure, UsageFailure

if sys.platform != "win32":
    import fcntl

FILE = "logins.json"
_LOCK = "logins.lock"
# An access token that ends sooner is renewed before it is shown.
_EARLY_SECONDS = 30.0
_LOCK_SECONDS = 60.0
_LOOK_SECONDS = 0.05
# Refusals that say that the login has ended, not that it cannot be renewed just now.
_ENDED = frozenset((400, 401, 403, 409))

Renew = Callable[[str], "Login"]


@dataclass(frozen=True)
class Login:
    """Who is signed in. A key stays; tokens end and are renewed.

    name: as people know it. ends: of the access token, in seconds since 1970 by this machine's clock.
    """

    name: str = ""
    api_key: str = ""
    access_token: str = ""
    refresh_token: str = ""
    ends: float = 0.0

    @property
    def fresh(self) -> bool:
        """Whether what is shown of it holds for a while."""
        return bool(self.api_key) or self.ends - time.time() > _EARLY_SECONDS

    @property
    def shown(self) -> str:
        """What goes with a request."""
        return self.api_key or self.access_token


class Logins:
    """The file. Methods raise UsageFailure where it cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, url: str) -> Login | None:
        """Who is signed in at a house; None for nobody."""
        said = self._all().get(url)
        return None if said is None else Login(**said)

    def keep(self, url: str, login: Login | None) -> None:
        """Keeps a login in the place of the one before; None forgets it."""
        with self._alone():
            self._keep(url, login)

    def current(self, url: str, renew: Renew, *, stale: str = "") -> Login | None:
        """The login, renewed where it ends soon or is `stale`; None for nobody.

        One command renews it at a time, and the others take what that brought: a refresh token is good once,
        and one that comes again later would end them all. Raises RefusedFailure where it has ended.
        """
        login = self.read(url)
        if login is None or (login.fresh and login.shown != stale):
            return login
        with self._alone():
            login = self.read(url)
            if login is None or login.api_key or (login.fresh and login.shown != stale):
                return login
            try:
                renewed = replace(renew(login.refresh_token), name=login.name)
            except RefusedFailure as refused:
                if refused.problem.get("status") not in _ENDED:
                    raise
                self._keep(url, None)
                raise RefusedFailure(
                    "LOGIN_ENDED", f"the login at {url} has ended; sign in with: meld login"
                ) from None
            self._keep(url, renewed)
            return renewed

    def _all(self) -> dict[str, dict[str, Any]]:
        path = self._folder / FILE
        try:
            found = json.loads(path.read_bytes())
            return {str(url): _members(said) for url, said in found["logins"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageFailure("INVALID_LOGINS", f"{path} cannot be read: {error}") from None

    def _keep(self, url: str, login: Login | None) -> None:
        found = self._all()
        found.pop(url, None)
        if login is not None:
            found[url] = asdict(login)
        path = self._folder / FILE
        written = ""
        try:
            # Readable for nobody else from its first byte on, and never half written.
            descriptor, written = tempfile.mkstemp(prefix=f".{FILE}.", dir=self._folder)
            with os.fdopen(descriptor, "w") as file:
                json.dump({"logins": found}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            Path(written).replace(path)
        except OSError as error:
            if written:
                with contextlib.suppress(OSError):
                    Path(written).unlink()
            raise UsageFailure("NOT_WRITABLE", f"{path}: {error.strerror}") from None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        path = self._folder / _LOCK
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageFailure("NOT_WRITABLE", f"{path}: {error.strerror}") from None
        try:
            _lock(descriptor, path)
            yield
        finally:
            os.close(descriptor)


def _members(said: Mapping[str, Any]) -> dict[str, Any]:
    known = asdict(Login())
    members = {name: value for name, value in said.items() if name in known}
    if not all(isinstance(value, float if name == "ends" else str) for name, value in members.items()):
        raise TypeError("a login has members of other types")
    return members


def _lock(descriptor: int, path: Path) -> None:
    if sys.platform == "win32":
        # Two commands at once may renew one after the other there; the house bears with that for seconds.
        return
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() > end:
                raise UsageFailure("LOGINS_BUSY", f"{path} is held by another command") from None
            time.sleep(_LOOK_SECONDS)
        else:
            return
