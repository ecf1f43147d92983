"""What ran where and in which precision: kernels of one inference, read from a profile; it opens no session."""

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

QUANTIZED_NODES = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}) | INT8_KERNELS
"""Nodes of a file that asks for integers; a provider that takes a subgraph with them does what it likes."""

FLOATS = {"bfloat16": "bf16", "float16": "fp16", "float": "fp32", "double": "fp64"}
"""Tensor types as a profile spells them -> what computing in them is called."""

INT8 = "int8"
NARROWEST_FIRST = (INT8, "bf16", "fp16", "tf32", "fp32", "fp64")

LEAST_SHARE = 0.5
"""What the asked provider must have done of a file, or the row is not its own: less would be called after another."""

Assigned = dict[str, list[str]]
"""Provider -> operators of the nodes it was given, before fusion."""


@dataclass(frozen=True)
class Kernel:
    """One kernel as it ran."""

    provider: str
    operator: str
    duration_ns: int
    types: tuple[str, ...] = ()
    """Of its input tensors, in order, as a profile spells them."""


@dataclass(frozen=True)
class Asked:
    """The provider that was asked for, and what is known of it."""

    provider: str
    computes: str | None = "fp32"
    """What it computes float32 tensors in; None where nobody can tell."""
    takes_subgraphs: bool = False
    is_asynchronous: bool = False
    """Its kernel times are those of starting kernels, and say nothing of its share."""


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


def least_disturbed(calls: list[list[Kernel]]) -> list[Kernel]:
    """Of several calls of one shape, the one whose kernels took the least time together."""
    return min(calls, key=lambda kernels: sum(kernel.duration_ns for kernel in kernels))


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


def effective_precision(asked: Asked, kernels: list[Kernel], assigned: Assigned | None) -> str | None:
    """What convolutions and matrix products were computed in: "fp32", "int8+fp32"; None where nobody can tell.

    Of a file that has neither, what all its kernels on floating-point numbers were. By operators and types where a
    provider shows them. One that takes subgraphs computes in what it was told to, unless the file holds quantized
    nodes there, or the runtime does not say which nodes it took.
    """
    hidden = [kernel for kernel in kernels if asked.takes_subgraphs and kernel.provider == asked.provider]
    shown = [kernel for kernel in kernels if kernel not in hidden]
    multiplying = [kernel for kernel in shown if _multiplies(kernel.operator)]
    if not multiplying and not hidden:
        multiplying = [kernel for kernel in shown if set(kernel.types) & set(FLOATS)]
    found = {_computed_in(kernel, asked) for kernel in multiplying}
    if hidden:
        nodes = None if assigned is None else assigned.get(asked.provider, [])
        found.add(None if nodes is None or QUANTIZED_NODES.intersection(nodes) else asked.computes)
    words = [word for word in found if word is not None]
    if not words or len(words) < len(found):
        return None
    return "+".join(sorted(words, key=NARROWEST_FIRST.index))


def refusal(asked: Asked, kernels: list[Kernel], assigned: Assigned | None) -> str | None:
    """Why this is no row of the asked provider, without a full stop; None where it is.

    It must have run something, and `LEAST_SHARE` each of the kernel time (unless it is asynchronous: a profile shows
    such kernels being started) and of the convolutions and matrix products, or of all nodes in a file without any: by
    the graph's partition where the runtime tells it, else by the kernels of a provider that shows its own.
    """
    name = asked.provider
    times: Counter[str] = Counter()
    for kernel in kernels:
        times[kernel.provider] += kernel.duration_ns
    if name not in times:
        return f"asked for {name}, which ran none of the file's nodes; {_listed(times)} did"
    total = sum(times.values())
    if not asked.is_asynchronous and times[name] < LEAST_SHARE * total:
        share = 100 * times[name] / total
        return f"asked for {name}, which did only {share:.0f} % of the kernel time; {_listed(times, name)} did the rest"
    counts = _work_counts(asked, kernels, assigned)
    total = sum(counts.values())
    if counts[name] < LEAST_SHARE * total:
        rest = _listed(counts, name)
        return f"asked for {name}, which ran only {counts[name]} of the file's {total} main nodes; {rest} ran the rest"
    return None


def _work_counts(asked: Asked, kernels: list[Kernel], assigned: Assigned | None) -> Counter[str]:
    """Provider -> its convolutions and matrix products, or its nodes where the file has none; empty where untold."""
    if assigned is None and asked.takes_subgraphs:
        return Counter()
    if assigned is None:
        pairs = [(kernel.provider, kernel.operator) for kernel in kernels]
    else:
        pairs = [(provider, operator) for provider, operators in assigned.items() for operator in operators]
    multiplying = [(provider, operator) for provider, operator in pairs if _multiplies(operator)]
    return Counter(provider for provider, _ in multiplying or pairs)


def _multiplies(operator: str) -> bool:
    return operator in INT8_KERNELS or operator in FLOAT_KERNELS


def _computed_in(kernel: Kernel, asked: Asked) -> str | None:
    if kernel.operator in INT8_KERNELS:
        return INT8
    floats = [FLOATS[name] for name in kernel.types if name in FLOATS]
    if not floats:
        return None
    return asked.computes if floats[0] == "fp32" and kernel.provider == asked.provider else floats[0]


def _listed(counts: Counter[str], besides: str = "") -> str:
    return " and ".join(name for name in counts if name != besides) or "nobody"


def _within(event: dict[str, Any], call: dict[str, Any]) -> bool:
    return bool(call["ts"] <= event["ts"] <= call["ts"] + call["dur"])


def _kernel(event: dict[str, Any]) -> Kernel:
    arguments = event["args"]
    types = tuple(name for tensor in arguments.get("input_type_shape", ()) for name in tensor)
    return Kernel(arguments["provider"], arguments["op_name"], int(event["dur"]) * 1000, types)
