"""Local models on onnxruntime: embedders that need no key and no network.

Each kind of text runs in a session of its own over the same mapped weights.
Passages go one small batch at a time over as many single-threaded lanes as
there are cores: on a small model a batch of 16 is no faster than a batch of 2,
and lanes need not wait for each other at every operator. The lanes have a low
scheduling priority, so what comes meanwhile gets the cores at once. Texts that
somebody waits for run in their caller's thread with all cores.

Where a model has a quantized copy, a question is searched with that where words
decide as well (docs/adr/0131): one core, half of the work, and no waiting for a
second core that reads the keyword index.

Texts are embedded sorted by length, so that little of a batch is padding.
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence, Sized
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors
from tokenizers import Tokenizer

from services.vector import tokens
from services.vector.embedding import kept_graphs
from services.vector.embedding.kept_graphs import ModelFilesError
from services.vector.embedding.ports import (
    FEW_TEXTS,
    EmbedderDeadlineError,
    EmbedderTextError,
    EmbedderUnavailableError,
    Span,
    Vector,
    Vectors,
    WordVectors,
    remaining,
)
from services.vector.embedding.scale import BUILT_IN, Scale, kept_scale, measured

# A text of 512 word pieces is some 2,000 characters; what lies beyond this is not even looked at, because
# the tokenizer takes a second for a megabyte.
_MAX_CHARACTERS = 32_768
# A text to see by what the markers are.
_ANYTHING = "a"
_NOT_UNICODE = "a text holds a lone surrogate and is not valid Unicode"

# About two passages of 200 tokens: 0.1 s on one core. Padding counts.
_BATCH_TOKENS = 512
_BATCH_PADDING = 32  # tokens by which texts of one batch may differ

_LANE_NICENESS = 10

_SCALE = "scale.json"
_LOAD_SECONDS = 600.0

# Of what the model reads.
_PROMPT_SHARE = 0.5

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
Input = TypeVar("Input", bound=Sized)
T = TypeVar("T")


@dataclass(frozen=True)
class LocalModel:
    """What an embedder is told of its model.

    max_tokens: that it reads of a text, with the markers around it and the prompt before it. tokenizer: loads
    it. graph: builds the graph below a directory where it is not there, and tells where. Both raise
    ModelFilesError. prompts: what the model wants to stand before a question, and before a passage. scale:
    measured when the model is first loaded where it is None, and kept beside the graph.
    """

    name: str
    dimension: int
    revision: str
    max_tokens: int
    tokenizer: Callable[[], Tokenizer]
    graph: Callable[[Path], Path]
    question_prompt: str = ""
    passage_prompt: str = ""
    scale: Scale | None = None


class LocalEmbedder:
    """The port `Embedder` over a local model. Close it at the end.

    models: the directory that keeps the built graph (<data directory>/models).
    threads: cores to use; all that this process may run on when None.

    Nothing is loaded before the first use or `load`.
    """

    def __init__(self, local: LocalModel, models: Path, *, threads: int | None = None) -> None:
        self._local = local
        self._models = models
        self._threads = threads or usable_cores()
        self._lock = threading.Lock()
        # Apart: who asks for words need not wait until the model is built and loaded.
        self._tokenizer_lock = threading.Lock()
        self._words: _Words | None = None
        self._sessions: _Sessions | None = None
        self._scale = local.scale or BUILT_IN
        self._closed = False

    @property
    def model(self) -> str:
        """See the port."""
        return self._local.name

    @property
    def dimension(self) -> int:
        """See the port."""
        return self._local.dimension

    @property
    def revision(self) -> str:
        """See the port."""
        return self._local.revision

    def scale(self) -> Scale:
        """See the port. Known as soon as the model has been loaded."""
        return self._scale

    def load(self) -> None:
        """Builds the graph when it is not there, and loads it. Raises EmbedderUnavailableError."""
        self._loaded(time.monotonic() + _LOAD_SECONDS)

    def close(self) -> None:
        """Drops passages that still wait and frees the model. Later calls raise EmbedderUnavailableError."""
        with self._lock:
            self._closed = True
            sessions, self._sessions = self._sessions, None
        if sessions is not None:
            sessions.lanes.shutdown(cancel_futures=True)

    def ping(self, *, deadline: float) -> None:
        """Loads the model when it is not loaded."""
        self._loaded(deadline)
        remaining(deadline)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Word pieces of each text, without markers and prompt. Of more than `passage_tokens` the end is not
        embedded. Raises EmbedderTextError for a lone surrogate.
        """
        return [len(ids) for ids in self._words_of_model().encode(texts)]

    def passage_tokens(self) -> int:
        """So many word pieces of a passage are embedded."""
        words = self._words_of_model()
        prompt = len(words.encode([self._local.passage_prompt])[0])
        return self._local.max_tokens - words.markers - prompt

    def pieces(self, text: str) -> list[str]:
        """The word pieces of a text, without markers. Raises EmbedderTextError as token_counts does."""
        return self._words_of_model().pieces(text)

    def embed_question(self, text: str, *, deadline: float) -> Vector:
        """See the port. By the quantized model where there is one, in the caller's thread."""
        return self.embed_question_words(text, deadline=deadline)[0]

    def embed_question_words(self, text: str, *, deadline: float) -> tuple[Vector, WordVectors]:
        """See the port. Runs as embed_question."""
        sessions = self._loaded(deadline)
        remaining(deadline)
        prompt = self._local.question_prompt
        part = self._words_of_model().beginning(prompt, text[:_MAX_CHARACTERS])
        vectors, (words,) = _run_words(sessions.questions, [part])
        vector: Vector = vectors[0]
        return vector, words

    def embed_queries(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """See the port. Runs in the caller's thread; the deadline is looked at between batches."""
        return self._at_once([self._local.question_prompt + text for text in texts], deadline)

    def embed_texts(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """See the port. Few as embed_queries, many as embed_passages."""
        if len(texts) <= FEW_TEXTS:
            return self._at_once(texts, deadline)
        return self._in_lanes(self._ids(texts), deadline)

    def embed_passages(self, texts: Sequence[str], *, deadline: float) -> Vectors:
        """See the port. At the deadline a batch in work is left to end by itself (0.1 s).

        A passage that was cut for a model that reads more is embedded in parts of about the same length, and
        has their mean, weighted by length: with the first part alone its end could not be found.
        """
        parts = self._parts(texts)
        all_parts = list(itertools.chain.from_iterable(parts))
        vectors = self._in_lanes([part.ids for part in all_parts], deadline)
        return vectors if len(vectors) == len(texts) else _means(vectors, parts)

    def embed_passage_words(
        self, texts: Sequence[str], *, deadline: float
    ) -> tuple[Vectors, list[WordVectors]]:
        """See the port. Otherwise as embed_passages."""
        parts = self._parts(texts)
        all_parts = list(itertools.chain.from_iterable(parts))
        vectors = np.empty((len(all_parts), self.dimension), np.float32)
        words: dict[int, WordVectors] = {}
        for batch, (some, theirs) in self._through_lanes(all_parts, _run_words, deadline):
            vectors[batch] = some
            words |= zip(batch, theirs, strict=True)
        in_order = (words[at] for at in range(len(all_parts)))
        joined = [_joined(list(itertools.islice(in_order, len(some)))) for some in parts]
        return vectors if len(vectors) == len(texts) else _means(vectors, parts), joined

    def passage_spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """See the port."""
        return [[span for part in parts for span in part.spans] for parts in self._parts(texts)]

    def _parts(self, texts: Sequence[str]) -> list[list[_Part]]:
        return self._words_of_model().parts(
            self._local.passage_prompt, [text[:_MAX_CHARACTERS] for text in texts]
        )

    def _at_once(self, texts: Sequence[str], deadline: float) -> Vectors:
        return self._through(self._loaded(deadline), texts, lambda: remaining(deadline))

    def _through(
        self, sessions: _Sessions, texts: Sequence[str], before: Callable[[], object] = lambda: None
    ) -> Vectors:
        """before: called ahead of each batch."""
        encoded = self._ids(texts)
        vectors = np.empty((len(texts), self.dimension), np.float32)
        for batch in batches([len(ids) for ids in encoded]):
            before()
            vectors[batch] = _run(sessions.queries, [encoded[i] for i in batch])
        return vectors

    def _in_lanes(self, encoded: Sequence[Ids], deadline: float) -> Vectors:
        vectors = np.empty((len(encoded), self.dimension), np.float32)
        for batch, made in self._through_lanes(encoded, _run, deadline):
            vectors[batch] = made
        return vectors

    def _through_lanes(
        self,
        inputs: Sequence[Input],
        run: Callable[[Any, Sequence[Input]], T],
        deadline: float,
    ) -> Iterator[tuple[list[int], T]]:
        """What `run` makes of each batch of inputs, with their places. An input's length is its tokens."""
        sessions = self._loaded(deadline)
        work: list[tuple[list[int], Future[T]]] = []
        try:
            for batch in batches([len(one) for one in inputs]):
                some = [inputs[i] for i in batch]
                work.append((batch, sessions.lanes.submit(run, sessions.passages, some)))
            for batch, future in work:
                yield batch, future.result(remaining(deadline))
        except TimeoutError:
            raise EmbedderDeadlineError("the deadline passed before the vectors were there") from None
        except (RuntimeError, CancelledError) as error:  # the lanes are shut, or were while this waited
            raise EmbedderUnavailableError("the embedding model was closed") from error
        finally:
            for _, future in work:
                future.cancel()

    def _loaded(self, deadline: float) -> _Sessions:
        """Loaded by the first caller, however long that takes; others wait for it until their deadline."""
        self._words_of_model()
        if not self._lock.acquire(timeout=remaining(deadline)):
            raise EmbedderDeadlineError("the embedding model is still being loaded")
        try:
            if self._closed:
                raise EmbedderUnavailableError("the embedding model was closed")
            if self._sessions is None:
                home = self._local.graph(self._models)
                sessions = _Sessions(home, self._threads)
                if self._local.scale is None:
                    self._scale = kept_scale(
                        home / _SCALE, self._whole_name(), lambda: self._measured(sessions)
                    )
                self._sessions = sessions
            return self._sessions
        finally:
            self._lock.release()

    def _whole_name(self) -> str:
        """Of all that decides which cosines it has."""
        return f"{self.revision} {self._local.question_prompt}"

    def _measured(self, sessions: _Sessions) -> Scale:
        def vectors(prompt: str, texts: list[str]) -> Vectors:
            made = self._through(sessions, [prompt + text for text in texts])
            if not np.isfinite(made).all():
                raise ModelFilesError(f"the weights of {self.model} make vectors that are no numbers")
            return made

        return measured(
            partial(vectors, self._local.question_prompt), partial(vectors, self._local.passage_prompt)
        )

    def _words_of_model(self) -> _Words:
        with self._tokenizer_lock:
            if self._words is None:
                words = _Words(self._local.tokenizer(), self._local.max_tokens)
                prompts = words.encode([self._local.question_prompt, self._local.passage_prompt])
                if max(map(len, prompts)) > _PROMPT_SHARE * self._local.max_tokens:
                    raise ModelFilesError(f"the prompts of {self.model} leave no room for a text")
                self._words = words
            return self._words

    def _ids(self, texts: Sequence[str]) -> list[Ids]:
        """Ids with their markers, at most max_tokens for each text."""
        return self._words_of_model().marked([text[:_MAX_CHARACTERS] for text in texts])


@dataclass(frozen=True, slots=True)
class _Pieces:
    """A text in pieces. spans: where each stands, characters. begins: whether a word begins with it."""

    ids: Ids
    spans: Sequence[Span]
    begins: Sequence[bool]


@dataclass(frozen=True, slots=True)
class _Part:
    """What the model reads at once. ids: with markers and prompt.

    spans: of the words, characters of the text. rows: the place in `ids` of the first piece of each; end:
    behind the last piece of the last.
    """

    ids: Ids
    spans: list[Span]
    rows: list[int]
    end: int

    def __len__(self) -> int:
        return len(self.ids)

    def words(self, made: Vectors) -> WordVectors:
        """made: (len(ids) or more, dimension), what the model makes of each piece."""
        if not self.rows:
            return WordVectors([], np.empty((0, made.shape[1]), np.float32))
        pieces = np.diff([*self.rows, self.end]).astype(np.float32)
        sums: Vectors = np.add.reduceat(made[: self.end], self.rows, axis=0)
        return WordVectors(self.spans, sums / pieces[:, None])


class _Words:
    """A tokenizer, neither cutting nor padding, and the markers that its model is used to around a text."""

    def __init__(self, tokenizer: Tokenizer, max_tokens: int) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        marked: Ids = tokenizer.encode(_ANYTHING).ids
        plain: Ids = tokenizer.encode(_ANYTHING, add_special_tokens=False).ids
        places = (at for at in range(len(marked)) if marked[at : at + len(plain)] == plain)
        if not plain or (start := next(places, None)) is None:
            raise ModelFilesError("tokenizer.json does not know the letters of English")
        self._before, self._after = marked[:start], marked[start + len(plain) :]
        self.markers = len(self._before) + len(self._after)
        self._most = max_tokens - self.markers

    def encode(self, texts: Sequence[str]) -> list[Ids]:
        try:
            return [e.ids for e in self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
        except TypeError as error:  # what the tokenizer raises for a string that is not Unicode
            raise EmbedderTextError(_NOT_UNICODE) from error

    def marked(self, texts: Sequence[str]) -> list[Ids]:
        return [self._within_markers(ids[: self._most]) for ids in self.encode(texts)]

    def parts(self, prompt: str, texts: Sequence[str]) -> list[list[_Part]]:
        """Of each text behind the prompt all that the model reads at once, or parts, each behind it."""
        (begin,) = self.encode([prompt])
        found = []
        for whole in self._pieces_of([prompt + text for text in texts]):
            own = max(1, len(whole.ids) - len(begin))
            length = -(-own // -(-own // (self._most - len(begin))))
            first = self._first(whole, len(begin) + length, len(prompt))
            starts = range(len(begin) + length, len(whole.ids), length)
            rest = (self._part(whole, start, start + length, begin, len(prompt)) for start in starts)
            found.append([first, *rest])
        return found

    def beginning(self, prompt: str, text: str) -> _Part:
        """Of the text behind the prompt as much as the model reads."""
        (whole,) = self._pieces_of([prompt + text])
        return self._first(whole, self._most, len(prompt))

    def _first(self, whole: _Pieces, stop: int, shift: int) -> _Part:
        """The pieces before `stop`. shift: characters before the text; what ends there is no word of it."""
        ends = (at for at, (_, end) in enumerate(whole.spans) if end > shift)
        start = min(next(ends, stop), stop)
        return self._part(whole, start, stop, whole.ids[:start], shift)

    def _part(self, whole: _Pieces, start: int, stop: int, head: Ids, shift: int) -> _Part:
        """The pieces [start, stop) behind `head`. shift: characters before the text."""
        ids = whole.ids[start:stop]
        first = len(self._before) + len(head)
        spans: list[Span] = []
        rows: list[int] = []
        for row, at in enumerate(range(start, start + len(ids)), first):
            begin, end = (max(0, place - shift) for place in whole.spans[at])
            if rows and not whole.begins[at]:
                spans[-1] = (spans[-1][0], end)
                continue
            spans.append((begin, end))
            rows.append(row)
        return _Part(self._within_markers([*head, *ids]), spans, rows, first + len(ids))

    def _pieces_of(self, texts: Sequence[str]) -> list[_Pieces]:
        """As encode, with where each piece stands."""
        try:
            encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        except TypeError as error:
            raise EmbedderTextError(_NOT_UNICODE) from error
        return [
            _Pieces(one.ids, one.offsets, _begins(text, one.offsets, one.word_ids))
            for text, one in zip(texts, encodings, strict=True)
        ]

    def _within_markers(self, ids: Ids) -> Ids:
        return [*self._before, *ids, *self._after]

    def pieces(self, text: str) -> list[str]:
        try:
            pieces: list[str] = self._tokenizer.encode(text, add_special_tokens=False).tokens
        except TypeError as error:
            raise EmbedderTextError(_NOT_UNICODE) from error
        return pieces


class _Sessions:
    """The loaded models: one core for a question, all for texts in a hurry, and lanes for passages."""

    def __init__(self, home: Path, threads: int) -> None:
        try:
            self.queries = _session(home / kept_graphs.MODEL, threads)
            self.passages = _session(home / kept_graphs.MODEL, 1)
            quantized = home / kept_graphs.QUANTIZED
            self.questions = _session(quantized, 1) if quantized.exists() else self.queries
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


def _begins(text: str, spans: Sequence[Span], words: Sequence[int | None]) -> list[bool]:
    """Which pieces begin a word. Tokenizers take what has no blanks for one, a sentence of Japanese; where a
    script sets none each piece is a word.
    """
    apart = tokens.runs_on(text)
    found = []
    word_before, end_before = None, 0
    for word, (start, end) in zip(words, spans, strict=True):
        # One character can be of several pieces.
        alone = apart and start >= end_before and tokens.runs_on(text[start:end])
        found.append(word != word_before or alone)
        word_before, end_before = word, end
    return found


def _run(session: Any, encoded: Sequence[Ids]) -> Vectors:
    vectors: Vectors
    (vectors,) = _outputs(session, encoded, ["vectors"])
    return vectors


def _run_words(session: Any, parts: Sequence[_Part]) -> tuple[Vectors, list[WordVectors]]:
    vectors, pieces = _outputs(session, [part.ids for part in parts], ["vectors", "pieces"])
    return vectors, [part.words(rows) for part, rows in zip(parts, pieces, strict=True)]


def _outputs(session: Any, encoded: Sequence[Ids], names: list[str]) -> list[Any]:
    longest = max(map(len, encoded))
    ids = np.zeros((len(encoded), longest), np.int32)
    mask = np.zeros((len(encoded), longest), np.int32)
    for row, text in enumerate(encoded):
        ids[row, : len(text)] = text
        mask[row, : len(text)] = 1
    try:
        outputs: list[Any] = session.run(names, {"ids": ids, "mask": mask})
    except _RUNTIME_ERRORS as error:
        raise EmbedderUnavailableError(f"the embedding model failed: {type(error).__name__}") from error
    return outputs


def _joined(words: Sequence[WordVectors]) -> WordVectors:
    """Of the parts of one text."""
    spans = [span for some in words for span in some.spans]
    return WordVectors(spans, np.concatenate([some.vectors for some in words]))


def _means(vectors: Vectors, parts: Sequence[Sequence[_Part]]) -> Vectors:
    """A row for each text, of length 1. vectors: those of all parts, in order."""
    ends = np.cumsum([len(some) for some in parts])
    weighted = vectors * np.array([[len(part)] for some in parts for part in some], np.float32)
    sums = np.add.reduceat(weighted, ends - [len(some) for some in parts], axis=0)
    means: Vectors = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    return means


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
            _log.warning("embedding lanes keep the normal priority", extra={"fields": {"error": str(error)}})
