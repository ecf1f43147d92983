"""Kernels read from a profile whose every event is written here."""

from typing import Any

import pytest

from kdbench.measure.execution_proof import (
    Asked,
    Kernel,
    effective_precision,
    int8_kernel_fraction,
    kernels_of_calls,
    least_disturbed,
    refusal,
    summary,
)

CPU, CUDA, OPENVINO = "CPUExecutionProvider", "CUDAExecutionProvider", "OpenVINOExecutionProvider"


def run(begin: int, end: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": begin, "dur": end - begin}


def kernel(provider: str, operator: str, begin: int, us: int, name: str = "n_kernel_time") -> dict[str, Any]:
    return {"cat": "Node", "name": name, "ts": begin, "dur": us, "args": {"provider": provider, "op_name": operator}}


def test_kernels_belong_to_the_call_they_ran_in() -> None:
    events = [
        kernel(CPU, "Conv", 10, 5),
        run(9, 20),
        kernel(CPU, "Gemm", 31, 2),
        kernel(CPU, "Gemm", 31, 2, name="n_fence_before"),
        run(30, 40),
    ]
    first, second = kernels_of_calls(events)
    assert [kernel.operator for kernel in first] == ["Conv"]
    assert [(kernel.operator, kernel.duration_ns) for kernel in second] == [("Gemm", 2000)]


def test_a_provider_that_leaves_nodes_to_the_processor_shows_it() -> None:
    (call,) = kernels_of_calls(
        [run(0, 99), kernel(CUDA, "Conv", 1, 4), kernel(CPU, "Det", 9, 3), kernel(CUDA, "Conv", 20, 4)]
    )
    found = summary(call)
    assert found["node_count_by_provider"] == {CUDA: 2, CPU: 1}
    assert found["kernel_ns_by_provider"] == {CUDA: 8000, CPU: 3000}
    assert found["op_counts_by_provider"] == {CUDA: {"Conv": 2}, CPU: {"Det": 1}}


def test_the_int8_share_counts_convolutions_and_matrix_products_only() -> None:
    assert int8_kernel_fraction(["QLinearConv", "QGemm", "FusedConv", "Gemm", "DequantizeLinear", "Relu"]) == 0.5
    assert int8_kernel_fraction(["QLinearConv", "QuantizeLinear"]) == 1.0


def test_the_int8_share_is_unknown_where_a_provider_runs_subgraphs() -> None:
    assert int8_kernel_fraction(["OpenVINO-EP-subgraph_1"]) is None


def kernels(*entries: tuple[str, str, int, str]) -> list[Kernel]:
    """(provider, operator, duration, type of its inputs) each."""
    return [Kernel(provider, operator, ns, (kind, kind)) for provider, operator, ns, kind in entries]


def test_kernels_carry_the_types_of_their_inputs() -> None:
    event = kernel(CPU, "Conv", 1, 4)
    event["args"]["input_type_shape"] = [{"float": [1, 3]}, {"float": [4, 3]}, {"int64": [1]}]
    ((found,),) = kernels_of_calls([run(0, 9), event])
    assert found.types == ("float", "float", "int64")


def test_the_least_disturbed_call_is_the_proof() -> None:
    quick, slow = kernels((CPU, "Conv", 5, "float")), kernels((CPU, "Conv", 50, "float"))
    assert least_disturbed([slow, quick, slow]) == quick


@pytest.mark.parametrize(
    ("ran", "word"),
    [
        (kernels((CPU, "Conv", 1, "float"), (CPU, "Cast", 1, "float16")), "fp32"),
        (kernels((CPU, "QLinearConv", 1, "uint8"), (CPU, "Gemm", 1, "float")), "int8+fp32"),
        (kernels((CPU, "QLinearConv", 1, "uint8"), (CPU, "Relu", 1, "float")), "int8"),
        (kernels((CPU, "Gemm", 1, "float16")), "fp16"),
        (kernels((CPU, "Gemm", 1, "bfloat16"), (CPU, "Conv", 1, "float")), "bf16+fp32"),
        (kernels((CPU, "TreeEnsembleClassifier", 1, "float")), "fp32"),
        (kernels((CPU, "Gemm", 1, "")), None),
        (kernels((CPU, "Shape", 1, "int64")), None),
    ],
)
def test_precision_is_that_of_convolutions_and_matrix_products(ran: list[Kernel], word: str | None) -> None:
    assert effective_precision(Asked(CPU), ran, None) == word


def test_float_kernels_on_a_gpu_are_what_the_provider_was_told() -> None:
    ran = kernels((CUDA, "Conv", 1, "float"), (CPU, "Gemm", 1, "float"))
    assert effective_precision(Asked(CUDA, "tf32"), ran, None) == "tf32+fp32"
    assert effective_precision(Asked(CUDA, None), ran, None) is None


def test_a_subgraph_computes_in_what_was_told_unless_it_holds_integers_or_nobody_knows_it() -> None:
    asked = Asked(OPENVINO, "fp32", takes_subgraphs=True)
    ran = kernels((OPENVINO, "OpenVINO-EP-subgraph_1", 9, "float"), (CPU, "Det", 1, "float"))
    assert effective_precision(asked, ran, {OPENVINO: ["Conv", "Relu"], CPU: ["Det"]}) == "fp32"
    assert effective_precision(asked, ran, {OPENVINO: ["QuantizeLinear", "Conv"], CPU: ["Det"]}) is None
    assert effective_precision(asked, ran, None) is None


SUBGRAPH = kernels((OPENVINO, "subgraph_1", 60, "float"), (CPU, "Conv", 40, "float"))


@pytest.mark.parametrize(
    ("asked", "ran", "assigned", "reason"),
    [
        (Asked(CPU), kernels((CPU, "Conv", 1, "float")), None, None),
        (
            Asked(CUDA),
            kernels((CPU, "Conv", 1, "float")),
            None,
            f"asked for {CUDA}, which ran none of the file's nodes; {CPU} did",
        ),
        (
            Asked(OPENVINO, takes_subgraphs=True),
            kernels((OPENVINO, "subgraph_1", 10, "float"), (CPU, "Conv", 90, "float")),
            {OPENVINO: ["Conv", "Conv"], CPU: ["Conv"]},
            f"asked for {OPENVINO}, which did only 10 % of the kernel time; {CPU} did the rest",
        ),
        (
            Asked(OPENVINO, takes_subgraphs=True),
            SUBGRAPH,
            {OPENVINO: ["Conv", "Relu", "Relu", "Relu"], CPU: ["Conv", "Gemm"]},
            f"asked for {OPENVINO}, which ran only 1 of the file's 3 main nodes; {CPU} ran the rest",
        ),
        # shape arithmetic that stays on the processor is no work
        (Asked(OPENVINO, takes_subgraphs=True), SUBGRAPH, {OPENVINO: ["Conv"], CPU: ["Shape", "Gather", "Mul"]}, None),
        # no such nodes at all: every node counts
        (
            Asked(OPENVINO, takes_subgraphs=True),
            SUBGRAPH,
            {OPENVINO: ["Relu"], CPU: ["Det", "Det"]},
            f"asked for {OPENVINO}, which ran only 1 of the file's 3 main nodes; {CPU} ran the rest",
        ),
        # an older runtime does not tell which nodes a subgraph holds: its time is the proof
        (Asked(OPENVINO, takes_subgraphs=True), SUBGRAPH, None, None),
        # starting a kernel on a GPU takes less time than computing it
        (Asked(CUDA, is_asynchronous=True), kernels((CUDA, "Conv", 1, "float"), (CPU, "Det", 9, "float")), None, None),
        (
            Asked(CUDA, is_asynchronous=True),
            kernels((CUDA, "Conv", 9, "float"), (CPU, "Gemm", 1, "float"), (CPU, "Conv", 1, "float")),
            None,
            f"asked for {CUDA}, which ran only 1 of the file's 3 main nodes; {CPU} ran the rest",
        ),
    ],
)
def test_a_provider_that_did_not_do_half_of_the_work_has_no_row(
    asked: Asked, ran: list[Kernel], assigned: dict[str, list[str]] | None, reason: str | None
) -> None:
    assert refusal(asked, ran, assigned) == reason
