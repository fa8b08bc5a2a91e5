"""Golden sets in files: what becomes of each format, and how a bad line is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from meldrag_cli.failures import UsageFailure
from meldrag_cli.golden import GoldenFile, read


def written(folder: Path, name: str, text: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def golden(file: Path, qrels: Path | None = None, by: str = "external_id") -> GoldenFile:
    return read(file, qrels, "test", by)


def refused(*args: Any, **more: Any) -> UsageFailure:
    with pytest.raises(UsageFailure) as caught:
        golden(*args, **more)
    return caught.value


def test_lines_keep_their_numbers_and_the_first_may_be_a_header(tmp_path: Path) -> None:
    file = written(tmp_path, "g.ndjson", '{"label": "l"}\n\n{"query": "a"}\r\n{"query": "b", "line": 40}\n')
    found = golden(file)
    assert found.header == {"label": "l"}
    assert found.queries == [{"query": "a", "line": 3}, {"query": "b", "line": 40}]
    body = [json.loads(line) for line in found.lines({"cutoffs": [5], "label": "mine"}).splitlines()]
    assert body == [{"label": "mine", "cutoffs": [5]}, *found.queries]


def test_without_a_header_there_is_none_in_the_body(tmp_path: Path) -> None:
    found = golden(written(tmp_path, "g.jsonl", '{"query": "ä"}'))
    assert found.lines({}) == '{"query": "ä", "line": 1}\n'.encode()


def test_json_as_the_gateway_takes_it(tmp_path: Path) -> None:
    file = written(
        tmp_path, "g.json", '{"label": "l", "queries": [{"query": "a"}, {"id": "x", "query": "b"}]}'
    )
    found = golden(file)
    assert found.header == {"label": "l"}
    assert found.queries == [{"query": "a", "id": "1"}, {"query": "b", "id": "x"}]


QUERIES = '{"_id": "q1", "text": "one"}\n{"_id": "q2", "text": "two"}\n{"_id": "q3", "text": "three"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq2\td2\t0\nq1\td 2\t2\n"
FIRST = {
    "id": "q1",
    "query": "one",
    "line": 1,
    "relevant": [{"external_id": "d1", "grade": 1, "line": 2}, {"external_id": "d 2", "grade": 2, "line": 4}],
}


def test_a_folder_as_in_beir(tmp_path: Path) -> None:
    """Unjudged queries are no part of the set; those without anything relevant are counted."""
    written(tmp_path, "queries.jsonl", QUERIES)
    written(tmp_path, "qrels/test.tsv", QRELS)
    found = golden(tmp_path)
    assert (found.queries, found.skipped) == ([FIRST], 1)


def test_qrels_as_in_trec_and_other_names(tmp_path: Path) -> None:
    queries = written(tmp_path, "q.jsonl", QUERIES)
    qrels = written(tmp_path, "r.txt", "q1 0 d1 1\nq1 0 d2 0\n")
    found = golden(queries, qrels, by="title")
    assert found.queries[0]["relevant"] == [
        {"title": "d1", "grade": 1, "line": 1},
        {"title": "d2", "grade": 0, "line": 2},
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q1\td1\t1\nq1\td1\n", "r.tsv, line 2: needs a query"),
        ("q1\td1\tyes\n", "r.tsv, line 1: 'yes' is no grade"),
        ("q1\td1\t-1\n", "r.tsv, line 1: the grade -1 is below 0"),
        ("q1\td1\t1\nq9\td1\t1\n", "r.tsv, line 2: there is no query 'q9'"),
    ],
)
def test_a_bad_line_of_qrels_is_named(tmp_path: Path, text: str, says: str) -> None:
    queries = written(tmp_path, "q.jsonl", QUERIES)
    assert says in refused(queries, written(tmp_path, "r.tsv", text)).detail


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("g.ndjson", '{"query": "a"}\nnothing\n', "line 2: is not JSON"),
        ("g.ndjson", '{"query": "a"}\n[]\n', "line 2: must be an object"),
        ("g.json", "[", "is not JSON"),
        ("g.json", '{"queries": 1}', "list of objects"),
        ("g.ndjson", "\ud800", "is not UTF-8"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, name: str, text: str, says: str) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    said = refused(file).detail
    assert says in said
    assert name in said


def test_what_is_not_there_or_not_known(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "none.json").detail
    assert "--by" in refused(tmp_path, by="name").detail
    queries = written(tmp_path, "q.jsonl", '{"_id": 1, "text": "a"}\n')
    qrels = written(tmp_path, "r.tsv", "1\td\t1\n")
    assert "line 1" in refused(queries, qrels).detail
