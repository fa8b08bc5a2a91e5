"""all-MiniLM-L6-v2: the model that is built in."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer

from services.vector.embedding import minilm_files
from services.vector.embedding.local import LocalEmbedder, LocalModel
from services.vector.embedding.minilm_files import ModelFiles
from services.vector.embedding.scale import BUILT_IN

MODEL = minilm_files.NAME
DIMENSION = minilm_files.ARCHITECTURE.width
MAX_TOKENS = minilm_files.MAX_TOKENS

# So many tell the language.
_READ_CHARACTERS = 1_000
# Of the pieces of a text that the model reads.
_MOST_FRAGMENTS = 0.5


class MiniLmEmbedder(LocalEmbedder):
    """The port `Embedder`, and `Reader`. files: the official files; those of the installed package when None.

    They are checked against their hashes before their use. models, threads: see LocalEmbedder.
    """

    def __init__(self, models: Path, *, threads: int | None = None, files: ModelFiles | None = None) -> None:
        def given() -> ModelFiles:
            return files or minilm_files.installed_files()

        def tokenizer() -> Tokenizer:
            path = given().tokenizer
            minilm_files.check_sha256(path, minilm_files.TOKENIZER_SHA256)
            return Tokenizer.from_file(str(path))

        local = LocalModel(
            name=MODEL,
            dimension=DIMENSION,
            revision=minilm_files.REVISION,
            max_tokens=MAX_TOKENS,
            scale=BUILT_IN,
            tokenizer=tokenizer,
            graph=lambda models: minilm_files.ensure_graph(models, given().weights),
        )
        super().__init__(local, models, threads=threads)

    def reads(self, text: str) -> bool:
        """Whether at least half of its pieces, as far as they tell, are more than a letter.

        Text in scripts that the model has not learnt falls into letters and unknowns. By this it reads all of
        2,309 English questions, and three of 77 in Japanese and Russian (ADR 125).
        """
        pieces = self.pieces(text[:_READ_CHARACTERS])
        return sum(map(_is_fragment, pieces)) <= _MOST_FRAGMENTS * len(pieces)


def _is_fragment(piece: str) -> bool:
    """Whether a word piece is a single letter, or none that is known."""
    letters = piece.removeprefix("##")
    return piece == "[UNK]" or (len(letters) == 1 and letters.isalpha())
