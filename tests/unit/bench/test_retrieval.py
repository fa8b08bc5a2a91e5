"""What bench/retrieval.py reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.retrieval import Row, judgements, regret, split_of


def test_queries_without_a_relevant_document_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "t.tsv").write_text("query-id\tcorpus-id\tscore\n1\td1\t1\n1\td2\t0\n2\td1\t0\n")
    assert judgements(tmp_path, "t") == {"1": {"d1": 1, "d2": 0}}


def test_a_split_that_is_not_there_is_the_first_by_name(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    with pytest.raises(SystemExit, match="no judgements"):
        split_of(tmp_path, "test")
    for name in ("labelled.tsv", "dev.tsv.gz"):
        (tmp_path / "qrels" / name).touch()
    assert split_of(tmp_path, "labelled") == "labelled"
    assert split_of(tmp_path, "test") == "dev"


def _row(*values: float) -> Row:
    return Row(ndcg=values, recall_10=0, recall_100=0, p50_ms=0, p99_ms=0)


def test_regret_is_against_the_better_side() -> None:
    rows = {"lexical": _row(1.0, 0.0, 0.5), "dense": _row(0.2, 0.2, 0.2), "hybrid": _row(0.9, 0.0, 0.3)}
    better, lost = regret(rows)
    assert better == "lexical"
    assert lost.mean == pytest.approx(0.1)
    assert lost.low <= lost.mean <= lost.high
    better, lost = regret(rows | {"dense": _row(0.6, 0.6, 0.6)})
    assert (better, lost.mean) == ("dense", pytest.approx(0.2))
    _, lost = regret(rows | {"hybrid": _row(1.0, 0.3, 0.5)})
    assert lost.mean == pytest.approx(-0.1)
