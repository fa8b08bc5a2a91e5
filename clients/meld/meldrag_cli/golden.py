"""Golden sets in files: JSON, a line of JSON for each query, or queries with qrels as in BEIR and TREC.

All of them become the lines that the gateway takes, each with its place in the file that it came from.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meldrag_cli.failures import UsageFailure

NAMES = ("external_id", "document_id", "title")
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class GoldenFile:
    """header: what the file itself says of settings, cutoffs and label. queries: as the gateway takes them.

    source: what lines in errors are lines of. skipped: queries for which nothing is relevant.
    """

    header: Mapping[str, Any]
    queries: list[dict[str, Any]]
    source: str
    skipped: int = 0

    @property
    def quoted(self) -> bool:
        """Whether some judgement is about a quote."""
        judged = (one.get("relevant") for one in self.queries)
        return any(
            isinstance(each, dict) and "quote" in each
            for relevant in judged
            if isinstance(relevant, list)
            for each in relevant
        )

    def lines(self, more: Mapping[str, Any]) -> bytes:
        """The body of a request. more: wins over what the file says."""
        given = {**self.header, **more}
        return "".join(
            f"{json.dumps(line, ensure_ascii=False)}\n"
            for line in (*([given] if given else []), *self.queries)
        ).encode()


def read(path: Path, qrels: Path | None, split: str, by: str) -> GoldenFile:
    """A golden set. path: a file, or a folder with queries.jsonl and qrels/SPLIT.tsv.

    by: the name by which qrels know documents. Raises UsageFailure, with the line where there is one.
    """
    if by not in NAMES:
        raise UsageFailure("USAGE", f"--by must be one of {', '.join(NAMES)}")
    if path.is_dir():
        return _judged(path / "queries.jsonl", qrels or path / "qrels" / f"{split}.tsv", by)
    if qrels is not None:
        return _judged(path, qrels, by)
    if path.suffix == ".json":
        return _whole(path)
    header: Mapping[str, Any] = {}
    queries: list[dict[str, Any]] = []
    for number, given in _objects(path):
        if not queries and not header and "query" not in given:
            header = given
        else:
            queries.append({**given, "line": given.get("line") or number})
    return GoldenFile(header, queries, path.name)


def _whole(path: Path) -> GoldenFile:
    try:
        given = json.loads(_text(path))
    except ValueError as error:
        raise _broken(path, 0, f"is not JSON: {error}") from None
    queries = given.get("queries") if isinstance(given, dict) else None
    if not isinstance(queries, list) or not all(isinstance(one, dict) for one in queries):
        raise _broken(path, 0, 'must be an object with a list of objects as "queries"')
    header = {name: value for name, value in given.items() if name != "queries"}
    # There is no line that an error could name better than a query's id.
    numbered = [{**one, "id": one.get("id") or str(number)} for number, one in enumerate(queries, 1)]
    return GoldenFile(header, numbered, path.name)


def _judged(queries: Path, qrels: Path, by: str) -> GoldenFile:
    relevant: dict[str, list[dict[str, Any]]] = {}
    first_lines: dict[str, int] = {}
    for number, query, document, grade in _qrels(qrels):
        first_lines.setdefault(query, number)
        relevant.setdefault(query, []).append({by: document, "grade": grade, "line": number})
    found: list[dict[str, Any]] = []
    known: set[str] = set()
    for number, given in _objects(queries):
        query_id, text = given.get("_id", given.get("id")), given.get("text", given.get("query"))
        if not isinstance(query_id, str) or not isinstance(text, str):
            raise _broken(queries, number, 'needs "_id" and "text"')
        known.add(query_id)
        if query_id in relevant:
            found.append({"id": query_id, "query": text, "relevant": relevant[query_id], "line": number})
    for query, number in first_lines.items():
        if query not in known:
            raise _broken(qrels, number, f"there is no query {query!r} in {queries.name}")
    judged = [one for one in found if any(each["grade"] > 0 for each in relevant[one["id"]])]
    source = f"{qrels.name} where it is about a document, else of {queries.name}"
    return GoldenFile({}, judged, source, skipped=len(found) - len(judged))


def _qrels(path: Path) -> Iterator[tuple[int, str, str, int]]:
    """Line number, query, document and grade: three columns as in BEIR, or four as in TREC."""
    for number, line in _lines(path):
        columns = line.split("\t") if "\t" in line else line.split()
        if number == 1 and columns[-1].strip().lower() in ("score", "relevance", "grade"):
            continue
        if len(columns) not in (3, 4):
            raise _broken(path, number, "needs a query, a document and a grade, with tabs between")
        try:
            grade = int(columns[-1])
        except ValueError:
            raise _broken(path, number, f"{columns[-1].strip()!r} is no grade") from None
        if grade < 0:
            raise _broken(path, number, f"the grade {grade} is below 0")
        yield number, columns[0].strip(), columns[-2].strip(), grade


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in _lines(path):
        try:
            given = json.loads(line)
        except ValueError as error:
            raise _broken(path, number, f"is not JSON: {error}") from None
        if not isinstance(given, dict):
            raise _broken(path, number, "must be an object")
        yield number, given


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, each behind its number, which begins at 1."""
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield number, line.removesuffix("\r")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise _broken(path, 0, f"has more than {_MOST_BYTES} bytes")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageFailure("USAGE", f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise _broken(path, 0, f"byte {error.start} is not UTF-8") from None


def _broken(path: Path, line: int, what: str) -> UsageFailure:
    where = f"{path}, line {line}" if line else str(path)
    return UsageFailure("GOLDEN_SET_INVALID", f"{where}: {what}", line=line or None)
