"""A photo and a scanned page go in; what was read is found, and cited with its region."""

from __future__ import annotations

import re
import shutil
import time
from typing import Any

import grpc
import httpx
import pytest

from meldrag.agents.v1 import agents_pb2, agents_pb2_grpc
from meldrag.session.v1 import session_pb2, session_pb2_grpc
from tests.support.launched import House
from tests.support.pictures import camera_exif, page, photo, saved

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed"),
]

COLLECTION = "pictures"
PRINT = ("The quay of Varnholm", "was painted by Asta Lind.")
_PLACE = re.compile(r"page 1, region (\d+),(\d+) (\d+)×(\d+)")


def checked(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def searched(api: str, query: str) -> list[dict[str, Any]]:
    """The passages that are found, as soon as there are some."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        asked = {"query": query}
        found = checked(httpx.post(f"{api}/collections/{COLLECTION}/search", json=asked, timeout=30))
        if found["hits"]:
            hits: list[dict[str, Any]] = found["hits"]
            return hits
        time.sleep(0.2)
    raise AssertionError("nothing is found")


def test_what_is_read_in_a_scan_is_found_and_cited_with_its_region(house: House) -> None:
    api = f"{house.base_url}/api/v1"
    checked(httpx.post(f"{api}/collections", json={"name": COLLECTION}, timeout=30))
    scan = saved(page(*PRINT), dpi=(200, 200))
    pier = saved(photo(), "JPEG", exif=camera_exif(position=True))
    kept = [
        checked(httpx.post(f"{api}/attachments", files={"file": file}, timeout=60))["id"]
        for file in (("scan.png", scan, "image/png"), ("pier.jpg", pier, "image/jpeg"))
    ]
    asked = {
        "agent": "image",
        "message": "Who painted the quay?",
        "collections": [COLLECTION],
        "inputs": {"attachment_ids": kept, "ingest_collection_id": COLLECTION},
    }
    result = checked(httpx.post(f"{api}/runs", json=asked, timeout=120))["result"]
    first, second = result["pictures"]
    assert [line["text"] for line in first["lines"]] == list(PRINT)
    assert second["camera"]["model"] == "EO-7"
    assert not second.get("position")

    (hit,) = searched(api, "quay of Varnholm")
    assert hit["title"] == "scan.png"
    place = _PLACE.search(hit["location"])
    assert place, hit["location"]
    # The passage has both lines, so its region is around both.
    left, top, width, height = map(int, place.groups())
    boxes = [line["box"] for line in first["lines"]]
    assert (left, top) == (min(box["left"] for box in boxes), min(box["top"] for box in boxes))
    assert left + width == max(box["left"] + box["width"] for box in boxes)
    assert top + height == max(box["top"] + box["height"] for box in boxes)
    asked = {"agent": "research", "message": "Who painted the quay of Varnholm?", "collections": [COLLECTION]}
    answer = checked(httpx.post(f"{api}/runs", json=asked, timeout=60))
    cited = [citation for citation in answer["citations"] if "Asta Lind" in citation["quote"]]
    assert cited, answer
    assert _PLACE.search(cited[0]["location"])
    verified = checked(
        httpx.post(f"{api}/citations/verify", json={"citations": answer["citations"]}, timeout=30)
    )
    assert all(verdict["verified"] for verdict in verified["results"])

    # The text with its places is a file as well.
    (text,) = [file for file in result["files"] if file["filename"] == "scan.hocr"]
    downloaded = httpx.get(f"{api}/attachments/{text['attachment_id']}/content", timeout=30)
    assert downloaded.is_success, downloaded.text
    assert "Varnholm" in downloaded.text


def test_the_same_over_grpc_with_the_picture_in_pieces(house: House) -> None:
    data = saved(photo(1_200, 900), "PNG")
    assert len(data) > 300_000
    with grpc.insecure_channel(f"127.0.0.1:{house.ports['session']}") as session:
        parts = [
            session_pb2.PutAttachmentRequest(
                header=session_pb2.Attachment(filename="pier.png", media_type="image/png", bytes=len(data))
            ),
            *(
                session_pb2.PutAttachmentRequest(data=data[start : start + 200_000])
                for start in range(0, len(data), 200_000)
            ),
        ]
        stub = session_pb2_grpc.SessionServiceStub(session)
        kept = stub.PutAttachment(iter(parts), timeout=60).attachment
    with grpc.insecure_channel(f"127.0.0.1:{house.ports['agents']}") as agents:
        request = agents_pb2.RunAgentRequest(agent_id="image", message="Is it sharp?")
        request.inputs.update({"attachment_ids": [kept.attachment_id]})
        *_, ended = agents_pb2_grpc.AgentServiceStub(agents).RunAgent(request, timeout=120)
    (picture,) = ended.ended.result.result.image.pictures
    assert (picture.format, picture.width, picture.bytes) == ("PNG", 1_200, len(data))
