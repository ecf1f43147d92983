"""Every loss as a plain function, tensors in, a scalar out; names load on first use. Knows no technique."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdbench.functional._outputs import hard_distillation as hard_distillation
    from kdbench.functional._outputs import soft_distillation as soft_distillation

_HOME = {
    "hard_distillation": "kdbench.functional._outputs",
    "soft_distillation": "kdbench.functional._outputs",
}

__all__ = ["hard_distillation", "soft_distillation"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
