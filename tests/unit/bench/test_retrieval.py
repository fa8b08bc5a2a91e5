"""The measures of bench/retrieval.py, against values worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from bench.retrieval import judgements, ndcg, recall


def test_ndcg_counts_grade_and_place() -> None:
    graded = {"a": 2, "b": 1}
    assert ndcg(["a", "b"], graded) == 1.0
    ideal = 2 + 1 / math.log2(3)
    assert ndcg(["x", "a"], graded) == pytest.approx(2 / math.log2(3) / ideal)
    assert ndcg(["x"] * 10 + ["a"], graded) == 0.0


def test_the_ideal_counts_documents_that_were_not_found() -> None:
    graded = dict.fromkeys("abc", 1)
    assert ndcg(["a"], graded) == pytest.approx(1 / (1 + 1 / math.log2(3) + 0.5))


def test_recall() -> None:
    graded = {"a": 1, "b": 1, "c": 0}
    assert recall(["c", "a", "x", "b"], graded, 2) == 0.5
    assert recall(["c", "a", "x", "b"], graded, 4) == 1.0


def test_queries_without_a_relevant_document_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "t.tsv").write_text("query-id\tcorpus-id\tscore\n1\td1\t1\n1\td2\t0\n2\td1\t0\n")
    assert judgements(tmp_path, "t") == {"1": {"d1": 1, "d2": 0}}
