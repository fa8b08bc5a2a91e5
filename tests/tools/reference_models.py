"""Writes what sentence-transformers itself answers for the small models of tests/support/model_folder.py.

Needs PyTorch, which the project does without, so it runs in an environment of its own:

    python -m venv /tmp/reference && /tmp/reference/bin/pip install sentence-transformers
    PYTHONPATH=. /tmp/reference/bin/python -m tests.tools.reference_models

"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from tests.support.model_folder import write_model

TARGET = Path(__file__).parents[1] / "unit/vector/embedding/fixtures/folder_reference.json"

MODELS: dict[str, dict[str, Any]] = {
    "bert-mean": {},
    "bert-first": {"pooling": "cls", "prompts": {"query": "query the: ", "document": ""}},
    "bert-lower": {"lower": True},
    "roberta-mean": {"kind": "xlm-roberta", "prompts": {"query": "query: ", "passage": "passage: "}},
    "roberta-first": {"kind": "roberta", "pooling": "cls"},
    "distilbert-mean": {"kind": "distilbert"},
    "mpnet-mean": {"kind": "mpnet"},
    # Farther apart than MPNet tells apart.
    "mpnet-long": {"kind": "mpnet", "max_tokens": 200},
}
TEXTS = [
    "How deep is the harbour?",
    "Ships moor at the eastern quay. " * 12,
    "a",
    "Größe 港口 naïve err_conn_42",
    "",
    "The HARBOUR, the harbour; THE harbour!",
]


def main() -> None:
    from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found]

    cases = {}
    for name, options in MODELS.items():
        with tempfile.TemporaryDirectory() as parent:
            model = SentenceTransformer(str(write_model(Path(parent) / name, **options)), device="cpu")
            # Left to itself it takes the empty prompt that it adds for documents.
            passage = options.get("prompts", {}).get("passage")
            cases[name] = {
                "queries": _rounded(model.encode_query(TEXTS)),
                "passages": _rounded(model.encode_document(TEXTS, prompt=passage)),
                "texts": _rounded(model.encode(TEXTS)),
            }
    TARGET.write_text(json.dumps({"texts": TEXTS, "vectors": cases}, ensure_ascii=False, indent=0) + "\n")


def _rounded(vectors: Any) -> list[list[float]]:
    return [[round(float(one), 6) for one in vector] for vector in vectors]


if __name__ == "__main__":
    main()
