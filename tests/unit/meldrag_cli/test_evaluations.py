"""`meld eval` against a scripted gateway: what is sent, what is told, and when it fails."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from meldrag_cli import gates
from meldrag_cli.app import main
from tests.architecture.sources import ROOT
from tests.unit.meldrag_cli.scripted import Answer, events, problem, scripted

URL = "/api/v1/collections/notes/evaluations"
ID = "ab" * 16


def setting(name: str, mean: float) -> dict[str, Any]:
    value = {"mean": mean, "low": mean - 0.125, "high": mean + 0.125, "queries": 2}
    latency = {"p50": 0.0101, "p95": 0.02, "max": 0.25}
    return {
        "name": name,
        "mode": "HYBRID",
        "metrics": {"ndcg@10": value, "mrr": value},
        "latency_seconds": latency,
    }


def report(*means: float, golden: str = "g", **more: Any) -> dict[str, Any]:
    comparison = {
        "difference": -0.25,
        "low": -0.5,
        "high": 0.0,
        "wins": 0,
        "losses": 1,
        "ties": 1,
        "p_value": 0.5,
    }
    names = ("ndcg@10", "mrr")
    return {
        "id": ID,
        "collection": "notes",
        "label": "",
        "created": "2030-01-01T00:00:00.000Z",
        "golden_sha256": golden,
        "queries": 2,
        "judgements": 3,
        "pending_vectors": 0,
        "documents": 4,
        "elapsed_seconds": 1.5,
        "settings": [setting(f"setting {number}", mean) for number, mean in enumerate(means, 1)],
        "comparisons": [{"metric": name, **comparison} for name in names] if len(means) == 2 else [],
        **more,
    }


def answered(*means: float, **more: Any) -> Answer:
    return events(("progress", {"done": 1, "total": 2}), ("end", report(*means, **more)))


@pytest.fixture
def golden(tmp_path: Path) -> str:
    file = tmp_path / "g.ndjson"
    file.write_text('{"query": "who?", "relevant": [{"title": "X"}]}\n')
    return str(file)


def evaluate(answer: Answer, *arguments: str, **more: Answer) -> tuple[int, list[dict[str, Any]]]:
    """The exit code, and the lines that were sent."""
    script = {f"POST {URL}": answer, **{f"GET {URL}/{name}": given for name, given in more.items()}}
    with scripted(script) as house:
        code = main(["--url", house.url, "eval", *arguments, "-c", "notes"])
    bodies = [body for method, _, _, body in house.requests if method == "POST"]
    return code, [json.loads(line) for body in bodies for line in body.splitlines()]


def test_a_table_for_people(golden: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, sent = evaluate(answered(0.75), golden, "-s", "mode=lexical,top_k=5", "-k", "3", "-l", "try")
    told = capsys.readouterr()
    assert code == 0
    assert sent == [
        {"settings": [{"mode": "lexical", "top_k": 5}], "cutoffs": [3], "label": "try"},
        {"query": "who?", "relevant": [{"title": "X"}], "line": 1},
    ]
    lines = [line.split() for line in told.out.splitlines()]
    assert lines[0] == ["notes:", "2", "queries,", "3", "judgements,", "1.50", "s"]
    assert ["ndcg@10", "0.7500", "[0.6250,", "0.8750]"] in lines
    assert ["latency", "p50", "10.1", "ms"] in lines
    assert ID in told.err


def test_two_settings_are_compared(golden: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ("-s", "mode=hybrid", "-s", '{"mode": "dense", "filter": {"media_types": ["text/plain"]}}')
    code, sent = evaluate(answered(0.75, 0.5), golden, *settings)
    assert code == 0
    assert sent[0]["settings"][1]["filter"] == {"media_types": ["text/plain"]}
    told = capsys.readouterr().out
    assert "-0.2500 [-0.5000, +0.0000]" in told
    assert "0/1/1" in told


def test_json_is_one_document(golden: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = evaluate(answered(0.75), golden, "--json")
    assert code == 0
    assert json.loads(capsys.readouterr().out) == {**report(0.75), "regressions": []}


@pytest.mark.parametrize(
    ("floor", "code"), [("ndcg=0.75", 0), ("ndcg@10=0.76", 1), ("mrr=1", 1), ("recall=0.1", 2), ("x=1", 2)]
)
def test_what_must_be_reached(golden: str, floor: str, code: int) -> None:
    assert evaluate(answered(0.75), golden, "--fail-below", floor)[0] == code


def test_the_failure_says_what_fell_short(golden: str, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(answered(0.75), golden, "--fail-below", "ndcg=0.8", "--json")
    told = capsys.readouterr()
    assert json.loads(told.out)["regressions"] == ["ndcg@10 of setting 1 is 0.7500, below 0.8"]
    assert json.loads(told.err)["error"]["reason"] == "REGRESSION"


@pytest.mark.parametrize(
    ("mean", "drop", "code"),
    [(0.75, None, 0), (0.745, None, 0), (0.73, None, 1), (0.73, "0.02", 0), (0.9, "0", 0)],
)
def test_a_report_in_a_file_is_a_baseline(
    golden: str, tmp_path: Path, mean: float, drop: str | None, code: int
) -> None:
    before = tmp_path / "before.json"
    assert evaluate(answered(0.75), golden, "-o", str(before))[0] == 0
    limit = [] if drop is None else ["--max-drop", drop]
    assert evaluate(answered(mean), golden, "--baseline", str(before), *limit)[0] == code


def test_a_kept_evaluation_is_a_baseline(golden: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept = Answer(report(0.75, documents=3))
    code, _ = evaluate(answered(0.5), golden, "--baseline", ID, **{ID: kept})
    told = capsys.readouterr()
    assert code == 1
    assert "ndcg@10 fell by 0.2500, from 0.7500 to 0.5000" in told.err
    assert "documents: 3 then, 4 now" in told.err
    assert "0.7500 [0.6250, 0.8750]" in told.out


def test_other_golden_sets_are_no_baseline(golden: str, capsys: pytest.CaptureFixture[str]) -> None:
    kept = Answer(report(0.75, golden="other"))
    assert evaluate(answered(0.75), golden, "--baseline", ID, **{ID: kept})[0] == 2
    assert "GOLDEN_SET_DIFFERS" in capsys.readouterr().err


def test_the_second_setting_against_the_first(golden: str) -> None:
    two = ("-s", "mode=lexical", "-s", "mode=vector")
    assert evaluate(answered(0.75, 0.5), golden, *two, "--max-drop", "0.3")[0] == 0
    assert evaluate(answered(0.75, 0.5), golden, *two, "--max-drop", "0.2")[0] == 1


@pytest.mark.parametrize("settings", [(), ("-s", "mode=lexical"), ("-s", "top_k=1") * 3])
def test_a_drop_from_nothing_is_refused_before_anything_is_asked(
    golden: str, settings: tuple[str, ...]
) -> None:
    assert evaluate(answered(0.75), golden, *settings, "--max-drop", "0.2") == (2, [])


@pytest.mark.parametrize("bad", ["mode", "top_k=many", "explain=1", "{", "similarity_threshold=x"])
def test_a_setting_that_makes_no_sense_is_not_sent(golden: str, bad: str) -> None:
    assert evaluate(answered(0.75), golden, "-s", bad) == (2, [])


def test_a_bad_baseline_is_told_before_anything_is_asked(golden: str, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"settings": []}')
    for name in ("b.json", "none.json"):
        assert evaluate(answered(0.75), golden, "--baseline", str(tmp_path / name)) == (2, [])


def test_a_refused_set_is_told_with_the_file(golden: str, capsys: pytest.CaptureFixture[str]) -> None:
    refusal = problem(400, "GOLDEN_SET_INVALID", "line 1, query 1: no document", metadata={"line": "1"})
    code, _ = evaluate(refusal, golden)
    assert code == 1
    assert "no document (lines of g.ndjson)" in capsys.readouterr().err


def test_kept_ones_are_listed_shown_and_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = {
        "metrics": {"ndcg@10": 0.25},
        "first_rank": None,
        "hits": 0,
        "missed": [1],
        "elapsed_seconds": 0.1,
    }
    script = {
        f"GET {URL}": Answer({"evaluations": [report(0.75)], "next_page_token": None}),
        f"GET {URL}/{ID}": Answer(report(0.75)),
        f"GET {URL}/{ID}/queries": Answer(
            {"queries": [{"id": "q", "query": "who?", "outcomes": [outcome]}], "next_page_token": None}
        ),
        f"GET {URL}/{ID}/queries.csv": Answer(b"query_id\r\nq\r\n", content_type="text/csv; charset=utf-8"),
        f"DELETE {URL}/{ID}": Answer(b"", 204),
    }
    with scripted(script) as house:
        for arguments, says in (
            (["list"], "setting 1: ndcg@10 0.7500"),
            (["show", ID, "--queries"], "who?"),
            (["csv", ID], "query_id\nq\n"),
            (["csv", ID, "--json"], '{"lines": [{"query_id": "q"}]}'),
            (["delete", ID], f"{ID} is deleted"),
        ):
            assert main(["--url", house.url, "evaluations", *arguments, "-c", "notes"]) == 0
            assert says in capsys.readouterr().out


def test_make_eval_hands_everything_on() -> None:
    values = ("GOLDEN=g.json", "COLLECTION=c", "SETTINGS=mode=lexical top_k=3", "BASELINE=b", "MAX_DROP=0")
    told = subprocess.run(
        ["make", "-n", "-C", ROOT, "eval", *values, "FAIL_BELOW=ndcg=0.7 mrr=1", "OUTPUT=o"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (command,) = (line for line in told.splitlines() if "/meld eval" in line)
    assert command.split()[1:] == [
        *("eval", "g.json", "--collection", "c", "--setting", "mode=lexical", "--setting", "top_k=3"),
        *("--baseline", "b", "--max-drop", "0", "--fail-below", "ndcg=0.7", "--fail-below", "mrr=1"),
        *("--output", "o"),
    ]


@pytest.fixture
def quoted(tmp_path: Path) -> str:
    path = tmp_path / "quoted.ndjson"
    path.write_text(json.dumps({"query": "a", "relevant": [{"quote": "b"}]}) + "\n")
    return str(path)


def test_a_gate_on_citations_fails_when_no_query_found_anything_to_cite(
    quoted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = evaluate(answered(0.0), quoted, "--fail-below", "citation_precision=0.5", "--json")
    assert code == 1
    told = json.loads(capsys.readouterr().err)["error"]
    assert told["reason"] == "REGRESSION"
    assert "citation_precision of" in told["detail"]
    assert "no query found a passage to cite" in told["detail"]


def test_a_gate_on_citations_makes_no_sense_without_quotes(golden: str) -> None:
    assert evaluate(answered(0.0), golden, "--fail-below", "citation_precision=0.5")[0] == 2


def test_citations_that_a_baseline_had_and_that_are_gone_are_a_regression() -> None:
    before = {"metrics": {"citation_precision": {"mean": 0.9}, "mrr": {"mean": 0.0}}}
    after = {"metrics": {"mrr": {"mean": 0.0}}}
    told = list(gates.dropped(before, after, 0.5))
    assert told == ["citation_precision has no value: no query found a passage to cite, instead of 0.9000"]
