"""Ids of runs."""

from __future__ import annotations

import re

from services.agents.runs import derived_run_id, new_run_id


def test_ids_have_26_characters_and_sort_by_time() -> None:
    ids = [new_run_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch(r"run_[0-9a-hjkmnp-tv-z]{26}", run_id) for run_id in ids)
    assert [run_id[:10] for run_id in ids] == sorted(run_id[:10] for run_id in ids)


def test_a_request_id_leads_to_one_id_per_tenant_and_try() -> None:
    assert derived_run_id("local", "r", 0) == derived_run_id("local", "r", 0)
    ids = {derived_run_id(tenant, "r", attempt) for tenant in ("a", "b") for attempt in (0, 1)}
    assert len(ids) == 4
    assert all(re.fullmatch(r"run_[0-9a-hjkmnp-tv-z]{26}", run_id) for run_id in ids)
