from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from services.vector.embedding import folder, kept_graphs
from services.vector.embedding.kept_graphs import ModelFilesError
from services.vector.embedding.local import LocalEmbedder
from services.vector.embedding.minilm import MiniLmEmbedder
from services.vector.embedding.minilm_files import installed_files
from services.vector.embedding.ports import EmbedderDeadlineError, EmbedderUnavailableError
from services.vector.embedding.scale import BUILT_IN
from tests.support.model_folder import MAX_TOKENS, WIDTH, write_json, write_model
from tests.tools.reference_models import MODELS

REFERENCE = json.loads((Path(__file__).parent / "fixtures" / "folder_reference.json").read_bytes())
TEXTS = REFERENCE["texts"]
_QUERY = "encoder.layer.0.attention.self.query.weight"
_INNER = "encoder.layer.1.output.dense.bias"
_SEGMENTS = "embeddings.token_type_embeddings.weight"


def soon() -> float:
    return time.monotonic() + 60


@contextmanager
def opened(path: Path, models: Path | None = None) -> Iterator[LocalEmbedder]:
    with closing(LocalEmbedder(folder.read(path), models or path.parent / "models")) as embedder:
        yield embedder


@pytest.mark.parametrize("name", MODELS)
def test_vectors_agree_with_sentence_transformers(tmp_path: Path, name: str) -> None:
    with opened(write_model(tmp_path / name, **MODELS[name])) as embedder:
        made = {
            "queries": embedder.embed_queries(TEXTS, deadline=soon()),
            "passages": embedder.embed_passages(TEXTS, deadline=soon()),
            "texts": embedder.embed_texts(TEXTS, deadline=soon()),
        }
        question = embedder.embed_question(TEXTS[0], deadline=soon())
        whole = np.array(embedder.token_counts(TEXTS)) <= embedder.passage_tokens()

    assert whole.sum() >= len(TEXTS) - 1
    for way, vectors in made.items():
        expected = np.array(REFERENCE["vectors"][name][way])
        assert vectors.shape == (len(TEXTS), WIDTH)
        # Of a longer passage more is read here than by sentence-transformers, which leaves out its end.
        same = whole if way == "passages" else np.full(len(TEXTS), True)
        np.testing.assert_allclose(vectors[same], expected[same], atol=5e-6, err_msg=way)
    np.testing.assert_allclose(question, made["queries"][0], atol=1e-6)


def test_the_reference_tells_these_models_and_their_prompts_apart() -> None:
    vectors = {name: np.array(ways["passages"]) for name, ways in REFERENCE["vectors"].items()}
    names = list(vectors)
    for one in names:
        for other in names[names.index(one) + 1 :]:
            assert np.abs(vectors[one] - vectors[other]).max() > 0.01, (one, other)
    prompted = REFERENCE["vectors"]["bert-first"]
    assert np.abs(np.array(prompted["queries"]) - np.array(prompted["texts"])).max() > 0.01


def test_many_texts_are_embedded_as_few_are(tmp_path: Path) -> None:
    with opened(write_model(tmp_path / "m", prompts={"query": "how ", "document": "the "})) as embedder:
        many = embedder.embed_texts(TEXTS * 5, deadline=soon())
        few = embedder.embed_texts(TEXTS, deadline=soon())
    np.testing.assert_allclose(many, np.concatenate([few] * 5), atol=1e-5)


def test_halves_are_read_as_the_numbers_that_they_are(tmp_path: Path) -> None:
    with opened(write_model(tmp_path / "whole")) as embedder:
        whole = embedder.embed_texts(TEXTS, deadline=soon())
    with opened(write_model(tmp_path / "half", dtype=np.float16)) as embedder:
        half = embedder.embed_texts(TEXTS, deadline=soon())
    assert ((whole * half).sum(axis=1) > 0.999).all()
    assert np.abs(whole - half).max() > 0


def test_numbers_of_half_the_bytes_and_the_range_of_whole_ones_are_read(tmp_path: Path) -> None:
    with opened(write_model(tmp_path / "whole")) as embedder:
        whole = embedder.embed_texts(TEXTS, deadline=soon())
    with opened(write_model(tmp_path / "brain", dtype=ml_dtypes.bfloat16)) as embedder:
        brain = embedder.embed_texts(TEXTS, deadline=soon())
    assert ((whole * brain).sum(axis=1) > 0.99).all()
    assert np.abs(whole - brain).max() > 0


