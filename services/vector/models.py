"""The embedding models that the settings name, and those that are there by themselves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from services.chassis.start import StartError
from services.vector.embedding import folder, kept_graphs
from services.vector.embedding.kept_graphs import ModelFilesError
from services.vector.embedding.local import LocalEmbedder
from services.vector.embedding.minilm import MiniLmEmbedder
from services.vector.embedding.ports import Embedder
from services.vector.ingest.drafting import TokenCounter
from services.vector.settings import MINILM, VectorSettings

_OPENAI_URL = "https://api.openai.com/v1"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConfiguredModel:
    """An embedder, and how texts are measured for it.

    others: models that collections may still have, or go over to. passage_tokens: so many it reads of a
    passage; None where that is no limit.
    """

    embedder: Embedder
    count_tokens: TokenCounter
    others: tuple[Embedder, ...] = ()
    passage_tokens: Callable[[], int] | None = None


@contextmanager
def configured(settings: VectorSettings) -> Iterator[ConfiguredModel]:
    """The model for the block. Nothing is loaded before its first use. Raises StartError.

    Passages are measured by the configured model's own words where it is local, else by the built-in model's:
    they are no fewer than those of byte-pair vocabularies four times the size, and such models take far
    longer texts than a passage.
    """
    with ExitStack() as stack:
        local = _locals(stack, settings)
        name = settings.embedding_model
        measure = local.get(name) or local[MINILM]
        if (own := local.get(name)) is not None:
            _check_dimension(own, settings)
        others: list[Embedder] = [one for one in local.values() if one is not own]
        for other, dimension in settings.other_models:
            if other in local:
                _log.warning(
                    "MELD_OTHER_EMBEDDING_MODELS names a local model, which is asked instead",
                    extra={"fields": {"model": f"{other}:{dimension}"}},
                )
            else:
                others.append(_remote(stack, settings, other, dimension))
        yield ConfiguredModel(
            own or _remote(stack, settings, name, settings.dimension),
            measure.token_counts,
            tuple(others),
            None if own is None else own.passage_tokens,
        )


def _locals(stack: ExitStack, settings: VectorSettings) -> dict[str, LocalEmbedder]:
    """Local models by name: they need no key, and are not loaded unless a collection has them."""
    models, parent = settings.meld_data_dir / "models", settings.embedding_models_folder
    found: dict[str, LocalEmbedder] = {MINILM: stack.enter_context(closing(MiniLmEmbedder(models)))}
    try:
        if settings.meld_embedding_models_dir and not parent.is_dir():
            raise ModelFilesError(f"MELD_EMBEDDING_MODELS_DIR: there is no directory {parent}")
        names = folder.names(parent)
    except ModelFilesError as error:
        raise StartError(str(error)) from error
    for name in names:
        try:
            if name in found:
                raise ModelFilesError(f"the built-in model is named {name}: rename that folder")
            found[name] = stack.enter_context(closing(LocalEmbedder(folder.read(parent / name), models)))
        except ModelFilesError as error:
            if name == settings.embedding_model != MINILM:
                raise StartError(str(error)) from error
            # It may be there for another program.
            _log.warning(
                "a folder of models has one that is left out", extra={"fields": {"error": str(error)}}
            )
    if parent.is_dir():
        # Also one that cannot be served now may come back.
        kept_graphs.forget_graphs(models, folder.GRAPH_PREFIX, [folder.GRAPH_PREFIX + name for name in names])
    return found


def _check_dimension(embedder: Embedder, settings: VectorSettings) -> None:
    if settings.vector_dimension not in (None, embedder.dimension):
        raise StartError(
            f"VECTOR_DIMENSION: {embedder.model} has {embedder.dimension}; leave it empty for a local model"
        )


def _remote(stack: ExitStack, settings: VectorSettings, name: str, dimension: int) -> Embedder:
    if not settings.openai_base_url and not settings.openai_api_key.get_secret_value():
        raise StartError(
            f"{name} is neither {MINILM} nor a folder in {settings.embedding_models_folder}, and for a model"
            " of an endpoint OPENAI_API_KEY or OPENAI_BASE_URL is missing"
        )
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
