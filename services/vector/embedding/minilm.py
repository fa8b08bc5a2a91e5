"""all-MiniLM-L6-v2 on onnxruntime: the embedder that needs no key and no network.

Each kind of text runs in a session of its own over the same mapped weights.
Passages go one small batch at a time over as many single-threaded lanes as
there are cores: on this model a batch of 16 is no faster than a batch of 2, and
lanes need not wait for each other at every operator. The lanes have a low
scheduling priority, so what comes meanwhile gets the cores at once. Texts that
somebody waits for run in their caller's thread with all cores.

A question is searched with the quantized model where words decide as well
(docs/adr/0131): one core, half of the work, and no waiting for a second core
that reads the keyword index.

Texts are embedded sorted by length, so that little of a batch is padding.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors
from tokenizers import Tokenizer

from services.vector.embedding import minilm_files
from services.vector.embedding.minilm_files import ModelFiles, ModelFilesError
from services.vector.embedding.ports import (
    EmbedderDeadlineError,
    EmbedderRejectedError,
    EmbedderUnavailableError,
    Vector,
    Vectors,
    remaining,
)

MODEL = "all-MiniLM-L6-v2"
DIMENSION = 384

# max_seq_length of the model's sentence_bert_config.json, with the two markers around the text.
MAX_TOKENS = 256
_MARKERS = 2
_START, _END = 101, 102  # [CLS] and [SEP] in the model's vocabulary

# A text of 254 word pieces is some 1,000 characters; what lies beyond this is not even looked at, because
# the tokenizer takes a second for a megabyte.
_MAX_CHARACTERS = 32_768
# So many tell the language.
_READ_CHARACTERS = 1_000
# Of the pieces of a text that the model reads.
_MOST_FRAGMENTS = 0.5
_NOT_UNICODE = "a text holds a lone surrogate and is not valid Unicode"

# About two passages of 200 tokens: 0.1 s on one core. Padding counts.
_BATCH_TOKENS = 512
_BATCH_PADDING = 32  # tokens by which texts of one batch may differ

_LANE_NICENESS = 10

_RUNTIME_ERRORS = (
    runtime_errors.EPFail,
    runtime_errors.EngineError,
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NoSuchFile,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
)

_log = logging.getLogger(__name__)

Ids = list[int]


class MiniLmEmbedder:
    """The port `Embedder` over the local model. Close it at the end.

    models: the directory that keeps the built graph (<data directory>/models).
    threads: cores to use; all that this process may run on when None.
    files: the official files; those of the installed package when None.

    Nothing is loaded before the first use or `load`.
    """

    model = MODEL
    dimension = DIMENSION
    # The files are checked against these hashes before their use.
    revision = minilm_files.REVISION
    max_tokens = MAX_TOKENS

    def __init__(self, models: Path, *, threads: int | None = None, files: ModelFiles | None = None) -> None:
        self._models = models
        self._threads = threads or usable_cores()
        self._given_files = files
        self._lock = threading.Lock()
        # Apart: who asks for words need not wait until the model is built and loaded.
        self._tokenizer_lock = threading.Lock()
        self._tokenizer: Tokenizer | None = None
        self._sessions: _Sessions | None = None
        self._closed = False

    def load(self) -> None:
        """Builds the graph when it is not there, and loads it. Raises EmbedderUnavailableError."""
        self._loaded()

    def close(self) -> None:
        """Drops passages that still wait and frees the model. Later calls raise EmbedderUnavailableError."""
        with self._lock:
            self._closed = True
            sessions, self._sessions = self._sessions, None
        if sessions is not None:
            sessions.lanes.shutdown(cancel_futures=True)

    def ping(self, *, deadline: float) -> None:
        """Loads the model when it is not loaded."""
        self._loaded()
        remaining(deadline)

    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer, neither cutting nor padding. Not to be changed: it is the one in use."""
        with self._tokenizer_lock:
            if self._tokenizer is None:
                self._tokenizer = self._load_tokenizer()
            return self._tokenizer

    def token_count(self, text: str) -> int:
        """Word pieces of `text`, without the two markers: above max_tokens - 2 the end is not embedded.

        Raises EmbedderRejectedError for a lone surrogate.
        """
        return len(self._encode([text])[0])

    def reads(self, text: str) -> bool:
        """Whether at least half of its pieces, as far as they tell, are more than a letter.

        Text in scripts that the model has not learnt falls into letters and unknowns. By this it reads all of
        2,309 English questions, and three of 77 in Japanese and Russian (ADR 125).
        """
        pieces = self._pieces(text[:_READ_CHARACTERS])
        return sum(map(_is_fragment, pieces)) <= _MOST_FRAGMENTS * len(pieces)

    def embed_question(self, text: str, *, deadline: float) -> Vector:
        """See the port. By the quantized model, on one core, in the caller's thread."""
        sessions = self._loaded()
        remaining(deadline)
        vector: Vector = _run(sessions.questions, self._cut_and_encode([text]))[0]
        return vector

    def embed_queries(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """See the port. Runs in the caller's thread; the deadline is looked at between batches."""
        sessions = self._loaded()
        encoded = self._cut_and_encode(texts)
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        for batch in batches([len(ids) for ids in encoded]):
            remaining(deadline)
            vectors[batch] = _run(sessions.queries, [encoded[i] for i in batch])
        return vectors

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """See the port. At the deadline a batch in work is left to end by itself (0.1 s)."""
        sessions = self._loaded()
        encoded = self._cut_and_encode(texts)
        vectors = np.empty((len(texts), DIMENSION), np.float32)
        work: list[tuple[list[int], Future[Vectors]]] = []
        try:
            for batch in batches([len(ids) for ids in encoded]):
                ids = [encoded[i] for i in batch]
                work.append((batch, sessions.lanes.submit(_run, sessions.passages, ids)))
            for batch, future in work:
                vectors[batch] = future.result(remaining(deadline))
        except TimeoutError:
            raise EmbedderDeadlineError("the deadline passed before the vectors were there") from None
        except (RuntimeError, CancelledError) as error:  # the lanes are shut, or were while this waited
            raise EmbedderUnavailableError("the embedding model was closed") from error
        finally:
            for _, future in work:
                future.cancel()
        return vectors

    def _loaded(self) -> _Sessions:
        self.tokenizer()
        with self._lock:
            if self._closed:
                raise EmbedderUnavailableError("the embedding model was closed")
            if self._sessions is None:
                home = minilm_files.ensure_graph(self._models, self._files().weights)
                self._sessions = _Sessions(home, self._threads)
            return self._sessions

    def _files(self) -> ModelFiles:
        return self._given_files or minilm_files.installed_files()

    def _load_tokenizer(self) -> Tokenizer:
        path = self._files().tokenizer
        minilm_files.check_sha256(path, minilm_files.TOKENIZER_SHA256)
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def _cut_and_encode(self, texts: Sequence[str]) -> list[Ids]:
        """Ids with their markers, at most MAX_TOKENS for each text."""
        pieces = self._encode([text[:_MAX_CHARACTERS] for text in texts])
        return [[_START, *ids[: MAX_TOKENS - _MARKERS], _END] for ids in pieces]

    def _pieces(self, text: str) -> list[str]:
        try:
            pieces: list[str] = self.tokenizer().encode(text, add_special_tokens=False).tokens
        except TypeError as error:
            raise EmbedderRejectedError(_NOT_UNICODE) from error
        return pieces

    def _encode(self, texts: Sequence[str]) -> list[Ids]:
        tokenizer = self.tokenizer()
        try:
            return [e.ids for e in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
        except TypeError as error:  # what the tokenizer raises for a string that is not Unicode
            raise EmbedderRejectedError(_NOT_UNICODE) from error


class _Sessions:
    """The loaded models: one core for a question, all for texts in a hurry, and lanes for passages."""

    def __init__(self, home: Path, threads: int) -> None:
        try:
            self.questions = _session(home / minilm_files.QUANTIZED, 1)
            self.queries = _session(home / minilm_files.MODEL, threads)
            self.passages = _session(home / minilm_files.MODEL, 1)
        except _RUNTIME_ERRORS as error:
            raise ModelFilesError(f"the embedding model's graph cannot be loaded: {error}") from error
        self.lanes = ThreadPoolExecutor(threads, "embed-passages", initializer=_lower_priority)


def _session(path: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads spin between the operators of a text, which is a fifth faster than to wake them for each. After
    # its end they would take the cores from everything else.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: Any, encoded: Sequence[Ids]) -> Vectors:
    longest = max(map(len, encoded))
    ids = np.zeros((len(encoded), longest), np.int32)
    mask = np.zeros((len(encoded), longest), np.int32)
    for row, text in enumerate(encoded):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    try:
        vectors: Vectors = session.run(["vectors"], {"ids": ids, "mask": mask})[0]
    except _RUNTIME_ERRORS as error:
        raise EmbedderUnavailableError(f"the embedding model failed: {type(error).__name__}") from error
    return vectors


def _is_fragment(piece: str) -> bool:
    """Whether a word piece is a single letter, or none that is known."""
    letters = piece.removeprefix("##")
    return piece == "[UNK]" or (len(letters) == 1 and letters.isalpha())


def batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices into `lengths` (tokens), in groups of similar length, the longest first."""
    batch: list[int] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        full = (len(batch) + 1) * longest > _BATCH_TOKENS
        if batch and (full or longest - lengths[index] > _BATCH_PADDING):
            yield batch
            batch = []
        if not batch:
            longest = lengths[index]
        batch.append(index)
    if batch:
        yield batch


def usable_cores() -> int:
    """The cores that this process may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _lower_priority() -> None:
    """Behind questions and the rest of the house. Only Linux has a niceness for each thread."""
    if sys.platform == "linux":
        try:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LANE_NICENESS)
        except OSError as error:
            _log.warning("embedding lanes keep the normal priority", extra={"error": str(error)})
