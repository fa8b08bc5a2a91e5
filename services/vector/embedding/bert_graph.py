"""A BERT that makes one vector of a text, as an ONNX graph.

The layers with exact GELU, the mean over the tokens or the vector of the first,
and a division by the length, in onnxruntime's fused operators. What a text gets
does not depend on the padding of its batch, but in the quantized model. BERT
after Devlin et al., 2019; one vector of a text after Reimers, Gurevych,
"Sentence-BERT", 2019. RoBERTa differs from BERT in where its positions begin,
DistilBERT (Sanh et al., 2019) in names and in what it leaves out, MPNet (Song et
al., 2020) in what it adds to attention: a number for each head and distance, as
T5 does (Raffel et al., 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from safetensors import safe_open

from services.vector.embedding.architecture import Architecture, Kind, Pooling

_FUSED = "com.microsoft"
_PARTS = ("query", "key", "value")
# Of MPNet: from here on all distances are one.
_FARTHEST = 128
# Of a whole number in a matrix. Processors without an instruction for it (VNNI) add two products in sixteen
# bits, where greater ones overflow.
_MAX_QUANTIZED = 64
# A column of nothing has a scale all the same.
_MIN_RANGE = 1e-12
_PAGE = 4096  # tensors start at pages, so that they can be mapped
_ROWS = 4096


def write(
    weights: Path, numbers: BinaryIO, *, location: str, architecture: Architecture, quantized: bool
) -> list[bytes]:
    """Writes the numbers of the safetensors file `weights` to `numbers`, one tensor at a time.

    Returns ONNX models that find them in the file `location` beside them: the model as it is, and, where
    asked for, one whose matrices are quantized to eight bits, which comes near with half of the work. The
    inputs are ids and mask (int32, texts × tokens, padded on the right), the outputs are vectors (float32,
    texts × width) and what they are made of, pieces (float32, texts × tokens × width). Raises OSError,
    SafetensorError.
    """
    with safe_open(weights, "numpy") as source:
        file = _Numbers(source, numbers, location, architecture.tensor)
        kinds = (_Graph, _QuantizedGraph) if quantized else (_Graph,)
        return [kind(file, architecture).model().SerializeToString() for kind in kinds]


class _Numbers:
    """The file of numbers, to which each tensor is written once, whichever graphs have it."""

    def __init__(self, source: Any, file: BinaryIO, location: str, named: Callable[[str], str]) -> None:
        self._source = source
        self._named = named
        self._file = file
        self._location = location
        self._written: dict[str, TensorProto] = {}

    def read(self, name: str) -> NDArray[np.float32]:
        """A tensor of the source."""
        return np.asarray(self._source.get_tensor(self._named(name)), dtype=np.float32)

    def add(self, name: str, make: Callable[[], NDArray[np.number]]) -> TensorProto:
        """The tensor of this name, made when it is not there."""
        if name not in self._written:
            whole = make()
            self._write(name, whole.shape, whole.dtype, [whole])
        return self._written[name]

    def copy_rows(self, name: str) -> TensorProto:
        """A copy in pieces: the table of words is half of the model."""
        if name not in self._written:
            rows = self._source.get_slice(self._named(name))
            height, width = rows.get_shape()
            pieces = (rows[start : min(start + _ROWS, height)] for start in range(0, height, _ROWS))
            self._write(name, (height, width), np.dtype(np.float32), pieces)
        return self._written[name]

    def _write(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: np.dtype[np.number],
        pieces: Iterable[NDArray[np.number]],
    ) -> None:
        start = -(-self._file.tell() // _PAGE) * _PAGE
        self._file.seek(start)
        for piece in pieces:
            self._file.write(np.ascontiguousarray(piece, dtype=kind.newbyteorder("<")).data)
        tensor = TensorProto(name=name, data_type=helper.np_dtype_to_tensor_dtype(kind), dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        length = self._file.tell() - start
        for key, value in (("location", self._location), ("offset", str(start)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        self._written[name] = tensor


class _Graph:
    """The operators, and the numbers that they use."""

    def __init__(self, numbers: _Numbers, architecture: Architecture) -> None:
        self._numbers = numbers
        self._of = architecture
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[TensorProto] = []

    def model(self) -> onnx.ModelProto:
        hidden = self._embeddings()
        if self._of.kind is Kind.MPNET:
            self._attention_bias()
        for layer in range(self._of.layers):
            hidden = self._layer(layer, hidden)
        self._pool(hidden)
        self._node("Identity", [hidden], ["pieces"], domain="")
        graph = helper.make_graph(
            self._nodes,
            self._of.name,
            [
                helper.make_tensor_value_info("ids", TensorProto.INT32, ["texts", "tokens"]),
                helper.make_tensor_value_info("mask", TensorProto.INT32, ["texts", "tokens"]),
            ],
            [
                helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", self._of.width]),
                helper.make_tensor_value_info(
                    "pieces", TensorProto.FLOAT, ["texts", "tokens", self._of.width]
                ),
            ],
            self._tensors,
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="meldrag")

    def _embeddings(self) -> str:
        words = self._use(self._numbers.copy_rows("embeddings.word_embeddings.weight"))
        positions = self._add("positions", self._positions)
        norm = self._norm("embeddings.LayerNorm")
        self._node(
            "EmbedLayerNormalization",
            ["ids", "", words, positions, "", *norm, "mask"],
            ["embedded", "lengths"],
            epsilon=self._of.epsilon,
        )
        return "embedded"

    def _positions(self) -> NDArray[np.float32]:
        rows = self._numbers.read("embeddings.position_embeddings.weight")[self._of.first_position :]
        if self._of.kind is Kind.BERT:
            # One text is one segment, so that segment's vector is part of every position's.
            rows = rows + self._numbers.read("embeddings.token_type_embeddings.weight")[0]
        return rows

    def _attention_bias(self) -> None:
        """What is added to the attention of each head, from each token (row) to each: the same in all layers.

        Looked up by distance in a table (heads, 2 n - 1), whose middle is the token itself.
        """
        table = self._numbers.read("encoder.relative_attention_bias.weight")
        most = len(self._positions())
        buckets = _buckets(np.arange(1 - most, most), len(table))
        distances = self._add("distances", lambda: table[buckets].T)
        for name, value in (("zero", 0), ("one", 1), ("middle", most - 1)):
            self._tensors.append(helper.make_tensor(name, TensorProto.INT64, [], [value]))
        for name, value in (("rows", 1), ("columns", 0)):
            self._tensors.append(helper.make_tensor(f"{name}.axis", TensorProto.INT64, [1], [value]))
        self._node("Shape", ["ids"], ["shape"], domain="")
        self._node("Gather", ["shape", "one"], ["tokens"], domain="")
        self._node("Range", ["zero", "tokens", "one"], ["places"], domain="")
        for name in ("rows", "columns"):
            self._node("Unsqueeze", ["places", f"{name}.axis"], [name], domain="")
        self._node("Sub", ["columns", "rows"], ["apart"], domain="")
        self._node("Add", ["apart", "middle"], ["looked_up"], domain="")
        self._node("Gather", [distances, "looked_up"], ["biases"], domain="", axis=1)
        self._node("Unsqueeze", ["biases", "columns.axis"], ["attention_bias"], domain="")

    def _layer(self, number: int, hidden: str) -> str:
        at = f"encoder.layer.{number}"
        attended, projected, middle = f"{at}.attended", f"{at}.projected", f"{at}.middle"
        widened, activated, narrowed, out = (f"{at}.{s}" for s in ("widened", "activated", "narrowed", "out"))
        self._attend(hidden, f"{at}.attention.self", attended)
        self._multiply(attended, f"{at}.attention.output.dense", projected)
        self._add_and_norm(projected, hidden, f"{at}.attention.output", middle)
        self._multiply(middle, f"{at}.intermediate.dense", widened)
        self._node("BiasGelu", [widened, self._copy(f"{at}.intermediate.dense.bias")], [activated])
        self._multiply(activated, f"{at}.output.dense", narrowed)
        self._add_and_norm(narrowed, middle, f"{at}.output", out)
        return out

    def _attend(self, hidden: str, at: str, out: str) -> None:
        matrix = self._add(f"{at}.heads", lambda: self._heads(at))
        inputs = [hidden, matrix, self._bias(at), "lengths"]
        if self._of.kind is Kind.MPNET:
            inputs += ["", "attention_bias"]
        self._node("Attention", inputs, [out], num_heads=self._of.heads)

    def _heads(self, at: str) -> NDArray[np.float32]:
        """What makes queries, keys and values of a layer, side by side."""
        return np.concatenate([self._numbers.read(f"{at}.{part}.weight").T for part in _PARTS], axis=1)

    def _bias(self, at: str) -> str:
        return self._add(
            f"{at}.heads.bias",
            lambda: np.concatenate([self._numbers.read(f"{at}.{part}.bias") for part in _PARTS]),
        )

    def _multiply(self, left: str, dense: str, out: str) -> None:
        matrix = self._add(f"{dense}.weight", lambda: self._numbers.read(f"{dense}.weight").T)
        self._node("MatMul", [left, matrix], [out], domain="")

    def _pool(self, hidden: str) -> None:
        pool = self._first if self._of.pooling is Pooling.FIRST else self._sum
        self._node("LpNormalization", [pool(hidden)], ["vectors"], domain="", axis=-1, p=2)

    def _sum(self, hidden: str) -> str:
        """The sum over a text's tokens: brought to length 1 it is the mean brought to length 1."""
        axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
        self._tensors.append(axis)
        self._node("Cast", ["mask"], ["weights"], domain="", to=TensorProto.FLOAT)
        self._node("Unsqueeze", ["weights", "axis"], ["row"], domain="")
        self._node("MatMul", ["row", hidden], ["sums"], domain="")
        self._node("Squeeze", ["sums", "axis"], ["sum"], domain="")
        return "sum"

    def _first(self, hidden: str) -> str:
        self._tensors.append(helper.make_tensor("start", TensorProto.INT64, [], [0]))
        self._node("Gather", [hidden, "start"], ["first"], domain="", axis=1)
        return "first"

    def _add_and_norm(self, left: str, right: str, at: str, out: str) -> None:
        norm = self._norm(f"{at}.LayerNorm")
        bias = self._copy(f"{at}.dense.bias")
        self._node("SkipLayerNormalization", [left, right, *norm, bias], [out], epsilon=self._of.epsilon)

    def _norm(self, at: str) -> tuple[str, str]:
        return self._copy(f"{at}.weight"), self._copy(f"{at}.bias")

    def _node(
        self, operator: str, inputs: list[str], outputs: list[str], *, domain: str = _FUSED, **attributes: Any
    ) -> None:
        self._nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))

    def _copy(self, name: str) -> str:
        return self._add(name, lambda: self._numbers.read(name))

    def _add(self, name: str, make: Callable[[], NDArray[np.number]]) -> str:
        return self._use(self._numbers.add(name, make))

    def _use(self, tensor: TensorProto) -> str:
        self._tensors.append(tensor)
        return tensor.name


