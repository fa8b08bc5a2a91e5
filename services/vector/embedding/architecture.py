"""What a local model's tensors alone do not tell. Apart, because what builds graphs takes long to load."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What the transformer is; the layers of all are those of BERT."""

    BERT = "bert"
    # Has no segments.
    DISTILBERT = "distilbert"
    # Has none either, and adds to what a token attends to by how far it is.
    MPNET = "mpnet"


# How a kind names what BERT has, in the order in which it is looked for.
_NAMES = {
    Kind.BERT: (),
    Kind.DISTILBERT: (
        ("encoder.layer.", "transformer.layer."),
        (".attention.self.query.", ".attention.q_lin."),
        (".attention.self.key.", ".attention.k_lin."),
        (".attention.self.value.", ".attention.v_lin."),
        (".attention.output.dense.", ".attention.out_lin."),
        (".attention.output.LayerNorm.", ".sa_layer_norm."),
        (".intermediate.dense.", ".ffn.lin1."),
        (".output.dense.", ".ffn.lin2."),
        (".output.LayerNorm.", ".output_layer_norm."),
    ),
    Kind.MPNET: (
        (".attention.self.query.", ".attention.attn.q."),
        (".attention.self.key.", ".attention.attn.k."),
        (".attention.self.value.", ".attention.attn.v."),
        (".attention.output.dense.", ".attention.attn.o."),
        (".attention.output.LayerNorm.", ".attention.LayerNorm."),
    ),
}


class Pooling(StrEnum):
    """How the vectors of a text's tokens become one."""

    MEAN = "mean"
    FIRST = "first"


@dataclass(frozen=True)
class Architecture:
    """What the tensors alone do not tell.

    epsilon: of the layers' norms. prefix: before the name of every tensor. first_position: row of the table
    of positions that the first token has.
    """

    name: str
    width: int
    layers: int
    heads: int
    epsilon: float
    pooling: Pooling
    prefix: str = ""
    first_position: int = 0
    kind: Kind = Kind.BERT

    def tensor(self, name: str) -> str:
        """What the file of weights calls a tensor of BERT's."""
        for ours, theirs in _NAMES[self.kind]:
            name = name.replace(ours, theirs)
        return self.prefix + name

    def told(self) -> dict[str, Any]:
        """All of it, by name. The kind came later, so a BERT's is left out: revisions of vectors are made of
        this.
        """
        everything = asdict(self)
        if self.kind is Kind.BERT:
            del everything["kind"]
        return everything
