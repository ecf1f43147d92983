"""Every loss as a plain function: tensors in, a scalar tensor out. Knows no technique.

The modules, and torch with them, are imported when the first name is asked for.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdbench.functional._answers import *  # noqa: F403
    from kdbench.functional._features import *  # noqa: F403
    from kdbench.functional._labels import *  # noqa: F403
    from kdbench.functional._outputs import *  # noqa: F403
    from kdbench.functional._penalties import *  # noqa: F403
    from kdbench.functional._regression import *  # noqa: F403
    from kdbench.functional._relations import *  # noqa: F403
    from kdbench.functional._rows import *  # noqa: F403
    from kdbench.functional._transformed import *  # noqa: F403
    from kdbench.functional._transformers import *  # noqa: F403

_MODULES = (
    "_answers",
    "_features",
    "_labels",
    "_outputs",
    "_penalties",
    "_regression",
    "_relations",
    "_rows",
    "_transformed",
    "_transformers",
)


def _functions() -> dict[str, Any]:
    """The losses by name, from every module's `__all__`."""
    modules = [importlib.import_module(f"{__name__}.{name}") for name in _MODULES]
    return {name: getattr(module, name) for module in modules for name in module.__all__}


def __getattr__(name: str) -> Any:
    if name.startswith("_") or name not in (functions := _functions()):
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    globals().update(functions)  # a step asks for ten names; gathering all anew for each took 0.1 ms of 14
    return functions[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *_functions()})
