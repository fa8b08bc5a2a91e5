"""The house as an MCP server: its search, its agents and its documents for the models of others."""
