"""Counts the multiply-accumulates of whatever torch computes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


def counted(compute: Callable[[], object]) -> int:
    """Multiply-accumulates of convolutions, matrix products and recurrent layers that `compute` does on the CPU."""
    with torch.no_grad(), _taken_apart(), _Counter() as counter:
        compute()
    count: int = counter.mac_count
    return count


@contextmanager
def _taken_apart() -> Iterator[None]:
    """Fused operators hide their products, so here encoder layers, attention and recurrent layers run without them."""
    fused, onednn = torch.backends.mha.get_fastpath_enabled(), torch.backends.mkldnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        torch.backends.mkldnn.enabled = onednn


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Goes by the shapes of each operation that is left; torch counts a multiplication and its addition as two."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.mac_count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.mac_count += count(*args, **(kwargs or {}), out_val=result) // 2
        return result
