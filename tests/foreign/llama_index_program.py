"""LlamaIndex's OpenAILike and OpenAILikeEmbedding against a running house: `… URL COLLECTION`."""

from __future__ import annotations

import json
import sys

import loopback

loopback.keep()

from llama_index.core.llms import ChatMessage  # noqa: E402
from llama_index.embeddings.openai_like import OpenAILikeEmbedding  # noqa: E402
from llama_index.llms.openai_like import OpenAILike  # noqa: E402


def main(url: str, collection: str) -> None:
    """Prints what came of it as JSON."""
    model = OpenAILike(
        model="meld-auto",
        api_base=url,
        api_key="none",
        is_chat_model=True,
        max_retries=0,
        additional_kwargs={"extra_body": {"collections": [collection]}},
    )
    question = "How deep is the harbour of Elmsund?"
    asked = model.chat([ChatMessage(role="system", content="Be brief."), ChatMessage(content=question)])
    pieces = [piece.delta for piece in model.stream_chat([ChatMessage(content=question)])]
    embedding = OpenAILikeEmbedding(model_name="meld-embedding", api_base=url, api_key="none", max_retries=0)
    told = {
        "answer": asked.message.content,
        "sources": [source["quote"] for source in asked.raw.sources],
        "completed": model.complete(question).text,
        "streamed": "".join(piece or "" for piece in pieces),
        "documents": embedding.get_text_embedding_batch(["the deep harbour", "a poem about love"]),
        "query": embedding.get_query_embedding("how deep is the harbour"),
        "strayed": loopback.STRAYED,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
