"""Two gateways, two agents and two session services: what a newcomer and the page do works as with one."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.browser.conftest import browser, open_page
from tests.browser.test_page import (
    collection,
    opened,
    test_a_deleted_document_is_gone_from_search_and_from_the_reader,
    test_a_reload_shows_the_conversation_again,
    test_from_a_dropped_file_to_the_marked_passage,
    test_hostile_text_stays_text,
    test_on_a_phone,
    test_with_the_keyboard_alone,
)
from tests.e2e.test_newcomer import (
    documents,
    test_a_citation_that_was_changed_anywhere_is_refused,
    test_an_answer_is_right_and_its_citations_are_what_is_stored,
    test_files_of_every_format_become_ready,
)
from tests.support.containers import System

# The tests of other folders, in this world: their house is this module's.
__all__ = [
    "browser",
    "collection",
    "documents",
    "open_page",
    "opened",
    "test_a_citation_that_was_changed_anywhere_is_refused",
    "test_a_deleted_document_is_gone_from_search_and_from_the_reader",
    "test_a_reload_shows_the_conversation_again",
    "test_an_answer_is_right_and_its_citations_are_what_is_stored",
    "test_files_of_every_format_become_ready",
    "test_from_a_dropped_file_to_the_marked_passage",
    "test_hostile_text_stays_text",
    "test_on_a_phone",
    "test_with_the_keyboard_alone",
]


@pytest.fixture(scope="module")
def house(system: System) -> Iterator[System]:
    """The production system with two of each that may be more than one, and everybody let in as the owner."""
    env = system.folder / ".env"
    before = env.read_text()
    system.set_variables(MELD_ALLOW_ANONYMOUS="yes")
    system.manage("scale", "app=2", "agents=2", "session=2")
    system.wait_ready(60)
    yield system
    env.write_text(before)
    system.manage("scale", "app=1", "agents=1", "session=1")


def test_two_of_each_are_at_work(house: System) -> None:
    for service in ("app", "agents", "session"):
        label = f"label=com.docker.compose.service={service}"
        project = f"label=com.docker.compose.project={house.project}"
        ids = house.run("docker", "ps", "-q", "--filter", label, "--filter", project).stdout.split()
        assert len(ids) == 2


def test_who_asks_for_it_by_name_has_no_login(house: System) -> None:
    assert httpx.get(f"{house.base_url}/api/v1/auth", timeout=10).json()["login"] is False
    assert httpx.get(f"{house.base_url}/api/v1/collections", timeout=10).status_code == 200
    assert "nobody signs in" in house.manage("owner").stdout
