"""Reads the text in pictures with Tesseract, in the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.agents.code import programs
from services.agents.ports import Sandboxed
from services.agents.seeing import hocr
from services.agents.seeing.hocr import Line
from services.agents.seeing.looking import Copy
from services.chassis.errors import InvalidArgumentError
from services.sandbox.model import End, Job, Limits, Outcome

PROGRAM = "tesseract"
MAX_LANGUAGES = 4
_LIMITS = Limits(
    seconds=90.0,
    cpu_seconds=80.0,
    memory_bytes=1 << 30,
    processes=8,
    file_bytes=64 << 20,
    disk_bytes=192 << 20,
)
_MAX_WORDS = 10_000
# A line of which less is sure is a pattern that was taken for letters.
_LEAST_CONFIDENCE = 0.3
# Neither is a language: how a page is turned, and formulas.
_NO_LANGUAGES = frozenset({"osd", "equ"})
_NOT_INSTALLED = "No text was looked for: tesseract is not installed here."


@dataclass(frozen=True)
class Reading:
    """What was read. reason: why nothing was looked for; then no lines. notes: what was left out."""

    lines: tuple[Line, ...] = ()
    reason: str = ""
    notes: tuple[str, ...] = ()


async def read(sandbox: Sandboxed, page: Copy, languages: Sequence[str] = ()) -> Reading:
    """The lines of text on a page, in the order of reading, with places in pixels of the picture.

    languages: by Tesseract's names; all that are installed when empty, at most 4.
    Raises FailedPreconditionError (TOOL_UNAVAILABLE) where there is no sandbox.
    """
    installed = await _installed(sandbox)
    if not installed:
        return Reading(reason=_NOT_INSTALLED)
    known = sorted(installed - _NO_LANGUAGES)
    if missing := sorted(set(languages) - set(known)):
        return Reading(
            reason=f"No text was looked for: the language {missing[0][:20]!r} is not installed; there are "
            f"{', '.join(known)}."
        )
    chosen = list(languages) or known[:MAX_LANGUAGES]
    # With the data for it, pages that lie on their side are turned first.
    mode = "1" if "osd" in installed else "3"
    outcome = await sandbox.run(
        Job(
            argv=(
                *(PROGRAM, "page.png", "page", "-l", "+".join(chosen), "--psm", mode),
                *("-c", "tessedit_create_hocr=1"),
            ),
            files={"page.png": page.data},
            environment={"OMP_THREAD_LIMIT": "1"},
            collect=("page.hocr",),
            limits=_LIMITS,
        )
    )
    told = outcome.files.get("page.hocr")
    if outcome.end is not End.EXITED or outcome.exit_code or told is None:
        return Reading(reason=f"No text was read: {_why(outcome)}.")
    return _kept(hocr.read(told.decode("utf-8", "replace"), page.factor))


async def _installed(sandbox: Sandboxed) -> set[str]:
    """The data that is installed beside the program; nothing where the program is not."""
    try:
        listed = await sandbox.run(Job(argv=(PROGRAM, "--list-langs")))
    except InvalidArgumentError:
        # The sandbox knows no program of that name.
        return set()
    return set(listed.stdout.decode("utf-8", "replace").split("\n")[1:]) - {""}


def _why(outcome: Outcome) -> str:
    return programs.why_no_result(outcome).rstrip(".")


def _kept(lines: list[Line]) -> Reading:
    sure = [line for line in lines if line.confidence >= _LEAST_CONFIDENCE]
    notes = []
    if len(sure) < len(lines):
        notes.append(f"{len(lines) - len(sure)} lines were left out that are hardly text.")
    kept: list[Line] = []
    words = 0
    for line in sure:
        words += len(line.words)
        if words > _MAX_WORDS:
            notes.append(f"{len(sure) - len(kept)} lines were left out: {_MAX_WORDS:,} words are read.")
            break
        kept.append(line)
    return Reading(tuple(kept), notes=tuple(notes))
