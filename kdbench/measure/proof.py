"""What ran where: kernels of one inference, read from a runtime's profile; it opens no session."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

INT8_KERNELS = frozenset(
    {
        *("QLinearConv", "QLinearConvTranspose", "ConvInteger", "QAttention"),
        *("QGemm", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
        "MatMulNBits",  # at accuracy level 4, with which weight_only_quantization writes it
    }
)
"""onnxruntime's kernels that multiply 8-bit integers."""

FLOAT_KERNELS = frozenset(
    {
        *("Conv", "FusedConv", "NhwcConv", "NhwcFusedConv", "ConvTranspose", "Attention"),
        *("Gemm", "FusedGemm", "MatMul", "FusedMatMul", "TransposeMatMul", "FusedMatMulActivation"),
    }
)
"""Their floating-point counterparts, fused ones included."""


@dataclass(frozen=True)
class Kernel:
    """One kernel as it ran."""

    provider: str
    operator: str
    duration_ns: int


def kernels_of_calls(events: Iterable[dict[str, Any]]) -> list[list[Kernel]]:
    """Per call, in order, the kernels that ran in it; `events` are those of onnxruntime's profile (times in us)."""
    calls, kernels = [], []
    for event in events:
        if event["name"] == "model_run":
            calls.append(event)
        elif event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            kernels.append(event)
    calls.sort(key=lambda event: event["ts"])
    return [[_kernel(event) for event in kernels if _within(event, call)] for call in calls]


def summary(kernels: list[Kernel]) -> dict[str, Any]:
    """Counts and times by provider, and the share of convolution and matrix-multiply kernels that ran in int8."""
    operators: dict[str, Counter[str]] = defaultdict(Counter)
    times: Counter[str] = Counter()
    for kernel in kernels:
        operators[kernel.provider][kernel.operator] += 1
        times[kernel.provider] += kernel.duration_ns
    return {
        "node_count_by_provider": {provider: sum(counts.values()) for provider, counts in operators.items()},
        "kernel_ns_by_provider": dict(times),
        "op_counts_by_provider": {provider: dict(sorted(counts.items())) for provider, counts in operators.items()},
        "int8_kernel_fraction": int8_kernel_fraction([kernel.operator for kernel in kernels]),
    }


def int8_kernel_fraction(operators: list[str]) -> float | None:
    """Of the convolutions and matrix products, how many ran in int8; None where a provider shows none (subgraphs)."""
    int8 = sum(operator in INT8_KERNELS for operator in operators)
    both = int8 + sum(operator in FLOAT_KERNELS for operator in operators)
    return int8 / both if both else None


def _within(event: dict[str, Any], call: dict[str, Any]) -> bool:
    return bool(call["ts"] <= event["ts"] <= call["ts"] + call["dur"])


def _kernel(event: dict[str, Any]) -> Kernel:
    arguments = event["args"]
    return Kernel(arguments["provider"], arguments["op_name"], int(event["dur"]) * 1000)
