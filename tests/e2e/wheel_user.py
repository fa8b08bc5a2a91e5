"""A program of somebody who has installed the wheel and nothing else of the house. Prints what it saw."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from meldrag.session.v1 import session_pb2
from meldrag_client import AsyncMeld, Meld, MeldError

QUESTION = "How deep is the harbour of Elmsund?"


def refused(error: object) -> list[str]:
    assert isinstance(error, MeldError), error
    return [error.code.name, error.reason]


def threads(addresses: dict[str, str], folder: Path) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    with Meld(**addresses) as meld:
        assert meld.create_collection("wheel").collection_id == "wheel"
        assert meld.create_collection("wheel", exist_ok=True).collection_id == "wheel"
        try:
            meld.create_collection("wheel")
        except MeldError as error:
            seen["twice"] = refused(error)
        for round_ in ("first", "again"):
            seen[round_] = {
                each.path.name: refused(each.error) if each.document is None else each.existing
                for each in meld.ingest_all("wheel", [folder])
            }
        stages: list[int] = []
        meld.ingest("wheel", folder / "more" / "light.md", progress=lambda said: stages.append(said.stage))
        seen["stages"] = bool(stages)
        seen["hits"] = [hit.title for hit in meld.search("harbour depth", ["wheel"], top_k=1)]
        events = list(meld.ask(QUESTION, agent="research", collections=["wheel"]))
        seen["events"] = [event.WhichOneof("event") for event in events]
        result = events[-1].ended.result
        seen["text"] = result.text
        seen["verified"] = [verdict.verified for verdict in meld.verify(result.citations)]
        for citation in result.citations:
            citation.quote += "!"
        seen["forged"] = [verdict.verified for verdict in meld.verify(result.citations)]
        said = list(meld.run_workflow("investigate", QUESTION, collections=["wheel"]))
        seen["steps"] = sorted({each.step_id for each in said if each.step_id})
        seen["workflow"] = said[-1].event.ended.result.text
        try:
            meld.answer(QUESTION, collections=["nowhere"])
        except MeldError as error:
            seen["nowhere"] = refused(error)
        try:
            meld.search("x", ["wheel"], timeout=0.000001)
        except MeldError as error:
            seen["late"] = refused(error)
        seen["sessions"] = len(meld.session.ListSessions(session_pb2.ListSessionsRequest()).sessions)
    return seen


async def loop(addresses: dict[str, str], folder: Path) -> dict[str, Any]:
    async with AsyncMeld(**addresses) as meld:
        await meld.create_collection("wheel", exist_ok=True)
        taken = [each.existing async for each in meld.ingest_all("wheel", [folder / "harbour.md"])]
        hits = await meld.search("harbour depth", ["wheel"], top_k=1)
        result = await meld.answer(QUESTION, agent="research", collections=["wheel"])
        verdicts = await meld.verify(result.citations)
        said = [
            each.event.WhichOneof("event")
            async for each in meld.run_workflow("investigate", QUESTION, collections=["wheel"])
        ]
        return {
            "existing": taken,
            "hits": [hit.title for hit in hits],
            "text": result.text,
            "verified": [verdict.verified for verdict in verdicts],
            "workflow": said[-1],
        }


def main() -> None:
    addresses, folder = json.loads(sys.argv[1]), Path(sys.argv[2])
    seen = {"threads": threads(addresses, folder), "loop": asyncio.run(loop(addresses, folder))}
    seen["foreign"] = sorted(
        name for name in sys.modules if name.partition(".")[0] in ("services", "meldrag_cli")
    )
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
