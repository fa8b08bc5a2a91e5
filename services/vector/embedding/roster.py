"""The embedding models that this service can ask: the one that is set, and others it may still need."""

from __future__ import annotations

from collections.abc import Sequence

from services.vector.embedding.ports import Embedder, ModelName, Reader, name_of


class Roster:
    """configured: what new collections get. others: what collections may have, or go over to."""

    def __init__(self, configured: Embedder, others: Sequence[Embedder] = ()) -> None:
        self.configured = configured
        self.all = (configured, *others)

    def find(self, model: ModelName) -> Embedder | None:
        """The one that makes vectors of this name; None where there is none."""
        return next((one for one in self.all if name_of(one).agrees(model)), None)

    def reader(self, model: ModelName) -> Reader | None:
        """This model where it can tell whether its vector of a text means something; another is believed."""
        embedder = self.find(model)
        return embedder if isinstance(embedder, Reader) else None

    def named(self, name: str) -> Embedder | None:
        """The one that people call so; the configured one where the name is empty."""
        if not name:
            return self.configured
        return next((one for one in self.all if one.model == name), None)
