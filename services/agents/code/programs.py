"""The house's own programs that run inside the sandbox, beside code that nobody trusts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from types import ModuleType
from typing import Any

from services.agents.code.project import RESERVED
from services.agents.ports import JsonObject
from services.sandbox.model import End, Job, Limits, Outcome

# What the programs are imported from, what they read, and what they write.
_PACKAGE = "meld_inside"
_REQUEST = f"{RESERVED}/request.json"
_RESULT = f"{RESERVED}/result.json"


def job(
    package: ModuleType,
    program: str,
    files: Mapping[str, str] | Mapping[str, bytes],
    request: Mapping[str, Any],
    limits: Limits,
    *,
    collect: Sequence[str] = (),
    hash_seed: int = 0,
) -> Job:
    """A job that runs a program over files by relative path.

    package: the programs, which may import each other. program: the name of the one whose `main` is called.
    request: what it is told. collect: files besides the result whose content comes back. hash_seed: of the
    interpreter; the order of sets of strings hangs on it.
    """
    sources = {
        f"{RESERVED}/{_PACKAGE}/{source.name}": source.read_bytes()
        for source in resources.files(package).iterdir()
        if source.name.endswith(".py")
    }
    start = f"import sys; sys.path.insert(0, {RESERVED!r}); from {_PACKAGE} import {program} as p; p.main()"
    return Job(
        # -P: a module of the files must not go before one that the program needs.
        argv=("python", "-P", "-c", start),
        files={
            **{path: data.encode() if isinstance(data, str) else data for path, data in files.items()},
            **sources,
            _REQUEST: json.dumps(request).encode("utf-8"),
        },
        environment={
            "PYTHONHASHSEED": str(hash_seed),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        collect=(_RESULT, *collect),
        limits=limits,
    )


def result(outcome: Outcome) -> JsonObject | None:
    """What the program wrote; None when that is no JSON object. The code beside it could have written it."""
    try:
        told = json.loads(outcome.files.get(_RESULT, b""))
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def why_no_result(outcome: Outcome) -> str:
    """Why a program left nothing, or less than it should, in words."""
    if outcome.end is not End.EXITED:
        return outcome.detail
    said = outcome.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1][:300] if said else "it left no result"
