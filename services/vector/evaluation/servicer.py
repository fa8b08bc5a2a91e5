"""The methods of the contract that are about evaluations; a part of VectorServicer."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from meldrag.vector.v1 import vector_pb2 as pb
from services.chassis.deadline import within
from services.vector import asking, identifiers, messages
from services.vector.access import Caller
from services.vector.documents import Request
from services.vector.evaluation import kept
from services.vector.evaluation.evaluating import Measured, Plan, Progress, Setting
from services.vector.evaluation.golden import Gathered, GoldenQuery, GoldenSet, Judgement
from services.vector.faults import invalid_field, invalid_page_token
from services.vector.search.searching import Mode, require_model

if TYPE_CHECKING:
    from services.vector.application import Application

_MOST_SETTINGS = 2
_MOST_NAME = 64
_MOST_LABEL = 200
_MOST_CUTOFFS = 5
_MOST_RANK = 1_000
_CUTOFF = 10
# An evaluation's place is taken while its set arrives, so that must not take long.
_ARRIVAL_SECONDS = 60.0


class EvaluationMethods:
    """Over an Application."""

    _application: Application

    async def RunEvaluation(
        self, request_iterator: AsyncIterator[pb.RunEvaluationRequest], context: Any
    ) -> AsyncIterator[pb.RunEvaluationResponse]:
        """See the contract."""
        del context
        application, caller = self._application, asking.caller()
        requests = aiter(request_iterator)
        first = await anext(requests, pb.RunEvaluationRequest())
        header = _header(first)
        collection = await application.record.collections.get(caller, header.collection_id)
        settings = _settings(header, application.default_hits, application.default_threshold)
        cutoffs = _cutoffs(header)
        if any(setting.mode is not Mode.LEXICAL for setting in settings):
            require_model(collection, application.roster)
        with application.evaluating.place(collection):
            golden = await within(_ARRIVAL_SECONDS, _gathered(requests))
            request = _repeatable(header, golden)
            known = await application.record.evaluations.made(caller, request)
            if known is not None:
                yield pb.RunEvaluationResponse(
                    done=len(golden.queries),
                    total=len(golden.queries),
                    evaluation=await self._evaluation(header.collection_id, known),
                    existing=True,
                )
                return
            await application.record.evaluations.require_room(collection.key)
            steps = application.evaluating.run(caller, collection, Plan(golden, settings, cutoffs))
            async with aclosing(steps):
                async for step in steps:
                    if isinstance(step, Progress):
                        yield pb.RunEvaluationResponse(done=step.done, total=step.total)
                    else:
                        yield await self._keep(caller, header, step, request)

    async def GetEvaluation(self, request: pb.GetEvaluationRequest, context: Any) -> pb.GetEvaluationResponse:
        """See the contract."""
        del context
        return pb.GetEvaluationResponse(
            evaluation=await self._evaluation(request.collection_id, request.evaluation_id)
        )

    async def ListEvaluations(
        self, request: pb.ListEvaluationsRequest, context: Any
    ) -> pb.ListEvaluationsResponse:
        """See the contract."""
        del context
        scope = ("evaluations", asking.caller().space, request.collection_id)
        page = await self._application.record.evaluations.page(
            asking.caller(),
            request.collection_id,
            self._position(request.page_token, scope, 2**62),
            asking.page_size(request.page_size),
        )
        return pb.ListEvaluationsResponse(
            evaluations=[kept.read(pb.Evaluation, data) for _, data in page.kept],
            next_page_token=self._following(page.kept, page.more, scope),
        )

    async def ListEvaluationQueries(
        self, request: pb.ListEvaluationQueriesRequest, context: Any
    ) -> pb.ListEvaluationQueriesResponse:
        """See the contract."""
        del context
        scope = ("evaluated queries", asking.caller().space, request.collection_id, request.evaluation_id)
        page = await self._application.record.evaluations.queries(
            asking.caller(),
            request.collection_id,
            request.evaluation_id,
            self._position(request.page_token, scope, -1),
            asking.page_size(request.page_size),
        )
        return pb.ListEvaluationQueriesResponse(
            queries=[kept.read(pb.EvaluatedQuery, data) for _, data in page.kept],
            next_page_token=self._following(page.kept, page.more, scope),
        )

    async def DeleteEvaluation(
        self, request: pb.DeleteEvaluationRequest, context: Any
    ) -> pb.DeleteEvaluationResponse:
        """See the contract."""
        del context
        identifiers.line("request_id", request.request_id, 128)
        asked = f"{request.collection_id}/{request.evaluation_id}"
        await self._application.record.evaluations.delete(
            asking.caller(),
            request.collection_id,
            request.evaluation_id,
            Request(request.request_id, asked) if request.request_id else None,
        )
        return pb.DeleteEvaluationResponse()

    async def _evaluation(self, collection_id: str, evaluation_id: str) -> pb.Evaluation:
        data = await self._application.record.evaluations.get(asking.caller(), collection_id, evaluation_id)
        return kept.read(pb.Evaluation, data)

    async def _keep(
        self, caller: Caller, header: pb.EvaluationHeader, measured: Measured, request: Request | None
    ) -> pb.RunEvaluationResponse:
        record = self._application.record
        _, generation = await record.index_queue.identity()
        asked = header.settings or [pb.EvaluationSetting()]
        report = kept.report(
            measured,
            label=header.label,
            subject=caller.subject,
            index_generation=generation,
            filters=[one.filter if one.HasField("filter") else None for one in asked],
        )
        await record.evaluations.add(
            caller,
            measured.collection,
            evaluation_id=measured.evaluation_id,
            report=report.SerializeToString(),
            outcomes=[query.SerializeToString() for query in kept.queries(measured)],
            request=request,
        )
        total = len(measured.golden.queries)
        return pb.RunEvaluationResponse(done=total, total=total, evaluation=report)

    def _position(self, token: str, scope: tuple[object, ...], first: int) -> int:
        position = self._application.page_tokens.read(token, *scope) if token else first
        if not isinstance(position, int):
            raise invalid_page_token()
        return position

    def _following(self, page: Sequence[tuple[int, bytes]], more: bool, scope: tuple[object, ...]) -> str:
        return self._application.page_tokens.make(page[-1][0], *scope) if more else ""


def _header(message: pb.RunEvaluationRequest) -> pb.EvaluationHeader:
    if message.WhichOneof("part") != "header":
        raise invalid_field("header", message.WhichOneof("part") or "", "must come first")
    header = message.header
    identifiers.line("header.label", header.label, _MOST_LABEL)
    identifiers.line("header.request_id", header.request_id, 128)
    identifiers.whole("header.settings", len(header.settings), 0, _MOST_SETTINGS)
    return header


def _cutoffs(header: pb.EvaluationHeader) -> tuple[int, ...]:
    identifiers.whole("header.cutoffs", len(header.cutoffs), 0, _MOST_CUTOFFS)
    for one in header.cutoffs:
        identifiers.whole("header.cutoffs", one, 1, _MOST_RANK)
    return tuple(sorted(set(header.cutoffs))) or (_CUTOFF,)


def _settings(header: pb.EvaluationHeader, hits: int, threshold: float) -> tuple[Setting, ...]:
    asked = header.settings or [pb.EvaluationSetting()]
    made = [_setting(one, hits, threshold) for one in asked]
    if len({one.name for one in made}) < len(made):
        given = [one.name for one in asked if one.name]
        if len(given) == len(made):
            raise invalid_field("settings.name", given[0], "must be unlike that of the other setting")
        first, second = made
        return first, replace(second, name=f"{second.name} (2)")
    return tuple(made)


def _setting(given: pb.EvaluationSetting, hits: int, threshold: float) -> Setting:
    identifiers.line("settings.name", given.name, _MOST_NAME)
    mode = asking.mode(given, "settings.")
    threshold = asking.threshold(given, threshold, "settings.")
    top_k = asking.top_k(given, hits, "settings.")
    said = [f"top_k {top_k}"] if given.top_k else []
    said += [f"threshold {threshold:g}"] if given.HasField("similarity_threshold") else []
    said += ["filtered"] if given.HasField("filter") else []
    name = given.name or ", ".join([mode.name.lower(), *said])
    return Setting(name, mode, top_k, threshold, messages.condition(given.filter))


def _repeatable(header: pb.EvaluationHeader, golden: GoldenSet) -> Request | None:
    if not header.request_id:
        return None
    bare = pb.EvaluationHeader()
    bare.CopyFrom(header)
    bare.ClearField("request_id")
    asked = bare.SerializeToString(deterministic=True) + golden.sha256.encode()
    return Request(header.request_id, hashlib.sha256(asked).hexdigest())


async def _gathered(requests: AsyncIterator[pb.RunEvaluationRequest]) -> GoldenSet:
    gathered = Gathered()
    async for message in requests:
        if message.WhichOneof("part") != "query":
            raise invalid_field("part", message.WhichOneof("part") or "", "must be a query after the header")
        gathered.add(_query(message.query))
    return gathered.checked()


def _query(given: pb.GoldenQuery) -> GoldenQuery:
    return GoldenQuery(given.query_id, given.query, tuple(map(_judgement, given.judgements)), given.line)


def _judgement(given: pb.Judgement) -> Judgement:
    by = given.WhichOneof("document") or ""
    return Judgement(
        by=by,
        name=getattr(given, by) if by else "",
        quote=given.quote,
        grade=given.grade if given.HasField("grade") else 1,
        line=given.line,
    )
