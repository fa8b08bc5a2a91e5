"""LangChain's ChatOpenAI and OpenAIEmbeddings against a running house: `… URL COLLECTION`."""

from __future__ import annotations

import json
import sys

import loopback

loopback.keep()

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage  # noqa: E402
from langchain_core.output_parsers import StrOutputParser  # noqa: E402
from langchain_core.prompts import ChatPromptTemplate  # noqa: E402
from langchain_openai import ChatOpenAI, OpenAIEmbeddings  # noqa: E402


def main(url: str, collection: str) -> None:
    """Prints what came of it as JSON."""
    chat = ChatOpenAI(
        model="meld-research",
        base_url=url,
        api_key="none",
        max_retries=0,
        stream_usage=True,
        extra_body={"collections": [collection], "sources": "footnotes"},
    )
    asked = chat.invoke([SystemMessage("Be brief."), HumanMessage("How deep is the harbour of Elmsund?")])
    followed = chat.invoke(
        [
            HumanMessage("How deep is the harbour of Elmsund?"),
            AIMessage(asked.content),
            HumanMessage("Why is that?"),
        ]
    )
    pieces = list(chat.stream("How deep is the harbour of Elmsund?"))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    chain = ChatPromptTemplate.from_messages([("human", "How deep is the harbour of {place}?")])
    chained = (chain | chat | StrOutputParser()).invoke({"place": "Elmsund"})
    try:
        chat.bind_tools([{"type": "function", "function": {"name": "f", "parameters": {}}}]).invoke(
            "How deep?"
        )
        refused = ""
    except Exception as error:
        refused = f"{type(error).__name__}: {error}"
    embeddings = OpenAIEmbeddings(
        model="meld-embedding", base_url=url, api_key="none", max_retries=0, check_embedding_ctx_length=False
    )
    told = {
        "answer": asked.content,
        "finish": asked.response_metadata["finish_reason"],
        "usage": asked.usage_metadata["total_tokens"],
        "followed": followed.content,
        "streamed": whole.content,
        "pieces": len(pieces),
        "chained": chained,
        "refused": refused,
        "documents": embeddings.embed_documents(["the deep harbour", "a poem about love"]),
        "query": embeddings.embed_query("how deep is the harbour"),
        "strayed": loopback.STRAYED,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
