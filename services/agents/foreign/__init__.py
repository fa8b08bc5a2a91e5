"""Tools of other people's MCP servers: which there are, who may use them, and what of them is believed."""