@pytest.mark.parametrize("kind", ["distilbert", "mpnet"])
def test_numbers_of_other_kinds_are_looked_at_by_their_own_names(tmp_path: Path, kind: str) -> None:
    path = write_model(tmp_path / "mine", kind=kind)
    folder.read(path)
    name = {
        "distilbert": "transformer.layer.1.ffn.lin2.bias",
        "mpnet": "encoder.layer.1.attention.attn.o.bias",
    }
    _dropped(path / "model.safetensors", name[kind])
    with pytest.raises(ModelFilesError, match=f"model.safetensors has {name[kind]} missing"):
        folder.read(path)
    key = {"distilbert": "n_heads", "mpnet": "num_attention_heads"}
    _changed(path / "config.json", **{key[kind]: 0})
    with pytest.raises(ModelFilesError, match=f"nothing that can be used of {key[kind]}: 0"):
        folder.read(path)


def test_a_table_of_distances_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write_model(tmp_path / "mine", kind="mpnet")
    _numbers(path, "encoder.relative_attention_bias.weight", lambda old: old[:16])
    with pytest.raises(ModelFilesError, match=r"has encoder.relative_attention_bias.weight \(16, 4\)"):
        folder.read(path)


def test_revisions_of_a_bert_are_what_they_were_before_other_kinds(tmp_path: Path) -> None:
    """Vectors under another revision would not be found any more."""
    assert folder.read(write_model(tmp_path / "m")).revision == "c41970746808-841016be1034-1"


def test_tensors_may_be_part_of_something_greater(tmp_path: Path) -> None:
    with opened(write_model(tmp_path / "plain")) as embedder:
        plain = embedder.embed_texts(TEXTS, deadline=soon())
    with opened(write_model(tmp_path / "within", prefix="bert.")) as embedder:
        within = embedder.embed_texts(TEXTS, deadline=soon())
    np.testing.assert_array_equal(plain, within)


