"""The maker of pictures of one run: each picture is a use of a tool, and what it costs is the run's."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable

from services.agents.ledger import exhausted
from services.agents.ports import JsonObject, ModelDone, ModelError, Painted, Painter, Tools
from services.agents.run import Run
from services.chassis.errors import FailedPreconditionError


class RunPainting:
    """Implements ports.Painting for one run. painter: None where no model makes pictures."""

    def __init__(self, run: Run, tools: Tools, painter: Painter | None) -> None:
        self._run = run
        self._tools = tools
        self._painter = painter

    async def paint(
        self, tool: str, prompt: str, size: str, keep: Callable[[Painted], Awaitable[JsonObject]]
    ) -> JsonObject:
        """See Painting."""
        ledger = self._run.ledger

        async def action() -> JsonObject:
            if self._painter is None:
                raise FailedPreconditionError(
                    "no model that makes pictures is configured (OPENAI_IMAGE_MODEL)",
                    reason="TOOL_UNAVAILABLE",
                    metadata={"agent_id": self._run.agent_id, "tool": tool},
                )
            if ledger.left().model_calls < 1:
                raise exhausted("model calls", ledger.allowance.model_calls)
            painted = await self._painter.paint(prompt, size, ledger.seconds_left())
            return {"kept": await keep(painted), "done": dataclasses.asdict(painted.done)}

        try:
            told = await self._tools.use(
                tool,
                {"prompt": prompt, "size": size},
                action,
                lambda result: f"a picture was made by {result['done']['model']}",
            )
        except ModelError:
            ledger.charge_model_call()
            raise
        # Here and not in the action: a replay, which makes no call, charges the same at the same place.
        ledger.charge_model_call()
        ledger.charge_tokens(ModelDone(**told["done"]))
        self._run.tell_usage()
        kept: JsonObject = told["kept"]
        return kept
