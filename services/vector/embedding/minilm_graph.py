"""all-MiniLM-L6-v2 as an ONNX graph.

BERT (6 layers, 384 wide, 12 heads, exact GELU), the mean over the tokens, and
a division by the length, in onnxruntime's fused operators. What a text gets
does not depend on the padding of its batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from safetensors import safe_open

HIDDEN = 384
HEADS = 12
LAYERS = 6
EPSILON = 1e-12  # layer_norm_eps of the model's config.json

_FUSED = "com.microsoft"
_PAGE = 4096  # tensors start at pages, so that they can be mapped
_ROWS = 4096


def write(weights: Path, numbers: BinaryIO, *, location: str) -> bytes:
    """Writes the numbers of the safetensors file `weights` to `numbers`, one tensor at a time.

    Returns the ONNX model that finds them in the file `location` beside it. Its inputs are ids and mask
    (int32, texts × tokens, padded on the right), its output is vectors (float32, texts × 384).
    Raises OSError, SafetensorError.
    """
    with safe_open(weights, "numpy") as source:
        return _Graph(source, numbers, location).model().SerializeToString()


class _Graph:
    """Writes the numbers to a file one tensor at a time, and keeps the operators that use them."""

    def __init__(self, source: Any, file: BinaryIO, location: str) -> None:
        self._source = source
        self._file = file
        self._location = location
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[TensorProto] = []

    def model(self) -> onnx.ModelProto:
        hidden = self._embeddings()
        for layer in range(LAYERS):
            hidden = self._layer(layer, hidden)
        self._pool(hidden)
        graph = helper.make_graph(
            self._nodes,
            "all-MiniLM-L6-v2",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT32, ["texts", "tokens"]),
                helper.make_tensor_value_info("mask", TensorProto.INT32, ["texts", "tokens"]),
            ],
            [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", HIDDEN])],
            self._tensors,
        )
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="meldrag")

    def _embeddings(self) -> str:
        words = self._copy_rows("embeddings.word_embeddings.weight")
        # One text is one segment, so that segment's vector is part of every position's.
        positions = self._add(
            "positions",
            [
                self._tensor("embeddings.position_embeddings.weight")
                + self._tensor("embeddings.token_type_embeddings.weight")[0]
            ],
        )
        norm = self._norm("embeddings.LayerNorm")
        self._node(
            "EmbedLayerNormalization",
            ["ids", "", words, positions, "", *norm, "mask"],
            ["embedded", "lengths"],
            epsilon=EPSILON,
        )
        return "embedded"

    def _layer(self, number: int, hidden: str) -> str:
        at = f"encoder.layer.{number}"
        heads = [f"{at}.attention.self.{part}" for part in ("query", "key", "value")]
        attended, projected, middle = f"{at}.attended", f"{at}.projected", f"{at}.middle"
        widened, activated, narrowed, out = (f"{at}.{s}" for s in ("widened", "activated", "narrowed", "out"))
        matrix = self._add(f"{at}.heads", (self._tensor(f"{head}.weight").T for head in heads), axis=1)
        bias = self._add(f"{at}.heads.bias", (self._tensor(f"{head}.bias") for head in heads))
        self._node("Attention", [hidden, matrix, bias, "lengths"], [attended], num_heads=HEADS)
        self._multiply(attended, f"{at}.attention.output.dense", projected)
        self._add_and_norm(projected, hidden, f"{at}.attention.output", middle)
        self._multiply(middle, f"{at}.intermediate.dense", widened)
        self._node("BiasGelu", [widened, self._copy(f"{at}.intermediate.dense.bias")], [activated])
        self._multiply(activated, f"{at}.output.dense", narrowed)
        self._add_and_norm(narrowed, middle, f"{at}.output", out)
        return out

    def _pool(self, hidden: str) -> None:
        """The sum over a text's tokens, brought to length 1, which the mean brought to length 1 is too."""
        axis = helper.make_tensor("axis", TensorProto.INT64, [1], [1])
        self._tensors.append(axis)
        self._node("Cast", ["mask"], ["weights"], domain="", to=TensorProto.FLOAT)
        self._node("Unsqueeze", ["weights", "axis"], ["row"], domain="")
        self._node("MatMul", ["row", hidden], ["sums"], domain="")
        self._node("Squeeze", ["sums", "axis"], ["sum"], domain="")
        self._node("LpNormalization", ["sum"], ["vectors"], domain="", axis=-1, p=2)

    def _multiply(self, left: str, dense: str, out: str) -> None:
        matrix = self._add(f"{dense}.weight", [self._tensor(f"{dense}.weight").T])
        self._node("MatMul", [left, matrix], [out], domain="")

    def _add_and_norm(self, left: str, right: str, at: str, out: str) -> None:
        norm = self._norm(f"{at}.LayerNorm")
        bias = self._copy(f"{at}.dense.bias")
        self._node("SkipLayerNormalization", [left, right, *norm, bias], [out], epsilon=EPSILON)

    def _norm(self, at: str) -> tuple[str, str]:
        return self._copy(f"{at}.weight"), self._copy(f"{at}.bias")

    def _node(
        self, operator: str, inputs: list[str], outputs: list[str], *, domain: str = _FUSED, **attributes: Any
    ) -> None:
        self._nodes.append(helper.make_node(operator, inputs, outputs, domain=domain, **attributes))

    def _tensor(self, name: str) -> NDArray[np.float32]:
        return np.asarray(self._source.get_tensor(name), dtype=np.float32)

    def _copy(self, name: str) -> str:
        return self._add(name, [self._tensor(name)])

    def _copy_rows(self, name: str) -> str:
        """A copy in pieces: the table of words is half of the model."""
        rows = self._source.get_slice(name)
        height, width = rows.get_shape()
        pieces = (rows[start : min(start + _ROWS, height)] for start in range(0, height, _ROWS))
        return self._write(name, (height, width), pieces)

    def _add(self, name: str, parts: Iterable[NDArray[np.float32]], *, axis: int = 0) -> str:
        whole = np.concatenate(list(parts), axis=axis)
        return self._write(name, whole.shape, [whole])

    def _write(self, name: str, shape: tuple[int, ...], pieces: Iterable[NDArray[np.float32]]) -> str:
        start = -(-self._file.tell() // _PAGE) * _PAGE
        self._file.seek(start)
        for piece in pieces:
            self._file.write(np.ascontiguousarray(piece, dtype="<f4").data)
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
        tensor.data_location = TensorProto.EXTERNAL
        length = self._file.tell() - start
        for key, value in (("location", self._location), ("offset", str(start)), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        self._tensors.append(tensor)
        return name
