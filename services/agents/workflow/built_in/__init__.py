"""Workflows that come with the release, one JSON file each; the file's name is the workflow's id."""

from __future__ import annotations

from functools import cache
from importlib import resources

from google.protobuf import json_format

from meldrag.agents.v1 import workflow_pb2


@cache
def built_in() -> dict[str, workflow_pb2.Workflow]:
    """The workflows by id, in the order of their ids."""
    found: dict[str, workflow_pb2.Workflow] = {}
    folder = resources.files(__name__)
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not entry.name.endswith(".json"):
            continue
        workflow = json_format.Parse(entry.read_text("utf-8"), workflow_pb2.Workflow())
        workflow.workflow_id = entry.name.removesuffix(".json")
        workflow.built_in = True
        found[workflow.workflow_id] = workflow
    return found
