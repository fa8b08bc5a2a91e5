"""The form in which evaluations are kept and told: messages of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.errors import DataLossError
from services.vector import messages
from services.vector.evaluation.evaluating import Answered, Comparison, Measured, Summary

M = TypeVar("M", bound=Message)


def report(
    measured: Measured,
    *,
    label: str,
    subject: str,
    index_generation: int,
    filters: Sequence[pb.Filter | None],
) -> pb.Evaluation:
    """What was measured in sum. filters: of each setting as it was asked."""
    collection = measured.collection
    return pb.Evaluation(
        evaluation_id=measured.evaluation_id,
        collection_id=collection.collection_id,
        label=label,
        subject=subject,
        golden_sha256=measured.golden.sha256,
        queries=len(measured.golden.queries),
        judgements=measured.golden.judgements,
        embedding_model=collection.model.name,
        dimension=collection.dimension,
        index_generation=index_generation,
        documents=collection.documents,
        chunks=collection.chunks,
        pending_vectors=measured.pending,
        cutoffs=measured.cutoffs,
        settings=[
            _setting(summary, asked) for summary, asked in zip(measured.summaries, filters, strict=True)
        ],
        comparisons=map(_comparison, measured.comparisons),
        create_time=messages.timestamp(measured.end),
        elapsed=_duration(measured.seconds),
    )


def queries(measured: Measured) -> Iterator[pb.EvaluatedQuery]:
    """What was measured query by query. Texts of documents are not part of it, so it needs no care when they
    are deleted.
    """
    for query, answers in zip(measured.golden.queries, measured.answers, strict=True):
        yield pb.EvaluatedQuery(query_id=query.query_id, query=query.text, outcomes=map(_outcome, answers))


def read(kind: type[M], data: bytes) -> M:
    """A message out of the record. Raises DataLossError (RECORD_DAMAGED)."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise DataLossError(f"an evaluation cannot be read: {error}", reason="RECORD_DAMAGED") from error


def _setting(summary: Summary, asked: pb.Filter | None) -> pb.SettingReport:
    setting = summary.setting
    return pb.SettingReport(
        setting=pb.EvaluationSetting(
            name=setting.name,
            mode=pb.SearchMode.Name(setting.mode),
            top_k=setting.top_k,
            similarity_threshold=setting.threshold,
            filter=asked,
        ),
        metrics=[
            pb.MetricSummary(
                metric=one.name,
                mean=one.interval.mean,
                low=one.interval.low,
                high=one.interval.high,
                queries=one.queries,
            )
            for one in summary.metrics
        ],
        latency_p50=_duration(summary.p50),
        latency_p95=_duration(summary.p95),
        latency_max=_duration(summary.longest),
    )


def _comparison(value: Comparison) -> pb.MetricComparison:
    return pb.MetricComparison(
        metric=value.metric,
        difference=value.difference.mean,
        low=value.difference.low,
        high=value.difference.high,
        wins=value.wins,
        losses=value.losses,
        ties=value.ties,
        p_value=value.p_value,
    )


def _outcome(value: Answered) -> pb.QueryOutcome:
    return pb.QueryOutcome(
        metrics=value.judged.metrics,
        elapsed=_duration(value.seconds),
        hits=value.hits,
        first_rank=value.judged.first_rank,
        missed=[position + 1 for position in value.judged.missed],
    )


def _duration(seconds: float) -> Duration:
    made = Duration()
    made.FromNanoseconds(int(seconds * 1e9))
    return made
