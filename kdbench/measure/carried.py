"""How a third party's runtime is found on this side: its class, and the modules that travel with the program.

It is known by its registered name or as `file.py:Class`. The measuring program itself never asks here: what it needs
lies in the packed file.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from kdbench.errors import UnknownName
from kdbench.measure.program import Carried
from kdbench.measure.runtimes import OWN, runtime_class
from kdbench.measure.runtimes.contract import Runtime


@dataclass(frozen=True)
class Found:
    """A third party's runtime."""

    cls: type[Runtime]
    carried: Carried


def find_runtime(name: str) -> Found:
    """The runtime of a registered name, or of a `file.py:Class`.

    Raises UnknownName where there is none, UserCodeError where a user's file cannot be imported.
    """
    from kdbench import registry  # not among the modules that are packed

    path, _, attribute = name.rpartition(":")
    folder = Path(path).parent if registry.is_file(name) else None
    known = name if folder is None else f"{Path(path).name}:{attribute}"
    cls = registry.resolve("runtime", known, folder)
    if not issubclass(cls, Runtime):
        raise UnknownName(f"'{name}' is no runtime; derive it from {Runtime.__module__}:Runtime.")
    code = registry.user_code(known, cls, folder)
    if code is not None and code.files:
        files = {_module_path(file.module, file.path): file.text.encode() for file in code.files}
        return Found(cls, Carried(f"{code.files[0].module}:{cls.__name__}", files))
    module = importlib.import_module(cls.__module__)
    place = str(module.__file__)
    return Found(
        cls,
        Carried(
            f"{cls.__module__}:{cls.__qualname__}", {_module_path(cls.__module__, place): Path(place).read_bytes()}
        ),
    )


def declared(runtime: str | None, provider: str) -> type[Runtime]:
    """The class that a session's `runtime` names, else kdbench's own that has its provider; its library stays out."""
    if runtime:
        return find_runtime(runtime).cls
    for place in OWN.values():
        cls = runtime_class(place)
        if provider in cls.providers:
            return cls
    return runtime_class(OWN["onnxruntime"])  # whatever a plug-in of it brings


def _module_path(module: str, place: str) -> str:
    path = module.replace(".", "/")
    return f"{path}/__init__.py" if Path(place).name == "__init__.py" else f"{path}.py"
