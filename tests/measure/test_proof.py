"""Kernels read from a profile whose every event is written here."""

from typing import Any

from kdbench.measure.proof import int8_kernel_fraction, kernels_of_calls, summary

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


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
