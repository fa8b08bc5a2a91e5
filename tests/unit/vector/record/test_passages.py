"""Passages as search reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.vector.record.record import opened
from tests.unit.vector.record.test_reembedding import OLD, OWNER, take


async def test_a_damaged_text_costs_no_other_passage_its_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path / "r.sqlite3") as record:
        await record.collections.create(OWNER, "books", description="", model=OLD, request=None)
        for number in range(3):
            await take(record, number)
        damage = "UPDATE texts SET piece = x'ffffff' WHERE document_key = 2"
        await record._database.write(lambda connection: connection.execute(damage).rowcount)
        found = await record.passages.get([1, 2, 3])
    assert {key: one.text for key, one in found.items()} == {1: "Text number 0.", 3: "Text number 2."}
    assert "a passage is damaged" in caplog.text
