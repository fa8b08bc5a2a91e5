"""A thin typed client of Meld & RAG over gRPC.

`Meld` for threads, `AsyncMeld` for an event loop. Both know the contracts' stubs:
`meld.vector`, `meld.agents`, `meld.session` and `meld.identity` have every method,
with the deadline that its contract gives it, repeats where the contract permits
them, and failures as `MeldError`.
"""

from meldrag_client.aio import AsyncMeld
from meldrag_client.client import Meld
from meldrag_client.errors import MeldError
from meldrag_client.files import Ingested, files

__all__ = ["AsyncMeld", "Ingested", "Meld", "MeldError", "files"]
__version__ = "0.1.0"
