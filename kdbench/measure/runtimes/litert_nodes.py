"""Which nodes of a LiteRT file XNNPACK took, and the types that they multiply in. Opens no file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure.execution_proof import LEAST_SHARE, left_to

DELEGATE = "DELEGATE"
MULTIPLYING = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL"})
"""Convolutions and matrix products."""
BUILT_IN = "LiteRT's own kernels"


@dataclass(frozen=True)
class Node:
    """One operator of a file."""

    operator: str
    is_delegated: bool
    operand_types: tuple[str, ...]
    """As numpy calls them; the first is the activation's, the second the weights'."""

    @property
    def is_int8(self) -> bool:
        """Whether it multiplies integers: with weights of 8 bits XNNPACK rounds float activations in each call."""
        return self.operand_types[1:2] == ("int8",)


def nodes_of(details: Sequence[Mapping[str, Any]]) -> list[Node]:
    """The nodes that `Interpreter._get_ops_details` lists: those of the file, and behind them the delegates'.

    What a delegate took is met on the way back from its outputs to its inputs.
    """
    import numpy

    own = [one for one in details if one["op_name"] != DELEGATE]
    maker = {int(tensor): number for number, one in enumerate(own) for tensor in one["outputs"]}
    taken: set[int] = set()
    for delegate in (one for one in details if one["op_name"] == DELEGATE):
        given = set(map(int, delegate["inputs"]))
        open_tensors = [int(tensor) for tensor in delegate["outputs"]]
        while open_tensors:
            number = maker.get(open_tensors.pop())
            if number is not None and number not in taken:
                taken.add(number)
                open_tensors += [int(tensor) for tensor in own[number]["inputs"] if int(tensor) not in given]
    return [
        Node(str(one["op_name"]), number in taken, tuple(numpy.dtype(kind).name for kind in one["operand_types"]))
        for number, one in enumerate(own)
    ]


def proof_of(nodes: Sequence[Node], asked: str) -> dict[str, Any]:
    """The proof of one file. Raises MeasureError where XNNPACK took too few of its main nodes."""
    main = [node for node in nodes if node.operator in MULTIPLYING] or list(nodes)
    taken = sum(node.is_delegated for node in main)
    if taken < LEAST_SHARE * len(main):
        raise MeasureError(
            f"asked for {asked}, which took only {taken} of the file's {len(main)} main nodes; {BUILT_IN} ran the rest."
        )
    products = [node for node in nodes if node.operator in MULTIPLYING]
    precisions = {"int8" if node.is_int8 else "fp32" for node in products}
    count = Counter(asked if node.is_delegated else BUILT_IN for node in nodes)
    return {
        "node_count_by_provider": dict(count),
        "int8_kernel_fraction": sum(node.is_int8 for node in products) / len(products) if products else None,
        "effective_precision": "+".join(sorted(precisions, reverse=True)) or "fp32",
        "execution_note": left_to(BUILT_IN, (node.operator for node in nodes if not node.is_delegated)),
    }
