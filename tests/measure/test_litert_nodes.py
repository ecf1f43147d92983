"""LiteRT's list of nodes, read by hand-written ones: what a delegate took, and in which types it multiplies."""

from typing import Any

import numpy as np
import pytest

from kdbench.errors import MeasureError
from kdbench.measure.runtimes.litert_nodes import nodes_of, proof_of

F, I8 = np.float32, np.int8


def node(name: str, inputs: list[int], outputs: list[int], *types: type) -> dict[str, Any]:
    return {"op_name": name, "inputs": inputs, "outputs": outputs, "operand_types": list(types)}


CONVOLUTION = node("CONV_2D", [0, 10, 11], [1], F, F, F)
SWISH = node("HARD_SWISH", [1], [2], F)
CLASSIFIER = node("FULLY_CONNECTED", [2, 12, 13], [3], F, I8, F)
"""Its weights are int8: XNNPACK rounds the activation in each call."""
FIRST = node("DELEGATE", [0, 10, 11], [1])
LAST = node("DELEGATE", [2, 12, 13], [3])


def test_what_lies_between_a_delegates_outputs_and_inputs_is_its_own() -> None:
    found = nodes_of([CONVOLUTION, SWISH, CLASSIFIER, FIRST, LAST])
    assert [one.is_delegated for one in found] == [True, False, True]
    whole = nodes_of([CONVOLUTION, SWISH, CLASSIFIER, node("DELEGATE", [0, 10, 11, 12, 13], [3])])
    assert all(one.is_delegated for one in whole)


def test_the_proof_names_what_was_left_out_and_the_share_of_products_in_int8() -> None:
    proof = proof_of(nodes_of([CONVOLUTION, SWISH, CLASSIFIER, FIRST, LAST]), "XNNPACK")
    assert proof == {
        "node_count_by_provider": {"XNNPACK": 2, "LiteRT's own kernels": 1},
        "int8_kernel_fraction": 0.5,
        "effective_precision": "int8+fp32",
        "execution_note": "outside XNNPACK, in LiteRT's own kernels: 1 HARD_SWISH",
    }


def test_integers_that_are_unpacked_before_a_product_do_not_count_as_int8() -> None:
    unpacked = node("DEQUANTIZE", [12], [14], I8)
    product = node("FULLY_CONNECTED", [0, 14, 13], [3], F, F, F)
    proof = proof_of(nodes_of([unpacked, product, node("DELEGATE", [0, 12, 13], [3])]), "XNNPACK")
    assert (proof["int8_kernel_fraction"], proof["effective_precision"]) == (0.0, "fp32")


def test_a_file_whose_products_run_elsewhere_is_refused() -> None:
    with pytest.raises(MeasureError, match=r"^asked for XNNPACK, which took only 0 of the file's 2 main nodes;"):
        proof_of(nodes_of([CONVOLUTION, SWISH, CLASSIFIER]), "XNNPACK")
