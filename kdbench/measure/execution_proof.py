"""The proof of what ran where and in which precision: kernels of one call, read from a profile. Opens no session."""

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

MOST_NAMED = 4
"""Operators that a sentence names before it only counts kinds."""
LEAST_SHARE = 0.5
"""Least share of a file's work that the asked provider must have done; a row with less would bear the wrong name."""

Assigned = dict[str, list[str]]
"""Provider -> operators of the nodes it was given, before fusion."""


@dataclass(frozen=True)
class Kernel:
    """One kernel as it ran."""

    provider: str
    operator: str
    duration_ns: int
    types: tuple[str, ...] = ()
    """Types of its input tensors, in order, as a profile spells them."""


@dataclass(frozen=True)
class Asked:
    """The provider that was asked for, and what is known of it."""

    provider: str
    computes: str | None = "fp32"
    """Precision in which it computes float32 tensors; None where nobody can tell."""
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
    """The call whose kernels took the least time together, among several calls of one shape."""
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
    """Share of the convolutions and matrix products that ran in int8; None where a provider hides them in subgraphs."""
    int8 = sum(operator in INT8_KERNELS for operator in operators)
    both = int8 + sum(operator in FLOAT_KERNELS for operator in operators)
    return int8 / both if both else None


def effective_precision(asked: Asked, kernels: list[Kernel], assigned: Assigned | None) -> str | None:
    """Precision of the convolutions and matrix products: "fp32", "int8+fp32"; None where nobody can tell.

    For a file that has neither, the precision of all its kernels on floating-point numbers. Read from operators and
    types where a provider shows them. A provider that takes subgraphs computes in the precision that it was told,
    unless the subgraph holds quantized nodes, or the runtime does not say which nodes it took.
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
    """Why the asked provider did not run the file, as a sentence without its full stop; None where it did.

    The provider must have run something. It must have taken `LEAST_SHARE` of the kernel time, unless it is asynchronous
    (then a profile shows only how long starting a kernel took). And it must have run `LEAST_SHARE` of the convolutions
    and matrix products, or of all nodes in a file without any. These are counted in the partition of the graph where
    the runtime tells it, else among the kernels that the provider shows.
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


def left_to(kernels: str, operators: Iterable[str]) -> str | None:
    """A sentence that names the operators which a delegate such as XNNPACK left to slower kernels; None without any."""
    left = Counter(operators)
    if not left:
        return None
    named = ", ".join(f"{count} {name}" for name, count in left.most_common(MOST_NAMED))
    more = "" if len(left) <= MOST_NAMED else f" and {len(left) - MOST_NAMED} further kinds"
    return f"outside XNNPACK, in {kernels}: {named}{more}"


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
