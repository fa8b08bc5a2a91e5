"""Says whether the configured models and MCP servers answer, and can do what is declared.

`python -m services.agents.doctor`, or `make doctor`.

Sends each model a few tiny requests. Exits with 1 when something that is configured does not work.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic_settings import SettingsConfigDict

from services.agents.chat import probing
from services.agents.chat.capabilities import Capability
from services.agents.chat.chain import Endpoint
from services.agents.chat.probing import Finding
from services.agents.chat.providers import Provider, configured
from services.agents.foreign.consulting import check_consulting
from services.agents.roster.registry import Registry
from services.agents.settings import AgentsSettings
from services.chassis.settings import SettingsError, load
from services.sandbox.sandbox import open_sandbox

_UNASKED = Finding(False, "not tried")


class DoctorSettings(AgentsSettings):
    """What the agents service reads; `.env` counts where the environment says nothing, as with `make run`."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, case_sensitive=False, env_file=".env"
    )


@dataclass(frozen=True)
class Examined:
    """A model as it was found."""

    provider: Provider
    reached: Finding
    found: Mapping[Capability, Finding]

    @property
    def well(self) -> bool:
        """Whether it answers and can do all that is declared."""
        return self.reached.works and all(self.found[one].works for one in self.provider.capabilities)

    @property
    def able(self) -> str:
        """What it can do, as MELD_MODEL_CAPABILITIES has it."""
        return "+".join(one.value for one in Capability if self.found[one].works)


async def examine(provider: Provider, endpoint: Endpoint) -> Examined:
    """Tries out a model. endpoint: with every capability declared, so that each can be tried."""
    reached = await probing.writes(endpoint)
    if not reached.works:
        return Examined(provider, reached, dict.fromkeys(Capability, _UNASKED))
    return Examined(provider, reached, {one: await probing.can(endpoint, one) for one in Capability})


async def examine_all(settings: AgentsSettings) -> list[Examined]:
    """Every configured model, in the order in which they are asked."""
    from services.agents.adapters.openai_model import open_endpoints  # noqa: PLC0415 # slow to load

    providers = configured(settings)
    able = [dataclasses.replace(provider, capabilities=frozenset(Capability)) for provider in providers]
    async with open_endpoints(able, settings.openai_max_tokens) as endpoints:
        return list(await asyncio.gather(*map(examine, providers, endpoints)))


def report(examined: Sequence[Examined]) -> list[str]:
    """A table of the models, what was seen where something does not work, and what to set."""
    if not examined:
        return ["No model is configured: answers are sentences of the documents."]
    head = ["model", "answers", *(one.value for one in Capability)]
    rows = [
        [model.provider.model, _word(model.reached), *(_cell(model, one) for one in Capability)]
        for model in examined
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in [head, *rows]]
    for model in examined:
        name = model.provider.model
        if not model.reached.works:
            lines.append(f"FAULT {name} at {model.provider.base_url}: {model.reached.seen}")
            continue
        for one in Capability:
            if one in model.provider.capabilities and not model.found[one].works:
                lines.append(f"FAULT {name} has {one.value} declared: {model.found[one].seen}")
        if model.able != "+".join(one.value for one in Capability if one in model.provider.capabilities):
            lines.append(f"note  what was found: MELD_MODEL_CAPABILITIES={name}={model.able}")
    return lines


def _word(finding: Finding) -> str:
    return "yes" if finding.works else "no"


def _cell(model: Examined, capability: Capability) -> str:
    declared = capability in model.provider.capabilities
    if not model.reached.works:
        return "declared" if declared else "-"
    return _word(model.found[capability]) + ("" if declared else " (not declared)")


async def consulted(settings: AgentsSettings) -> list[str]:
    """A line for each agent that may use tools of others, and one for each tool that it cannot use."""
    from services.agents.adapters.models import foreign_tools  # noqa: PLC0415 # slow to load

    tools = foreign_tools(settings)
    if tools is None:
        return []
    lines = []
    for agent in sorted({agent for server in settings.mcp_servers for agent in server.agents}):
        offer = await tools.offered(agent)
        if offer.tools:
            lines.append(f"ok    {agent} may use {', '.join(tool.name for tool in offer.tools)}")
        lines += [f"FAULT {agent}: {reason}" for reason in offer.missing]
    if not configured(settings):
        lines.append("note  without a model nobody uses tools of MCP servers")
    return lines


async def main() -> int:
    """Prints what was found."""
    try:
        settings = load(DoctorSettings)
        check_consulting(settings, Registry())
        examined = await examine_all(settings)
        foreign = await consulted(settings)
    except SettingsError as error:
        print(f"FAULT {error}")
        return 1
    sandbox = await open_sandbox(settings.meld_sandbox)
    print("\n".join([*report(examined), *foreign]))
    layer = sandbox.layer
    print(f"ok    code is executed shut in by {layer.value}" if layer else f"FAULT {sandbox.reason}")
    well = all(model.well for model in examined) and not any(line.startswith("FAULT") for line in foreign)
    return 0 if layer and well else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
