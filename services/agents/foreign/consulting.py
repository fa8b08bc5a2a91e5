"""Whether the agents that the setting names have any use for tools of others."""

from __future__ import annotations

from services.agents.roster.registry import Registry
from services.agents.settings import AgentsSettings
from services.chassis.settings import SettingsError


def check_consulting(settings: AgentsSettings, registry: Registry) -> None:
    """Raises SettingsError where MELD_MCP_SERVERS names an agent that does not use tools of others."""
    able = [hosted.definition.agent_id for hosted in registry if hosted.definition.consults]
    for server in settings.mcp_servers:
        if unable := [agent for agent in server.agents if agent not in able]:
            raise SettingsError(
                f"MELD_MCP_SERVERS: the server {server.name} is for {unable[0][:40]!r}, which uses no tools"
                f" of others; those that do: {', '.join(able) or 'none'}"
            )