class _QuantizedGraph(_Graph):
    """The same operators over matrices of eight bits; what they are multiplied with becomes eight bits too.

    Each column of a matrix has a scale of its own, the other side one for all its numbers, found anew in each
    run. So what a text gets depends on those beside it: to be run with one at a time. After Zafrir et al.,
    "Q8BERT: Quantized 8Bit BERT", 2019, without training.
    """

    def _attend(self, hidden: str, at: str, out: str) -> None:
        matrix, scales = self._quantized(f"{at}.heads", lambda: self._heads(at))
        quantized = [f"{out}.{part}" for part in ("quantized", "scale", "zero_point")]
        self._node("DynamicQuantizeLinear", [hidden], quantized, domain="")
        values, scale, zero = quantized
        self._node(
            "QAttention",
            [values, matrix, self._bias(at), scale, scales, "lengths", zero],
            [out],
            num_heads=self._of.heads,
        )

    def _multiply(self, left: str, dense: str, out: str) -> None:
        matrix, scales = self._quantized(f"{dense}.weight", lambda: self._numbers.read(f"{dense}.weight").T)
        self._node("DynamicQuantizeMatMul", [left, matrix, scales], [out])

    def _quantized(self, name: str, make: Callable[[], NDArray[np.float32]]) -> tuple[str, str]:
        """A matrix (n, m) as whole numbers, and what each of its columns is to be multiplied by, (m,)."""

        def quantized() -> NDArray[np.int8]:
            whole = make()
            numbers: NDArray[np.int8] = np.rint(whole / _scales(whole)).astype(np.int8)
            return numbers

        scales = self._add(f"{name}.scales", lambda: _scales(make()))
        matrix = self._add(f"{name}.quantized", quantized)
        return matrix, scales


def _buckets(distances: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The row of a table of `count` for each distance (key minus query), as MPNet and T5 have them.

    Half of the rows is for each direction; half of these for a distance each, the others for ranges that grow
    with the logarithm.
    """
    half = count // 2
    exact = half // 2
    far = np.abs(distances)
    grown = np.log(np.maximum(far, 1) / exact) / math.log(_FARTHEST / exact) * (half - exact)
    ranges = np.minimum(exact + grown.astype(np.int64), half - 1)
    rows: NDArray[np.int64] = np.where(distances > 0, half, 0) + np.where(far < exact, far, ranges)
    return rows


def _scales(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    scales: NDArray[np.float32] = np.maximum(np.abs(matrix).max(axis=0), _MIN_RANGE) / _MAX_QUANTIZED
    return scales
