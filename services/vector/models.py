"""The embedding model that the settings name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from services.vector.embedding.minilm import MiniLmEmbedder
from services.vector.embedding.ports import Embedder
from services.vector.ingest.drafting import TokenCounter
from services.vector.settings import MINILM, VectorSettings

_OPENAI_URL = "https://api.openai.com/v1"


@dataclass(frozen=True)
class ConfiguredModel:
    """An embedder, and how texts are measured for it. others: models that collections may still have."""

    embedder: Embedder
    count_tokens: TokenCounter
    others: tuple[Embedder, ...] = ()


@contextmanager
def configured(settings: VectorSettings) -> Iterator[ConfiguredModel]:
    """The model for the block. Nothing is loaded before its first use.

    Passages are measured by the local model's tokenizer also where a remote model embeds them: it counts no
    fewer tokens than byte-pair vocabularies four times its size, and such models take far longer texts than a
    passage.
    """
    with closing(MiniLmEmbedder(settings.meld_data_dir / "models")) as local:

        def count(texts: Sequence[str]) -> list[int]:
            return [
                len(one.ids)
                for one in local.tokenizer().encode_batch_fast(list(texts), add_special_tokens=False)
            ]

        with ExitStack() as stack:
            configured: Embedder = local
            others: list[Embedder] = []
            if settings.embedding_model != MINILM:
                configured = _remote(stack, settings, settings.embedding_model, settings.dimension)
                # It needs no key, and nothing is loaded unless a collection has it.
                others.append(local)
            for name, dimension in settings.other_models:
                others.append(_remote(stack, settings, name, dimension))
            yield ConfiguredModel(configured, count, tuple(others))


def _remote(stack: ExitStack, settings: VectorSettings, name: str, dimension: int) -> Embedder:
    # The client library takes a second to load, which a start without it is spared.
    from services.vector.embedding.openai import OpenAiEmbedder  # noqa: PLC0415

    return stack.enter_context(
        closing(
            OpenAiEmbedder(
                model=name,
                dimension=dimension,
                base_url=settings.openai_base_url or _OPENAI_URL,
                api_key=settings.openai_api_key.get_secret_value(),
            )
        )
    )
