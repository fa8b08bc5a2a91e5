"""What bench/retrieval.py reads."""

from __future__ import annotations

from pathlib import Path

from bench.retrieval import judgements


def test_queries_without_a_relevant_document_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "t.tsv").write_text("query-id\tcorpus-id\tscore\n1\td1\t1\n1\td2\t0\n2\td1\t0\n")
    assert judgements(tmp_path, "t") == {"1": {"d1": 1, "d2": 0}}
