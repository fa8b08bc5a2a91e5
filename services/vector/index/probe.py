"""`python -m services.vector.index.probe FOLDER`: opens an index where a hang or a crash harms nobody.

Reads what the record expects as JSON from standard input, counts each collection and asks for all of its
vectors, and prints {"counts": {"KEY": N}}. A failure prints {"error": "..."} and ends with status 1.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from services.vector.index.chroma import ChromaIndex

# Chroma counts the ids it knows, not the vectors it can find; a graph that lost its files finds few of them.
_FOUND_SHARE = 0.9


def probe(folder: Path, request: dict[str, Any]) -> dict[int, int]:
    """Entries per collection key. Raises what Chroma raises, and LookupError when vectors are lost."""
    index = ChromaIndex.embedded(folder, request["prefix"], request["sync_threshold"])
    counts: dict[int, int] = {}
    for key in index.collection_keys():
        counts[key] = index.count(key)
    for collection in request["collections"]:
        key, sample = collection["key"], base64.b64decode(collection["sample"])
        if sample and counts.get(key):
            found = len(index.nearest(key, np.frombuffer(sample, dtype="<f4"), counts[key]))
            if found < _FOUND_SHARE * counts[key]:
                raise LookupError(f"a collection has {counts[key]} entries and finds {found}")
    index.close()
    return counts


def main() -> int:
    """Returns the exit status."""
    try:
        counts = probe(Path(sys.argv[1]), json.load(sys.stdin))
    except Exception as error:  # whatever it is, it is the answer
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:500]}))
        return 1
    print(json.dumps({"counts": counts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
