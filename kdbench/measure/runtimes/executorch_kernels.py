"""Which kernels ran in a call of an ExecuTorch program, and in which types they multiply. Opens no file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from kdbench.errors import MeasureError

MULTIPLYING = ("Convolution", "Fully Connected", "Deconvolution", "Batch Matrix Multiply")
"""How XNNPACK's names of convolutions and matrix products begin."""
INT8 = re.compile(r"\bQ[A-Z]*8")
"""QC8, QS8, QU8, QD8, QDU8 in a kernel's name: 8-bit integers are multiplied."""
NUMBERED = re.compile(r" #\d+$")
PORTABLE = "ExecuTorch's portable kernels"
NATIVE = "native_call_"
OWN = "OPERATOR_CALL"
EXECUTE = "Execute"
MOST_NAMED = 4


@dataclass(frozen=True)
class Kernel:
    """One kernel as it ran."""

    name: str
    is_delegated: bool


def calls_of(inspector: Any) -> list[Kernel]:
    """The kernels of a record's calls, as executorch.devtools.Inspector reads them."""
    events = [event for block in inspector.event_blocks if block.name == EXECUTE for event in block.events]
    return list(_kernels((str(event.name), bool(event.is_delegated_op)) for event in events))


def _kernels(events: Iterable[tuple[str, bool]]) -> Iterable[Kernel]:
    """A portable kernel's own event names it, and the event of its call around it does not."""
    events = list(events)
    named = any(name.startswith(NATIVE) for name, _ in events)
    for name, is_delegated in events:
        if is_delegated:
            yield Kernel(NUMBERED.sub("", name), True)
        elif name.startswith(NATIVE):
            yield Kernel(name[len(NATIVE) :], False)
        elif name == OWN and not named:
            yield Kernel("of no name", False)


def proof_of(kernels: Sequence[Kernel], asked: str) -> dict[str, Any]:
    """The proof of one call. Raises MeasureError where XNNPACK ran none of it."""
    if not any(kernel.is_delegated for kernel in kernels):
        raise MeasureError(f"asked for {asked}, which ran none of the program; {PORTABLE} did.")
    products = [kernel for kernel in kernels if kernel.name.startswith(MULTIPLYING)]
    int8 = [kernel for kernel in products if INT8.search(kernel.name)]
    precisions = {"int8" if kernel in int8 else "fp32" for kernel in products}
    return {
        "node_count_by_provider": dict(Counter(asked if kernel.is_delegated else PORTABLE for kernel in kernels)),
        "int8_kernel_fraction": len(int8) / len(products) if products else None,
        "effective_precision": "+".join(sorted(precisions, reverse=True)) or "fp32",
        "execution_note": _outside(kernels),
    }


def _outside(kernels: Sequence[Kernel]) -> str | None:
    """The kernels that XNNPACK did not run, as a sentence; None where it ran all."""
    left = Counter(kernel.name for kernel in kernels if not kernel.is_delegated)
    if not left:
        return None
    named = ", ".join(f"{count} {name}" for name, count in left.most_common(MOST_NAMED))
    more = "" if len(left) <= MOST_NAMED else f" and {len(left) - MOST_NAMED} further kinds"
    return f"outside XNNPACK, in {PORTABLE}: {named}{more}"
