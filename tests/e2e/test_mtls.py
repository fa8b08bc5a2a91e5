"""A house whose services know each other by certificates, all of which its doors can do."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.support.authority import Authority
from tests.support.launched import launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ARCHIVE = {"Content-Type": "application/x-tar"}


def test_a_backup_goes_out_and_comes_back_over_http(tmp_path: Path) -> None:
    files = Authority(tmp_path / "authority").sign("house")
    key = {"MELD_SNAPSHOT_KEY": "key-of-the-owner-of-this-test"}
    with (
        launched(tmp_path / "data", files.variables | key) as house,
        httpx.Client(base_url=f"{house.base_url}/api/v1", timeout=120) as http,
    ):
        assert http.post("/collections", json={"id": "kept"}).status_code == 201
        archive = http.post("/backup")
        assert archive.status_code == 200, archive.text
        assert http.post("/backup/verify", content=archive.content, headers=ARCHIVE).status_code == 200
        assert http.delete("/collections/kept").status_code == 200
        back = http.post("/restore", content=archive.content, headers=ARCHIVE)
        assert back.status_code == 200, back.text
        assert http.get("/collections/kept").status_code == 200