def test_what_is_read_of_a_passage_is_told_without_markers_and_prompt(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m", prompts={"query": "how deep is the: ", "document": "passage: "})
    with opened(path) as embedder:
        assert embedder.passage_tokens() == MAX_TOKENS - 2 - 2
        assert embedder.token_counts(["the harbour", ""]) == [2, 0]
        full = "the " * embedder.passage_tokens()
        whole, shorter = embedder.embed_passages([full, full.removesuffix("the ")], deadline=soon())
        asked, longer = embedder.embed_texts([full + "harbour deep", full + "deep harbour"], deadline=soon())
    assert np.abs(whole - shorter).max() > 1e-6
    # A question, or a text of no kind, is cut.
    assert np.abs(asked - longer).max() < 1e-2


@pytest.mark.parametrize("prompts", [{}, {"document": "passage: "}])
def test_a_passage_that_was_cut_for_a_model_that_reads_more_has_the_mean_of_its_parts(
    tmp_path: Path, prompts: dict[str, str]
) -> None:
    with opened(write_model(tmp_path / "m", prompts=prompts)) as embedder:
        most = embedder.passage_tokens()
        words = ["ships", "moor", "deep", "harbour"]
        long = " ".join(words[number % 4] for number in range(2 * most + 2))
        # Three parts of like length; each stands behind the prompt.
        length = -(-(2 * most + 2) // 3)
        parts = [" ".join(long.split()[at : at + length]) for at in range(0, 2 * most + 2, length)]
        assert len(parts) == 3
        some = embedder.embed_passages(["the harbour", long, "", *parts], deadline=soon())
        (alone,) = embedder.embed_passages([long], deadline=soon())
        few = embedder.embed_passages(["the harbour", ""], deadline=soon())
        counts = [count + 2 + 2 * bool(prompts) for count in embedder.token_counts(parts)]
    expected = sum(count * vector for count, vector in zip(counts, some[3:], strict=True))
    expected = expected / np.linalg.norm(expected)
    np.testing.assert_allclose(some[1], expected, atol=1e-5)
    np.testing.assert_allclose(alone, expected, atol=1e-5)
    np.testing.assert_allclose(some[[0, 2]], few, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(some, axis=1), 1, atol=1e-5)


def test_no_more_is_read_than_the_model_is_said_to(tmp_path: Path) -> None:
    with opened(write_model(tmp_path / "m", max_tokens=32)) as embedder:
        assert embedder.passage_tokens() == 30
    # Where the limit is not said, positions are one.
    path = write_model(tmp_path / "positions", kind="roberta")
    (path / "sentence_bert_config.json").unlink()
    (path / "tokenizer_config.json").unlink()
    with opened(path) as embedder:
        assert embedder.passage_tokens() == MAX_TOKENS - 2
    # Or the tokenizer says it, as newer versions save it; the greatest number stands for none.
    write_json(path / "tokenizer_config.json", {"model_max_length": 40})
    with opened(path) as embedder:
        assert embedder.passage_tokens() == 38
    write_json(path / "tokenizer_config.json", {"model_max_length": 1e30})
    with opened(path) as embedder:
        assert embedder.passage_tokens() == MAX_TOKENS - 2


def _changed(path: Path, **values: Any) -> None:
    write_json(path, {**(json.loads(path.read_text()) if path.exists() else {}), **values})


@pytest.mark.parametrize(
    "change",
    [
        lambda path: shutil.copy(
            write_model(path.parent / "o", seed=2) / "model.safetensors", path / "model.safetensors"
        ),
        lambda path: _changed(
            path / "1_Pooling/config.json", pooling_mode="cls", pooling_mode_mean_tokens=False
        ),
        lambda path: _changed(path / "config.json", layer_norm_eps=1e-5),
        lambda path: _changed(path / "sentence_bert_config.json", max_seq_length=40),
        lambda path: _changed(path / "sentence_bert_config.json", do_lower_case=True),
        lambda path: _changed(path / "config_sentence_transformers.json", prompts={"document": "passage: "}),
        lambda path: _changed(path / "tokenizer.json", version="1.0 "),
    ],
    ids=["weights", "pooling", "norms", "limit", "lower case", "prompt of passages", "words"],
)
def test_whatever_changes_the_vectors_of_passages_is_another_revision(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    path = write_model(tmp_path / "m")
    before = folder.read(path).revision
    assert folder.read(path).revision == before
    change(path)
    assert folder.read(path).revision != before


def test_a_prompt_of_questions_alone_is_no_other_revision(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m")
    before = folder.read(path)
    _changed(path / "config_sentence_transformers.json", prompts={"query": "query: "})
    after = folder.read(path)
    assert (after.revision, after.question_prompt) == (before.revision, "query: ")


@pytest.mark.parametrize(
    ("told", "question", "passage"),
    [
        ({}, "", ""),
        ({"prompts": {}}, "", ""),
        ({"prompts": {"query": "q ", "passage": "p "}}, "q ", "p "),
        ({"prompts": {"query": "q ", "corpus": "c ", "passage": "p "}}, "q ", "p "),
        ({"prompts": {"query": "q ", "document": "", "passage": "p "}}, "q ", "p "),
        ({"prompts": {"query": "q ", "document": "d ", "passage": "p "}}, "q ", "d "),
        ({"prompts": {"any": "a "}, "default_prompt_name": "any"}, "a ", "a "),
        ({"prompts": {"any": "a ", "query": "q "}, "default_prompt_name": "any"}, "q ", "a "),
        ({"prompts": {"any": "a "}, "default_prompt_name": None}, "", ""),
        ({"prompts": {"query": "q ", "document": ""}, "default_prompt_name": "query"}, "q ", ""),
        ({"prompts": {"any": "a "}, "default_prompt_name": ["any"]}, "", ""),
    ],
)
def test_prompts_are_those_that_the_model_names(
    tmp_path: Path, told: dict[str, Any], question: str, passage: str
) -> None:
    path = write_model(tmp_path / "m")
    write_json(path / "config_sentence_transformers.json", told)
    read = folder.read(path)
    assert (read.question_prompt, read.passage_prompt) == (question, passage)


def _modules(*kinds: str) -> list[dict[str, str]]:
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"}
    return [
        {"type": f"sentence_transformers.models.{kind}", "path": paths.get(kind, "3_X")} for kind in kinds
    ]


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def _queue(path: Path) -> None:
    """What never ends when it is read."""
    path.unlink()
    os.mkfifo(path)


def _numbers(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    tensors = load_file(path / "model.safetensors")
    save_file({**tensors, name: np.ascontiguousarray(change(tensors[name]))}, path / "model.safetensors")


def _dropped(path: Path, name: str) -> None:
    tensors = load_file(path)
    del tensors[name]
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda path: write_json(path / "modules.json", _modules("Transformer")),
            "modules.json lists Transformer;",
        ),
        (
            lambda path: write_json(
                path / "modules.json", _modules("Transformer", "Pooling", "Dense", "Normalize")
            ),
            "modules.json lists Transformer, Pooling, Dense, Normalize; served are",
        ),
        (lambda path: write_json(path / "modules.json", {}), "modules.json is no list"),
        (lambda path: write_json(path / "modules.json", [3]), "modules.json is no list of modules"),
        (
            lambda path: write_json(path / "modules.json", [{"type": "x.Transformer", "path": "../other"}]),
            r'modules.json names the path "\.\./other"',
        ),
        (lambda path: (path / "modules.json").write_text("{"), "modules.json cannot be read"),
        (lambda path: (path / "modules.json").write_text("[" * 500_000), "modules.json cannot be read"),
        (lambda path: (path / "config.json").write_text(" " * 2_000_000), "config.json has more than"),
        (lambda path: (path / "config.json").unlink(), "config.json is missing, or no file"),
        (
            lambda path: _changed(path / "config.json", model_type="modernbert"),
            "config.json is of a modernbert; served are",
        ),
        (
            lambda path: _changed(path / "config.json", hidden_act="relu"),
            "has hidden_act relu; served is gelu",
        ),
        (
            lambda path: _changed(path / "config.json", position_embedding_type="relative_key"),
            "has position_embedding_type relative_key",
        ),
        (
            lambda path: _changed(path / "config.json", hidden_size="wide"),
            "says nothing .* of hidden_size: wide",
        ),
        (
            lambda path: _changed(path / "config.json", num_attention_heads=0),
            "nothing .* of num_attention_heads: 0",
        ),
        (
            lambda path: _changed(path / "config.json", num_attention_heads=5),
            "a shape that is none of a BERT",
        ),
        (lambda path: _changed(path / "config.json", layer_norm_eps=-1.0), "a shape that is none of a BERT"),
        (
            lambda path: _changed(path / "config.json", num_hidden_layers=3),
            r"model.safetensors has \(32, 2, 48\)",
        ),
        (
            lambda path: _changed(path / "1_Pooling/config.json", pooling_mode_max_tokens=True),
            "1_Pooling/config.json pools by mean, max; served are mean and cls",
        ),
        (
            lambda path: write_json(path / "1_Pooling/config.json", {"pooling_mode": 3}),
            "pools by 3",
        ),
        (
            lambda path: write_json(path / "1_Pooling/config.json", {"pooling_mode": ["mean", "max"]}),
            "pools by mean, max",
        ),
        (
            lambda path: _changed(path / "1_Pooling/config.json", include_prompt=False),
            "leaves prompts out of the mean",
        ),
        (
            lambda path: _changed(path / "sentence_bert_config.json", max_seq_length=8),
            "reads 8 tokens, fewer than 32",
        ),
        (
            lambda path: _changed(path / "sentence_bert_config.json", max_seq_length="all"),
            "reads all tokens",
        ),
        (
            lambda path: _changed(path / "config_sentence_transformers.json", prompts={"query": 3}),
            "has prompts that are no texts",
        ),
        (
            lambda path: _changed(path / "config_sentence_transformers.json", prompts={"query": "x" * 3000}),
            "has prompts that are no texts of at most 2000",
        ),
        (
            lambda path: (path / "model.safetensors").unlink(),
            "model.safetensors is missing, or no file; .*pytorch_model.bin",
        ),
        (lambda path: _cut(path / "model.safetensors"), "model.safetensors cannot be read"),
        (
            lambda path: _dropped(path / "model.safetensors", "embeddings.word_embeddings.weight"),
            "model.safetensors holds no BERT",
        ),
        (lambda path: (path / "tokenizer.json").unlink(), "tokenizer.json is missing"),
        (
            lambda path: _dropped(path / "model.safetensors", _INNER),
            f"model.safetensors has {_INNER} missing",
        ),
        (lambda path: _numbers(path, _QUERY, lambda old: old[0]), rf"has {_QUERY} \(32,\) of type F32"),
        (
            lambda path: _numbers(path, _QUERY, lambda old: old[:, 1:]),
            rf"has {_QUERY} \(32, 31\) of type F32",
        ),
        (lambda path: _numbers(path, _QUERY, lambda old: old.astype(np.int8)), "of type I8; served is"),
        (lambda path: _numbers(path, _SEGMENTS, lambda old: old[:0]), rf"has {_SEGMENTS} \(0, 32\)"),
        (lambda path: _numbers(path, _SEGMENTS, lambda old: old[:, 1:]), rf"has {_SEGMENTS} \(1, 31\)"),
        (
            lambda path: write_json(
                path / "modules.json", _modules("Transformer", "Pooling", "Pooling", "Normalize")
            ),
            "modules.json lists Transformer, Pooling, Pooling, Normalize",
        ),
        (
            lambda path: write_json(
                path / "modules.json", [{"type": "custom.Transformer", "path": ""}, *_modules("Pooling")]
            ),
            "modules.json lists custom.Transformer, Pooling",
        ),
        (
            lambda path: write_json(path / "1_Pooling/config.json", {"pooling_mode": [["mean"]]}),
            r"pools by \['mean'\]",
        ),
        (lambda path: _changed(path / "config.json", max_position_embeddings=1), "reads 48 tokens, fewer"),
        (
            lambda path: _changed(path / "config_sentence_transformers.json", prompts={"query": "\ud800"}),
            "has prompts that are no texts",
        ),
        (lambda path: _queue(path / "config.json"), "config.json is missing, or no file"),
    ],
)
def test_what_is_not_served_is_refused_with_the_file_and_the_reason(
    tmp_path: Path, change: Callable[[Path], object], why: str
) -> None:
    path = write_model(tmp_path / "mine")
    change(path)
    with pytest.raises(ModelFilesError, match=f"the embedding model in mine cannot be served: .*{why}"):
        folder.read(path)


@pytest.mark.parametrize("similarity", ["dot", "euclidean", "manhattan"])
def test_what_compares_vectors_of_any_length_is_not_served(tmp_path: Path, similarity: str) -> None:
    path = write_model(tmp_path / "m")
    write_json(path / "modules.json", _modules("Transformer", "Pooling"))
    for served in ({}, {"similarity_fn_name": "cosine"}):
        write_json(path / "config_sentence_transformers.json", served)
        folder.read(path)
    write_json(path / "config_sentence_transformers.json", {"similarity_fn_name": similarity})
    with pytest.raises(ModelFilesError, match=f"compares by {similarity}"):
        folder.read(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda path: (path / "tokenizer.json").write_text("{}"),
            "tokenizer.json of the embedding model cannot",
        ),
        (
            lambda path: shutil.copy(
                write_model(path.parent / "more", words=("quay",)) / "tokenizer.json", path / "tokenizer.json"
            ),
            r"tokenizer.json has \d+ words, and model.safetensors has \d+",
        ),
        (
            lambda path: (path / "tokenizer.json").write_text(
                (path / "tokenizer.json").read_text().replace('"harbour": ', '"harbour": 1')
            ),
            r"tokenizer.json has 1\d+ words, and model.safetensors has \d+",
        ),
        (
            lambda path: _changed(
                path / "config_sentence_transformers.json", prompts={"document": "the ships " * 13}
            ),
            "the prompts of mine leave no room for a text",
        ),
        (
            lambda path: _numbers(path, _INNER, lambda old: old * np.nan),
            "the weights of mine make vectors that are no numbers",
        ),
    ],
    ids=["no tokenizer", "more words than vectors", "a word without a vector", "a long prompt", "no numbers"],
)
def test_what_shows_when_it_is_loaded_makes_it_unavailable(
    tmp_path: Path, change: Callable[[Path], object], why: str
) -> None:
    path = write_model(tmp_path / "mine")
    change(path)
    with opened(path) as embedder, pytest.raises(EmbedderUnavailableError, match=why):
        embedder.embed_question("the harbour", deadline=soon())


