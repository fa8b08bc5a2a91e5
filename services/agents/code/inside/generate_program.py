"""The program that looks for sessions worth testing, inside the sandbox.

Reads .meld/request.json, writes .meld/result.json. It runs in stages, each in processes of its own:
survey (what can be called), hunt (search by coverage),
check (again, in fresh processes with other hash seeds),
mutants (which session tells which mutant from the code), chase (more sessions for mutants that are left),
choice (the fewest sessions that keep all that was found).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import generate_targets as targets
from .generate_search import Search
from .generate_sessions import Observation, Session, in_child
from .generate_strategies import described

HOME = ".meld"
_MODULE = "meld_inside"
_MEMORY = 600 << 20
_HANG_SECONDS = 8.0
_MUTANT_SECONDS = 8.0
_CHECKED_AT_ONCE = 40
# Sessions that become tests.
_MOST = 600
# How many sessions are to tell a mutant.
_TIMES = 2
_PLAIN_RESULTS = {"None", "True", "False", "[]", "{}", "''", "0", "()", "set()"}


@dataclass
class Held:
    """A session with what was seen of it. new: it ran something that none before it did.

    mutants: those that it tells from the code.
    """

    session: Session
    code: str
    outcome: str = ""
    new: bool = True
    seen: dict[str, Any] = field(default_factory=dict)
    arcs: list[tuple[str, int, int, int]] = field(default_factory=list)
    mutants: set[int] = field(default_factory=set)

    def lines(self) -> set[tuple[str, int]]:
        """Lines of the project that it runs."""
        return {(path, line) for path, _, line, _ in self.arcs if line > 0}


class Program:
    """All stages. data: the plain object that the host wrote."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._layout = targets.Layout.from_json(data["layout"])
        self._mutants: list[dict[str, Any]] = data["mutants"]
        self._ended = set(data["killed"])
        self._covered = {(path, line) for path, lines in data["covered"].items() for line in lines}
        self._seed = int(data["seed"])
        self._end = time.monotonic() + float(data["seconds"])
        self._seconds = float(data["seconds"])
        self._sources = {path: Path(path).read_text("utf-8") for path in self._layout.modules.values()}
        self._held: dict[str, Held] = {}
        self._notes: list[str] = []
        self._stages: dict[str, float] = {}
        self._since = time.monotonic()

    def left(self) -> float:
        """Seconds until all has to be done."""
        return self._end - time.monotonic()

    def _stage_ended(self, name: str) -> None:
        now = time.monotonic()
        self._stages[name] = round(self._stages.get(name, 0.0) + now - self._since, 2)
        self._since = now

    def work(self) -> dict[str, Any]:
        """All stages; the report as a plain object."""
        survey = in_child(self._survey, 20.0)
        if survey is None:
            return {"failures": {"": "importing the code did not end within 20 seconds"}, "sessions": []}
        for name in survey["imported"]:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        self._stage_ended("survey")
        self._hunt_all(survey["targets"])
        self._stage_ended("hunt")
        self._check_all()
        self._stage_ended("check")
        self._drop_dependent()
        self._stage_ended("order")
        # A slow machine makes a run longer, not blind.
        enough = max(self._end - 0.4 * self._seconds, time.monotonic() + 0.4 * self._seconds)
        self._kill(list(self._held.values()), self._open_mutants(), enough)
        self._end = max(self._end, time.monotonic() + 0.3 * self._seconds)
        self._stage_ended("mutants")
        for round_number in range(3):
            if self.left() < 0.1 * self._seconds or not self._open_mutants():
                break
            before = len(self._open_mutants())
            self._chase(round_number)
            self._stage_ended("chase")
            if round_number and len(self._open_mutants()) == before:
                break
        chosen = self._choice()
        return {
            "failures": survey["failures"],
            "functions": survey["functions"],
            "parameters": survey["parameters"],
            "origins": survey["origins"],
            "sessions": [
                {"steps": h.session.to_json(), "seen": h.seen, "mutants": sorted(h.mutants)} for h in chosen
            ],
            "pool": len(self._held),
            "samples": self._samples(),
            "notes": self._notes,
            "stages": self._stages,
        }

    # --- survey

    def _survey(self) -> dict[str, Any]:
        before = set(sys.modules)
        targets.prepare(self._layout)
        project = targets.load(self._layout)
        own = {name.split(".")[0] for name in self._layout.modules}
        imported = [n for n in sys.modules if n not in before and n.split(".")[0] not in own]
        listed = [
            *(("function", t.key, t.private, _span(t)) for t in project.functions),
            *(("class", s.name, False, (s.path, 0, 0)) for s in project.subjects),
        ]
        return {
            "failures": project.failures,
            "imported": imported,
            "targets": listed,
            "origins": project.origins,
            "functions": [described(t) for t in project.functions if not t.private],
            "parameters": {
                t.key: [p.name for p in t.parameters if not p.variadic]
                for t in [*project.functions, *(t for s in project.subjects for t in (*s.made, *s.methods))]
            },
        }

    # --- hunt

    def _hunt_all(self, listed: Sequence[tuple[str, str, bool, tuple[str, int, int]]]) -> None:
        public = [entry for entry in listed if not entry[2]]
        share = 0.35 * self._seconds / max(len(public), 1)
        for position, (kind, key, _, _) in enumerate(public):
            if self.left() <= 0:
                self._notes.append(f"{len(public) - position} functions or classes were not reached in time")
                break
            self._hunt(kind, key, min(max(share, 0.4), 4.0))
        run = {line for held in self._held.values() for line in held.lines()} | self._covered
        for kind, key, private, (path, start, end) in listed:
            body = [line for line in range(start + 1, end + 1) if (path, line) in run]
            if private and not body and self.left() > 0.5 * self._seconds:
                self._hunt(kind, key, min(max(share, 0.4), 3.0))

    def _hunt(self, kind: str, key: str, seconds: float) -> None:
        """Searches in a fork; what makes it hang is skipped in a second and third try."""
        skip: set[str] = set()
        for attempt in range(3):
            hung = self._hunt_once(kind, key, seconds, frozenset(skip), attempt)
            if hung is None:
                return
            skip.add(hung)
            self._notes.append(f"{key}: a call did not end and was left out")

    def _hunt_once(
        self, kind: str, key: str, seconds: float, skip: frozenset[str], attempt: int
    ) -> str | None:
        path = Path(HOME, "hunt.jsonl")
        path.unlink(missing_ok=True)
        board = mmap.mmap(-1, 4096)
        child = os.fork()
        if child == 0:
            try:
                _limit_memory()
                self._hunt_here(
                    kind, key, seconds=seconds, skip=skip, attempt=attempt, path=path, board=board
                )
            finally:
                os._exit(0)
        hung = _watch(child, board, 4 * seconds + 3 * _HANG_SECONDS)
        board.close()
        if path.exists():
            for line in path.read_text("utf-8", "surrogatepass").splitlines():
                with contextlib.suppress(ValueError):
                    plain, new = json.loads(line)
                    session = Session.from_json(plain)
                    self._held.setdefault(session.code(), Held(session, session.code(), new=new))
        return hung

    def _hunt_here(
        self,
        kind: str,
        key: str,
        *,
        seconds: float,
        skip: frozenset[str],
        attempt: int,
        path: Path,
        board: mmap.mmap,
    ) -> None:
        targets.prepare(self._layout)
        project = targets.load(self._layout)
        with path.open("w", encoding="utf-8", errors="surrogatepass") as file:

            def found(session: Session, seen: Observation, new: bool) -> None:
                session = Session(session.steps[: len(seen.steps)])
                file.write(json.dumps([session.to_json(), new]) + "\n")
                file.flush()

            count = 0

            def about(code: str) -> None:
                nonlocal count
                count += 1
                text = code.encode("utf-8", "surrogatepass")[:4000]
                board[0:4096] = (count.to_bytes(4, "big") + text).ljust(4096, b"\0")

            search = Search(project, project.stage(), self._seed * 31 + attempt, found)
            search.guard(skip, about)
            if kind == "function":
                search.function(next(t for t in project.functions if t.key == key), seconds)
            else:
                search.subject(next(s for s in project.subjects if s.name == key), seconds)

    # --- check

    def _check_all(self, only: Sequence[str] | None = None) -> None:
        """Keeps what fresh processes with two hash seeds agree on, as far as time goes."""
        codes = [code for code in (only if only is not None else list(self._held)) if code in self._held]
        codes.sort(key=lambda code: not self._held[code].new)
        given = [self._held[code].session.to_json() for code in codes]
        told = {"layout": self._plain_layout(), "sessions": given}
        Path(HOME, "check.json").write_text(json.dumps(told), "utf-8")
        end = time.monotonic() + max(self.left() * 0.6, 10.0)
        running = [self._checking(seed) for seed in ("1", "4242")]
        first, second = (self._checked(process, seed, end) for process, seed in running)
        for position, code in enumerate(codes):
            one, other = first.get(position), second.get(position)
            if one is None or other is None or one["outcome"] != other["outcome"]:
                del self._held[code]
                continue
            held = self._held[code]
            held.outcome, held.seen = one["outcome"], one["seen"]
            held.arcs = [tuple(arc) for arc in one["arcs"]]
        if len(first) < len(codes):
            self._notes.append(f"{len(codes) - len(first)} calls were not looked at again, for lack of time")

    def _checking(self, hash_seed: str) -> tuple[subprocess.Popen[bytes], str]:
        start = f"import sys; sys.path.insert(0, {HOME!r}); from {_MODULE} import generate_program as p"
        os.putenv("PYTHONHASHSEED", hash_seed)
        process = subprocess.Popen(
            [sys.executable, "-c", f"{start}; p.check({hash_seed!r})"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return process, hash_seed

    def _checked(
        self, process: subprocess.Popen[bytes], hash_seed: str, end: float
    ) -> dict[int, dict[str, Any]]:
        """What the process wrote by the end, by the session's position."""
        try:
            process.wait(max(end - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        path = Path(HOME, f"checked-{hash_seed}.jsonl")
        found = {}
        for line in path.read_text("utf-8").splitlines() if path.exists() else ():
            with contextlib.suppress(ValueError):
                position, answer = json.loads(line)
                found[position] = answer
        path.unlink(missing_ok=True)
        return found

    def _plain_layout(self) -> dict[str, Any]:
        return {"modules": dict(self._layout.modules), "roots": list(self._layout.roots)}

    def _drop_dependent(self) -> None:
        """Leaves out what comes out otherwise after other sessions in one process."""
        everything = list(self._held.values())
        for order in (everything, everything[::-1]):
            outcomes = in_child(lambda order=order: self._outcomes(order, None), max(self.left() * 0.3, 5.0))
            if outcomes is None:
                self._notes.append("the sessions did not run one after the other in one process")
                continue
            for held, outcome in zip(order, outcomes, strict=False):
                if outcome != held.outcome:
                    self._held.pop(held.code, None)

    # --- mutants

    def _open_mutants(self) -> list[dict[str, Any]]:
        return [m for m in self._mutants if m["id"] not in self._ended]

    def _text(self, mutant: Mapping[str, Any]) -> str:
        content = self._sources[mutant["path"]].encode("utf-8")
        replacement = mutant["replacement"].encode("utf-8")
        text: bytes = content[: mutant["start"]] + replacement + content[mutant["end"] :]
        return text.decode("utf-8")

    def _outcomes(self, sessions: Sequence[Held], mutant: Mapping[str, Any] | None) -> list[str]:
        """Outcomes of the sessions in this process, with a mutant in place; ends after one that overran."""
        _limit_memory()
        targets.prepare(self._layout, {mutant["path"]: self._text(mutant)} if mutant is not None else None)
        project = targets.load(self._layout)
        if mutant is not None and mutant["path"] in project.failures:
            return ["not importable"] * len(sessions)
        stage = project.stage()
        outcomes = []
        for held in sessions:
            seen = stage.run(held.session, traced=False)
            outcomes.append(seen.outcome())
            if seen.overrun:
                break
        return outcomes

    def _reaching(self, sessions: Sequence[Held], mutant: Mapping[str, Any]) -> list[Held]:
        """Sessions that run the mutant's lines; all when it is outside of functions."""
        place = (mutant["path"], mutant["line"])
        reaching = [h for h in sessions if place in h.lines()]
        if reaching or mutant["inside"]:
            if not reaching:
                lines = range(mutant["line"] - 3, mutant["line"] + 4)
                near = {(mutant["path"], line) for line in lines}
                reaching = [h for h in sessions if near & h.lines()]
            return reaching
        return list(sessions)

    def _kill(self, sessions: Sequence[Held], mutants: Sequence[dict[str, Any]], end: float) -> None:
        """Notes which sessions tell which mutants from the code."""
        ordered = sorted(sessions, key=lambda h: len(h.code))
        for mutant in mutants:
            if time.monotonic() > end:
                self._notes.append("time ran out before every mutant was looked at")
                break
            reaching = self._reaching(ordered, mutant)[:250]
            if not reaching:
                continue
            outcomes = in_child(lambda m=mutant, r=reaching: self._outcomes(r, m), _MUTANT_SECONDS)
            if outcomes is None:
                continue
            for held, outcome in zip(reaching, outcomes, strict=False):
                if outcome != held.outcome:
                    held.mutants.add(mutant["id"])
                    self._ended.add(mutant["id"])

    def _chase(self, round_number: int) -> None:
        """Tries changes of the sessions that reach a mutant which is left."""
        survivors = self._open_mutants()
        groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for mutant in survivors:
            groups.setdefault((mutant["path"], mutant["line"]), []).append(mutant)
        share = max(self.left() * 0.5 / max(len(groups), 1), 0.3)
        new: list[str] = []
        for index, mutants in enumerate(groups.values()):
            if self.left() < 0.1 * self._seconds:
                break
            reaching = self._reaching(list(self._held.values()), mutants[0])
            if not reaching:
                continue
            end = time.monotonic() + share
            candidates = in_child(
                lambda r=reaching, i=index: self._near([h.session for h in r], round_number * 1000 + i), 10.0
            )
            if not candidates:
                continue
            tried = [Held(s, s.code(), outcome) for s, outcome in _sessions(candidates)]
            for mutant in mutants:
                if time.monotonic() > end:
                    break
                outcomes = in_child(lambda m=mutant, t=tried: self._outcomes(t, m), _MUTANT_SECONDS)
                for held, outcome in zip(tried, outcomes or [], strict=False):
                    if outcome != held.outcome:
                        new.append(held.code)
                        self._held.setdefault(held.code, Held(held.session, held.code))
                        break
        added = list(dict.fromkeys(new))
        self._check_all(added)
        self._drop_dependent()
        fresh = [self._held[code] for code in added if code in self._held]
        self._kill(fresh, self._open_mutants(), max(self._end, time.monotonic() + 0.1 * self._seconds))

    def _near(self, sessions: list[Session], number: int) -> list[Any]:
        """Changes of sessions that can become tests, each with its outcome."""
        _limit_memory()
        targets.prepare(self._layout)
        project = targets.load(self._layout)
        stage = project.stage()
        search = Search(project, stage, self._seed * 7919 + number, lambda _s, _o, _n: None)
        kept = []
        end = time.monotonic() + 2.0
        for session in search.near(sessions, 260):
            if time.monotonic() > end:
                break
            seen = stage.run(session, traced=False)
            if seen.usable():
                kept.append([session.to_json(), seen.outcome()])
        return kept

    # --- choice

    def _choice(self) -> list[Held]:
        """Few and short sessions that run all that was run, and tell all mutants that are told.

        Each mutant is wanted from two sessions where there are two: a fault that looks a little different
        is then found more likely.
        """
        wanted: dict[str, dict[object, int]] = {}
        for held in self._held.values():
            gains: dict[object, int] = {("mutant", m): _TIMES for m in held.mutants}
            for path, before, line, count in held.arcs:
                if (path, line) not in self._covered:
                    gains[path, before, line, min(count, 2)] = 1
            for step in held.seen["steps"] if not self._covered else ():
                gains["outcome", held.session.steps[0].target, _shape(step)] = 1
            wanted[held.code] = gains
        taken: dict[object, int] = {}
        chosen: list[Held] = []
        rest = dict(self._held)
        while rest and len(chosen) < _MOST:
            worth = {
                code: sum(taken.get(gain, 0) < times for gain, times in wanted[code].items()) for code in rest
            }
            best = max(
                rest.values(), key=lambda h: (worth[h.code] / (30 + len(h.code)), -len(h.code), h.code)
            )
            if not worth[best.code]:
                break
            chosen.append(rest.pop(best.code))
            for gain in wanted[best.code]:
                taken[gain] = taken.get(gain, 0) + 1
        return chosen

    def _samples(self) -> dict[str, list[Any]]:
        """For each function some calls with their outcome, from which properties are guessed."""
        samples: dict[str, list[Any]] = {}
        for held in self._held.values():
            if len(held.session.steps) == 1:
                step = held.session.steps[0]
                kept = samples.setdefault(step.target, [])
                if len(kept) < 60:
                    kept.append([[list(a) for a in step.arguments], held.seen["steps"][0]])
        return samples


def _shape(step: Mapping[str, Any]) -> str:
    """What kind of outcome a step had, coarsely."""
    if "raised" in step:
        return f"raised {step['raised']}"
    expression = step["pairs"][0][1] if step["pairs"] else ""
    return (
        expression
        if expression in _PLAIN_RESULTS
        else expression[:1]
        if not expression[:1].isdigit()
        else "0"
    )


def _sessions(candidates: Sequence[Any]) -> list[tuple[Session, str]]:
    return [(Session.from_json(data), outcome) for data, outcome in candidates]


def _span(target: targets.Target) -> tuple[str, int, int]:
    node: Any = target.syntax
    if node is None:
        return target.path, 0, 0
    return target.path, node.lineno, node.end_lineno


def _limit_memory() -> None:
    with contextlib.suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = _MEMORY if hard == resource.RLIM_INFINITY else min(_MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)


def _watch(child: int, board: mmap.mmap, seconds: float) -> str | None:
    """Waits for the child. The session at which it stood still, when it did; it is killed then."""
    end = time.monotonic() + seconds
    count, since = b"", time.monotonic()
    while True:
        done, _ = os.waitpid(child, os.WNOHANG)
        if done:
            return None
        now = time.monotonic()
        if board[0:4] != count:
            count, since = board[0:4], now
        if now - since > _HANG_SECONDS or now > end:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return board[4:4096].rstrip(b"\0").decode("utf-8", "replace")
        time.sleep(0.02)


def check(name: str) -> None:
    """A program of its own: runs the sessions of .meld/check.json, some in one fork; writes what was seen."""
    data = json.loads(Path(HOME, "check.json").read_text("utf-8"))
    layout = targets.Layout.from_json(data["layout"])
    targets.prepare(layout)
    project = targets.load(layout)
    stage = project.stage()
    _limit_memory()

    def one(plain: Any) -> dict[str, Any] | None:
        seen = stage.run(Session.from_json(plain), traced=True)
        if not seen.usable():
            return None
        arcs = [[*arc, count] for arc, count in seen.arcs.items()]
        return {"outcome": seen.outcome(), "seen": {"steps": seen.steps, "state": seen.state}, "arcs": arcs}

    def several(sessions: list[Any]) -> list[Any]:
        answers: list[Any] | None = in_child(
            lambda: [one(plain) for plain in sessions], 3.0 + 0.05 * len(sessions)
        )
        if answers is not None:
            return answers
        if len(sessions) == 1:
            return [None]
        half = len(sessions) // 2
        return several(sessions[:half]) + several(sessions[half:])

    given = data["sessions"]
    with Path(HOME, f"checked-{name}.jsonl").open("w", encoding="utf-8") as file:
        for start in range(0, len(given), _CHECKED_AT_ONCE):
            answers = several(given[start : start + _CHECKED_AT_ONCE])
            for position, answer in enumerate(answers, start):
                file.write(json.dumps([position, answer]) + "\n")
            file.flush()


def main() -> None:
    """Runs the stages and writes the report."""
    data = json.loads(Path(HOME, "request.json").read_text("utf-8"))
    report = Program(data).work()
    Path(HOME, "result.json").write_text(json.dumps(report), "utf-8")
