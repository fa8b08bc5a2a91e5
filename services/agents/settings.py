"""What the agents service reads from its environment."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator

from services.agents.foreign import servers
from services.chassis.settings import ServiceSettings


class AgentsSettings(ServiceSettings):
    """The shared settings, the models, and the limits of runs."""

    structured_secrets: ClassVar = frozenset({"meld_mcp_servers"})

    # The collection that is searched when neither the call nor its session names one; all that the caller
    # may read when this is empty or not there.
    collection_name: str = ""

    openai_api_key: SecretStr = SecretStr("")
    # Any OpenAI-compatible endpoint; OpenAI's own when empty.
    openai_base_url: str = ""
    openai_model: str = "gpt-4"
    # Most tokens that an answer may have.
    openai_max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 4000
    # A model at the same address that makes pictures, when somebody asks for one; none when empty.
    openai_image_model: str = ""
    # Models at the same address that write down what is said, and that speak; none when empty.
    openai_transcription_model: str = ""
    openai_speech_model: str = ""
    anthropic_api_key: SecretStr = SecretStr("")
    google_api_key: SecretStr = SecretStr("")
    cohere_api_key: SecretStr = SecretStr("")

    # Which model is asked first, and which when it does not answer.
    meld_model_order: str = "openai,anthropic,google,cohere"
    meld_anthropic_model: str = "claude-sonnet-4-5"
    meld_google_model: str = "gemini-2.5-flash"
    meld_cohere_model: str = "command-a-03-2025"

    # What models can do: "model=tools+json_schema+vision+audio", separated by commas. Of other models it is
    # what their vendor documents.
    meld_model_capabilities: str = ""

    # US dollars for a million tokens: "model=input/output", separated by commas. Of other models no cost is
    # told.
    meld_model_prices: str = ""

    # MCP servers of others and which of their tools each agent may use, as JSON (docs/mcp.md). Its headers
    # may hold secrets.
    meld_mcp_servers: SecretStr = SecretStr("")

    # What shuts code in that agents execute; nothing is executed without.
    meld_sandbox: Literal["auto", "bubblewrap", "landlock", "off"] = "auto"

    # Runs at once; one more is refused.
    meld_max_runs: Annotated[int, Field(ge=1, le=10_000)] = 400
    # Seconds that a run waits for the session service where it can do without it.
    meld_session_wait_seconds: Annotated[float, Field(gt=0, le=60)] = 0.25
    # Tokens of the session's messages, and of passages, that a model is shown.
    meld_history_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 2000
    meld_passage_tokens: Annotated[int, Field(ge=100, le=1_000_000)] = 6000
    # Calls of the model that one run may make, retries included.
    meld_max_model_calls: Annotated[int, Field(ge=1, le=1000)] = 16
    # Uses of tools, tokens read and written by models, and seconds that one run may take.
    meld_max_tool_calls: Annotated[int, Field(ge=1, le=100_000)] = 256
    meld_max_run_tokens: Annotated[int, Field(ge=1000, le=1_000_000_000)] = 200_000
    meld_max_run_seconds: Annotated[float, Field(gt=0, le=3600)] = 1800.0
    # How many runs may stand below each other, the first one counted.
    meld_max_hops: Annotated[int, Field(ge=1, le=32)] = 4

    @field_validator("meld_mcp_servers")
    @classmethod
    def _names_servers(cls, value: SecretStr) -> SecretStr:
        servers.parse(value.get_secret_value())
        return value

    @property
    def mcp_servers(self) -> tuple[servers.McpServer, ...]:
        """The MCP servers whose tools agents may use."""
        return servers.parse(self.meld_mcp_servers.get_secret_value())

    @property
    def bind(self) -> str:
        """Where this service listens: the port of its address, on the interface to bind."""
        return f"{self.meld_bind_host}:{self.meld_agents_address.rpartition(':')[2]}"