def test_weights_that_change_while_it_runs_are_not_taken_for_those_before(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m")
    with opened(path) as embedder:
        shutil.copy(write_model(tmp_path / "o", seed=2) / "model.safetensors", path / "model.safetensors")
        with pytest.raises(ModelFilesError, match="has changed since the start"):
            embedder.load()


def test_words_that_change_while_it_runs_are_not_taken_for_those_before(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m")
    with opened(path) as embedder:
        embedder.load()
    with opened(path) as embedder:
        shutil.copy(write_model(tmp_path / "o", words=("quay",)) / "tokenizer.json", path / "tokenizer.json")
        with pytest.raises(ModelFilesError, match=r"tokenizer\.json of m has changed since the start"):
            embedder.embed_queries(["the quay"], deadline=soon())


def test_who_comes_while_it_is_loaded_waits_until_the_deadline(tmp_path: Path) -> None:
    local = folder.read(write_model(tmp_path / "m"))
    begun, go_on = threading.Event(), threading.Event()

    def graph(models: Path) -> Path:
        begun.set()
        assert go_on.wait(60)
        return local.graph(models)

    embedder = LocalEmbedder(replace(local, graph=graph), tmp_path / "models")
    loading = threading.Thread(target=embedder.load)
    loading.start()
    try:
        assert begun.wait(30)
        with pytest.raises(EmbedderDeadlineError, match="still being loaded"):
            embedder.embed_question("the harbour", deadline=time.monotonic() + 0.2)
        with pytest.raises(EmbedderDeadlineError, match="still being loaded"):
            embedder.ping(deadline=time.monotonic() + 0.1)
    finally:
        go_on.set()
        loading.join()
    assert embedder.embed_question("the harbour", deadline=soon()).shape == (WIDTH,)
    embedder.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_may_not_be_read_is_told_and_does_not_hide_the_others() -> None:
    with tempfile.TemporaryDirectory() as parent:
        Path(parent).chmod(0o755)
        for name in ("mine", "shut", "weights"):
            write_model(Path(parent) / name)
        (Path(parent) / "mine" / "model.safetensors").chmod(0o644)
        (Path(parent) / "shut").chmod(0o700)
        os.seteuid(65534)
        try:
            assert folder.names(Path(parent)) == ["mine", "shut", "weights"]
            folder.read(Path(parent) / "mine")
            for name in ("shut", "weights"):
                with pytest.raises(ModelFilesError, match=f"{name} cannot be .*Permission denied"):
                    folder.read(Path(parent) / name)
        finally:
            os.seteuid(0)


def test_the_graph_is_kept_and_goes_with_its_model(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in ("mine", "mine-too"):
        with opened(write_model(tmp_path / name)) as embedder:
            embedder.load()
    (models / ".building-folder-mine-abcdefgh").mkdir()
    (models / "minilm-l6-v2-graph2-53aa51172d14").mkdir()
    kept = sorted(one.name for one in models.iterdir())
    assert len(kept) == 4

    # Another file under the same name takes the place of the one before, and of nobody else.
    shutil.copy(
        write_model(tmp_path / "o", seed=2) / "model.safetensors", tmp_path / "mine" / "model.safetensors"
    )
    with opened(tmp_path / "mine") as embedder:
        embedder.load()
    now = sorted(one.name for one in models.iterdir())
    assert len(now) == 3
    assert len(set(now) & set(kept)) == 2

    kept_graphs.forget_graphs(models, folder.GRAPH_PREFIX, ["folder-mine"])
    assert sorted(one.name.rpartition("-graph")[0] for one in models.iterdir()) == [
        "folder-mine",
        "minilm-l6-v2",
    ]


def test_names_are_those_of_folders_with_a_model(tmp_path: Path) -> None:
    write_model(tmp_path / "b")
    write_model(tmp_path / "a.v1_2-x")
    write_model(tmp_path / ".hidden")
    write_model(tmp_path / "with blank")
    (tmp_path / "no-model").mkdir()
    (tmp_path / "file").write_text("")
    assert folder.names(tmp_path) == ["a.v1_2-x", "b"]
    assert folder.names(tmp_path / "nowhere") == []
    with pytest.raises(ModelFilesError, match="cannot be read"):
        folder.names(tmp_path / "file")


def test_its_scale_is_measured_once_and_again_with_another_prompt(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m")
    with opened(path) as embedder:
        assert embedder.scale() == BUILT_IN
        embedder.load()
        first = embedder.scale()
    assert first != BUILT_IN
    (kept,) = (tmp_path / "models").glob("folder-m-graph*/scale.json")
    written = kept.stat().st_mtime_ns
    with opened(path) as embedder:
        embedder.load()
        assert embedder.scale() == first
    assert kept.stat().st_mtime_ns == written
    _changed(path / "config_sentence_transformers.json", prompts={"query": "how deep is the harbour: "})
    with opened(path) as embedder:
        embedder.load()
        assert embedder.scale() != first


def test_the_folder_of_the_built_in_model_is_the_built_in_model(
    tmp_path: Path, minilm: MiniLmEmbedder
) -> None:
    """A folder as its makers publish it."""
    texts = [*TEXTS[:4], "The ledger was copied twice. " * 60]
    with opened(installed_files().weights.parent, tmp_path / "models") as embedder:
        assert (embedder.dimension, embedder.passage_tokens()) == (minilm.dimension, minilm.passage_tokens())
        assert embedder.token_counts(texts) == minilm.token_counts(texts)
        made = embedder.embed_passages(texts, deadline=soon())
        np.testing.assert_array_equal(made, minilm.embed_passages(texts, deadline=soon()))
        assert embedder.scale().worth == pytest.approx(1.0, abs=0.01)
