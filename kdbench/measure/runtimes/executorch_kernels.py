"""Which kernels ran in a call of an ExecuTorch program, and in which types they multiply. Opens no file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure.execution_proof import LEAST_SHARE, left_to

DELEGATED_PRODUCTS = ("Convolution", "Deconvolution", "Fully Connected", "Batch Matrix Multiply")
"""How XNNPACK's names of convolutions and matrix products begin."""
PORTABLE_PRODUCTS = re.compile(r"(aten|quantized_decomposed)::_?(convolution|conv\d|mm|addmm|bmm|matmul|linear)")
INT8 = re.compile(r"\bQ[A-Z]*8")
"""QC8, QS8, QU8, QD8, QDU8 in a kernel's name: 8-bit integers are multiplied."""
NUMBERED = re.compile(r" #\d+$")
NO_KERNEL = ("executorch_prim::", "aten::sym_size")
"""Instructions that compute shapes or look at a tensor in another shape, and touch none of its numbers."""
PORTABLE = "ExecuTorch's own kernels"
OPERATOR_CALL, DELEGATE_CALL = "OPERATOR_CALL", "DELEGATE_CALL"
EXECUTE = "Execute"
NS_PER_MS = 1e6


@dataclass(frozen=True)
class Kernel:
    """One kernel as it ran."""

    name: str
    is_delegated: bool

    @property
    def multiplies(self) -> bool:
        """Whether it is a convolution or a matrix product."""
        return self.name.startswith(DELEGATED_PRODUCTS) or PORTABLE_PRODUCTS.match(self.name) is not None


@dataclass(frozen=True)
class Event:
    """One entry of ExecuTorch's record of a call."""

    name: str
    is_delegated: bool
    duration_ns: int


@dataclass(frozen=True)
class Call:
    """One call as it ran."""

    kernels: Sequence[Kernel]
    delegated_ns: int
    portable_ns: int


def events_of(inspector: Any) -> list[Event]:
    """What executorch.devtools.Inspector read of the last of the recorded calls."""
    return [
        Event(str(event.name), bool(event.is_delegated_op), round(event.perf_data.raw[-1] * NS_PER_MS))
        for block in inspector.event_blocks
        if block.name == EXECUTE
        for event in block.events
    ]


def call_of(events: Iterable[Event], operators: Iterable[str]) -> Call:
    """The kernels of a call. `operators`: those of the program outside its delegates, in the order in which they run.

    The record itself names XNNPACK's kernels only. Raises MeasureError where it is not one of this program.
    """
    kernels, names = [], iter(operators)
    delegated_ns = portable_ns = 0
    for event in events:
        if event.is_delegated:
            kernels.append(Kernel(NUMBERED.sub("", event.name), True))
        elif event.name == DELEGATE_CALL:
            delegated_ns += event.duration_ns
        elif event.name == OPERATOR_CALL:
            name = next(names, None)
            if name is None:
                raise MeasureError("ExecuTorch's record of a call has more operators than the program.")
            portable_ns += event.duration_ns
            if not name.startswith(NO_KERNEL):
                kernels.append(Kernel(name, False))
    return Call(kernels, delegated_ns, portable_ns)


def proof_of(call: Call, asked: str) -> dict[str, Any]:
    """The proof of one call. Raises MeasureError where XNNPACK ran none of it, or too few of its main kernels."""
    kernels = call.kernels
    if not any(kernel.is_delegated for kernel in kernels):
        raise MeasureError(f"asked for {asked}, which ran none of the program; {PORTABLE} did.")
    products = [kernel for kernel in kernels if kernel.multiplies]
    taken = sum(kernel.is_delegated for kernel in products)
    if taken < LEAST_SHARE * len(products):
        raise MeasureError(
            f"asked for {asked}, which ran only {taken} of the program's {len(products)} convolutions and matrix "
            f"products; {PORTABLE} ran the rest."
        )
    int8 = sum(INT8.search(kernel.name) is not None for kernel in products)
    counts = Counter(asked if kernel.is_delegated else PORTABLE for kernel in kernels)
    spent = {asked: call.delegated_ns, PORTABLE: call.portable_ns}
    precisions = [word for word, count in (("int8", int8), ("fp32", len(products) - int8)) if count]
    return {
        "node_count_by_provider": dict(counts),
        "kernel_ns_by_provider": {name: spent[name] for name in counts},
        "int8_kernel_fraction": int8 / len(products) if products else None,
        "effective_precision": "+".join(precisions) or "fp32",
        "execution_note": left_to(PORTABLE, (kernel.name for kernel in kernels if not kernel.is_delegated)),
    }
