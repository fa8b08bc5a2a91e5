"""Writes tests for a project: search in the sandbox, writing, and the gate that every test has to pass.

The search follows what is known of feedback-directed random testing (Pacheco et al., Randoop, 2007) and of
whole-suite search with mutants as goals (Fraser and Arcuri, EvoSuite, 2011), on expressions instead of bytes.
Nothing is claimed that pytest did not show in the sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from services.agents.code import inside, mutation, programs
from services.agents.code.project import Project, is_test_name
from services.agents.code.testing import intent, layout, properties, writing
from services.agents.code.testing.model import Disagreement, Generated, Intended, Share, Survivor
from services.agents.ports import JsonObject, Sandboxed
from services.chassis.errors import FailedPreconditionError
from services.sandbox.model import Job, Limits

_EXAMPLES_KEPT = 60
_MAX_SURVIVORS = 100
_GATE_ROUNDS = 3
_MEMORY = 768 << 20
_HYPOTHESIS = "The tests of properties need the package hypothesis."
# Seeds of hashing for the runs of the gate; every second run goes backwards.
_HASH_SEEDS = (0, 77, 4242, 31)


@dataclass(frozen=True)
class Effort:
    """What a generation may use.

    seconds: of the search, on a machine that has nothing else to do; on a busy one up to three times of it.
    mutant_seconds, gate_seconds: for the mutants, and for each run of all tests. repetitions: runs that every
    test has to pass. examples: on which a property is tried. The same seed makes the same guesses.
    """

    seconds: float = 30.0
    mutants: int = 300
    mutant_seconds: float = 90.0
    gate_seconds: float = 60.0
    repetitions: int = 3
    examples: int = 300
    seed: int = 2024


@dataclass
class _Measured:
    """What a run of the gate showed."""

    runs: list[dict[str, str] | None]
    coverage: dict[str, Any]
    errors: list[str]

    def passes(self, key: str) -> bool:
        """Whether it was there and passed in every run."""
        return all(run is not None and run.get(key) == "passed" for run in self.runs)

    def unstable(self) -> set[str]:
        """Keys that did not pass in every run."""
        return {key for run in self.runs if run for key in run if not self.passes(key)}

    def ended(self) -> bool:
        """Whether every run came to its end."""
        return bool(self.runs) and all(run is not None for run in self.runs)

    def share(self) -> Share:
        """Of all measured files together."""
        lines = sum(entry["lines"] for entry in self.coverage.values())
        run = sum(entry["run"] for entry in self.coverage.values())
        branches = sum(entry["branches"] for entry in self.coverage.values())
        branches_run = sum(entry["branches_run"] for entry in self.coverage.values())
        return Share(run / lines if lines else 1.0, branches_run / branches if branches else 1.0)


@dataclass
class _Draft:
    """The files that are being written. notes: for the result. final: the texts that the gate saw."""

    files: list[writing.TestFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    dropped: int = 0
    final: dict[str, str] = field(default_factory=dict)

    def texts(self) -> dict[str, str]:
        return {file.path: file.text() for file in self.files if file.blocks}


class Generation:
    """One generation of tests. Raises FailedPreconditionError when the sandbox cannot be used."""

    def __init__(self, sandbox: Sandboxed, project: Project, effort: Effort) -> None:
        self._sandbox = sandbox
        self._project = project
        self._effort = effort
        self._layout = layout.layout(project.files, project.tests)
        self._sources = [p for p in self._layout.modules.values() if not is_test_name(p)]
        self._tests = {p: t for p, t in project.tests.items() if is_test_name(p)}

    async def generate(self, expected: Sequence[Intended] = ()) -> Generated:
        """The tests that are missing. expected: cases of somebody who knows what is intended."""
        reason = self._not_possible()
        if reason:
            return Generated(reason=reason)
        faults = self._faults()
        draft = _Draft()
        before, covered, killed = await self._existing(faults, draft)
        report = await self._search(faults, covered, killed)
        draft.notes += report.get("notes", [])
        for path, failure in report["failures"].items():
            draft.notes.append(f"{path or 'the code'} cannot be imported: {failure}")
        if report["failures"] and not report["sessions"]:
            return Generated(reason=draft.notes[-1], before=before, notes=tuple(draft.notes))
        disagreements = await self._write(report, expected, draft)
        measured = await self._gate(draft)
        if any("from hypothesis import" in text for text in draft.final.values()):
            draft.notes.append(_HYPOTHESIS)
        return Generated(
            files=draft.final,
            passed=sum(file.count() for file in draft.files),
            dropped=draft.dropped,
            before=before,
            after=measured.share() if measured.coverage else None,
            mutants=len(faults),
            left=len(faults),
            disagreements=tuple(disagreements),
            notes=tuple(dict.fromkeys(draft.notes)),
            repetitions=len(measured.runs),
            given=tuple(sorted(self._tests)),
        )

    async def score(self, generated: Generated) -> Generated:
        """The same with the mutants that the tests find, the given ones too."""
        faults = self._faults()
        tests = [*sorted(generated.files), *generated.given]
        if not tests or not faults:
            return generated
        score = await self._mutated(tests, generated.files, faults)
        survivors = [faults[number] for number in score["survived"]]
        return replace(
            generated,
            killed=len(score["killed"]),
            left=len(score["left"]),
            survivors=tuple(Survivor(m.path, m.line, m.description) for m in survivors[:_MAX_SURVIVORS]),
        )

    async def unstable(self, files: Mapping[str, str]) -> set[str]:
        """Cases of generated files that do not pass in every repetition."""
        seen = await self._run(sorted(files), files, _runs(self._effort.repetitions), measure=False)
        return seen.unstable() if seen.ended() else {"the run did not end"}

    def _not_possible(self) -> str:
        if not self._sources:
            others = ", ".join(self._project.other_languages())
            return (
                f"Tests are written for Python only; the files are {others}."
                if others
                else "There is no Python module among the files."
            )
        for path in self._sources:
            try:
                compile(self._project.files[path], path, "exec", dont_inherit=True)
            except (SyntaxError, ValueError) as error:
                return f"{path} is not Python: {error}"
        return ""

    def _faults(self) -> list[mutation.Mutant]:
        everything = [m for path in self._sources for m in mutation.mutants(path, self._project.files[path])]
        return mutation.chosen(everything, self._effort.mutants, self._effort.seed)

    # --- what there is

    async def _existing(
        self, faults: Sequence[mutation.Mutant], draft: _Draft
    ) -> tuple[Share | None, dict[str, list[int]], set[int]]:
        """What the given tests cover already: share, lines, numbers of the mutants that they find."""
        if not self._tests:
            return None, {}, set()
        seen = await self._run(sorted(self._tests), {}, ((0, 1),), measure=True)
        covered = {path: entry["executed"] for path, entry in seen.coverage.items()}
        failing = sorted(seen.unstable())
        if failing or not seen.ended():
            draft.notes.append(
                f"Of the given tests {len(failing)} fail"
                + (f" ({failing[0]})" if failing else "")
                + "; they do not count for the mutation score."
            )
            self._tests = {}
            return seen.share(), covered, set()
        mutated = await self._mutated(sorted(self._tests), {}, faults)
        return seen.share(), covered, set(mutated["killed"])

    # --- the search

    async def _search(
        self, faults: Sequence[mutation.Mutant], covered: Mapping[str, list[int]], killed: set[int]
    ) -> dict[str, Any]:
        told = {
            "layout": self._layout.to_json(),
            "mutants": self._numbered(faults),
            "covered": covered,
            "killed": sorted(killed),
            "seconds": self._effort.seconds,
            "seed": self._effort.seed,
        }
        return await self._answer("generate_program", {}, told, self._effort.seconds * 3 + 30)

    async def _answer(
        self, program: str, added: Mapping[str, str], told: Mapping[str, Any], seconds: float
    ) -> JsonObject:
        """What a program wrote that ran beside the project and what is added to it.

        Raises FailedPreconditionError (TOOL_FAILED) when it left nothing.
        """
        limits = Limits(seconds=seconds, cpu_seconds=seconds, memory_bytes=_MEMORY)
        files = {**self._project.everything(), **added}
        outcome = await self._sandbox.run(programs.job(inside, program, files, told, limits))
        found = programs.result(outcome)
        if found is None:
            raise FailedPreconditionError(
                f"the run in the sandbox broke off: {programs.why_no_result(outcome)}", reason="TOOL_FAILED"
            )
        return found

    def _numbered(self, faults: Sequence[mutation.Mutant]) -> list[dict[str, Any]]:
        inside = {path: mutation.lines_of_functions(self._project.files[path]) for path in self._sources}
        return [
            {**fault.to_json(), "id": number, "inside": fault.line in inside[fault.path]}
            for number, fault in enumerate(faults)
        ]

    # --- the writing

    async def _write(
        self, report: Mapping[str, Any], expected: Sequence[Intended], draft: _Draft
    ) -> list[Disagreement]:
        origins = {alias: (module, word) for alias, (module, word) in report["origins"].items()}
        sessions: dict[str, list[Any]] = {}
        for session in report["sessions"]:
            alias = session["steps"][0][0].split(".")[0]
            sessions.setdefault(origins[alias][0], []).append(session)
        order = {key: index for index, key in enumerate(report["parameters"])}
        files: dict[str, writing.TestFile] = {}
        writers: dict[str, writing.Writer] = {}
        for module in self._layout.modules:
            path = layout.place(
                module, self._project.tests, [*self._project.files, *(f.path for f in files.values())]
            )
            files[module] = writing.TestFile(path, module, origins)
            writers[module] = writing.Writer(report["parameters"], origins)
            given = sorted(sessions.get(module, []), key=lambda s: order.get(s["steps"][0][0], 0))
            files[module].blocks += writers[module].blocks(given)
        draft.files = list(files.values())
        if not self._tests:
            await self._add_properties(report, files, writers)
        return await self._add_expected(report, expected, files, writers)

    async def _add_properties(
        self,
        report: Mapping[str, Any],
        files: Mapping[str, writing.TestFile],
        writers: Mapping[str, writing.Writer],
    ) -> None:
        """Properties that hold on many random examples, the telling ones of each function."""
        found = properties.candidates(report["functions"], report["samples"])
        trial: dict[str, writing.TestFile] = {}
        names: dict[str, tuple[str, properties.Property]] = {}
        for number, candidate in enumerate(found):
            module = files[_module_of(report, candidate.function)].module
            file = trial.setdefault(
                module, writing.TestFile(f"test_properties_{len(trial)}_.py", module, files[module].origins)
            )
            name = f"test_candidate_{number}"
            file.blocks.append(candidate.block(name, self._effort.examples, fixed=False))
            names[f"{file.path}::{name}"] = (module, candidate)
        if not names:
            return
        texts = {file.path: file.text() for file in trial.values()}
        seen = await self._run(sorted(texts), texts, ((0, 1),), measure=False)
        if not seen.ended():
            return
        kept: dict[str, int] = {}
        for key, (module, candidate) in names.items():
            count = kept.get(candidate.function, 0)
            weak = candidate.rank >= 6 and count
            if not seen.passes(key) or count >= properties.MOST_OF_A_FUNCTION or weak:
                continue
            kept[candidate.function] = count + 1
            name = writers[module].unique(candidate.test_name())
            files[module].blocks.append(candidate.block(name, _EXAMPLES_KEPT, fixed=True))

    async def _add_expected(
        self,
        report: Mapping[str, Any],
        expected: Sequence[Intended],
        files: Mapping[str, writing.TestFile],
        writers: Mapping[str, writing.Writer],
    ) -> list[Disagreement]:
        """Adds the expected cases that the code meets; gives back the others."""
        blocks: dict[str, tuple[writing.TestFile, writing.Block, Intended]] = {}
        trial: dict[str, writing.TestFile] = {}
        for case in expected:
            if case.function.split(".")[0] not in report["origins"]:
                continue
            file = files[_module_of(report, case.function)]
            block = intent.block(case, writers[file.module].unique)
            if block is None:
                continue
            tried = trial.setdefault(
                file.module, writing.TestFile(f"test_expected_{len(trial)}_.py", file.module, file.origins)
            )
            tried.blocks.append(block)
            blocks[f"{tried.path}::{block.name}"] = (file, block, case)
        if not blocks:
            return []
        texts = {file.path: file.text() for file in trial.values()}
        seen = await self._run(sorted(texts), texts, ((0, 1), (1, 1)), measure=False)
        disagreements = []
        for key, (file, block, case) in blocks.items():
            if seen.ended() and seen.passes(key):
                file.blocks.append(block)
            else:
                told = next((e for e in seen.errors if e.startswith(f"{key}:")), "it did not end in time")
                disagreements.append(Disagreement(case, intent.observed(told)))
        return disagreements

    # --- the gate

    async def _gate(self, draft: _Draft) -> _Measured:
        """Runs all files again and again; what does not pass each time is left out."""
        runs = _runs(max(self._effort.repetitions, 2))
        measured = _Measured([], {}, [])
        for _ in range(_GATE_ROUNDS):
            texts = draft.final = await self._formatted(draft.texts())
            measured = await self._run([*sorted(texts), *sorted(self._tests)], texts, runs, measure=True)
            unstable = measured.unstable()
            own = {key for file in draft.files for key in file.keys()}  # noqa: SIM118 - a method, no mapping
            lost = {key for key in own if not any(run and key in run for run in measured.runs)}
            if measured.ended() and not (unstable | lost) & own:
                return measured
            if not measured.ended():
                draft.notes.append(f"the tests did not run to their end: {'; '.join(measured.errors[:2])}")
                break
            draft.dropped += sum(file.drop(unstable | lost) for file in draft.files)
            draft.files = [file for file in draft.files if file.blocks]
        draft.dropped += sum(file.count() for file in draft.files)
        draft.files, draft.final = [], {}
        return measured

    async def _formatted(self, texts: Mapping[str, str]) -> dict[str, str]:
        """The files as `ruff format` lays them out; as they are where that does not work."""
        if not texts:
            return {}
        outcome = await self._sandbox.run(
            Job(
                argv=("ruff", "format", "--isolated", "--no-cache", "--line-length", "100", *sorted(texts)),
                files={path: text.encode("utf-8") for path, text in texts.items()},
                collect=tuple(sorted(texts)),
            )
        )
        if outcome.exit_code != 0 or len(outcome.files) != len(texts):
            return dict(texts)
        return {path: content.decode("utf-8") for path, content in sorted(outcome.files.items())}

    async def _run(
        self,
        tests: Sequence[str],
        added: Mapping[str, str],
        runs: Sequence[tuple[int, int]],
        *,
        measure: bool,
    ) -> _Measured:
        told = {
            "roots": list(self._layout.roots),
            "tests": list(tests),
            "sources": self._sources,
            "runs": [list(pair) for pair in runs],
            "coverage": measure,
            "seconds": self._effort.gate_seconds,
        }
        if not tests:
            return _Measured([{} for _, count in runs for _ in range(count)], {}, [])
        seconds = self._effort.gate_seconds * sum(count for _, count in runs) + 20
        found = await self._answer("generate_gate", added, told, seconds)
        return _Measured(found["runs"], found["coverage"], found["errors"])

    # --- the mutants

    async def _mutated(
        self, tests: Sequence[str], added: Mapping[str, str], faults: Sequence[mutation.Mutant]
    ) -> dict[str, Any]:
        told = {
            "layout": self._layout.to_json(),
            "tests": list(tests),
            "mutants": self._numbered(faults),
            "seconds": self._effort.mutant_seconds,
        }
        found = await self._answer("mutate_program", added, told, self._effort.mutant_seconds + 60)
        if found["clean"] != 0:
            found["left"] = [number for number, _ in enumerate(faults)]
        return found


def _runs(count: int) -> list[tuple[int, int]]:
    """So many runs, shared out to interpreters of different hash seeds: two, and up to four for many runs."""
    seeds = _HASH_SEEDS[: 2 if count < 8 else 4]
    shares = [(seed, count // len(seeds) + (i < count % len(seeds))) for i, seed in enumerate(seeds)]
    return [(seed, share) for seed, share in shares if share]


def _module_of(report: Mapping[str, Any], function: str) -> str:
    module: str = report["origins"][function.split(".", maxsplit=1)[0]][0]
    return module
