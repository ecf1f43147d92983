"""Providers and optional parts of kdbench that would run on this machine and that no interpreter looked at has."""

import importlib.util
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from kdbench.doctor import remedies
from kdbench.doctor.findings import Interpreter, Machine, Trouble
from kdbench.measure.providers import LEGACY, TABLE

EXTRAS = {
    "estimators": ("skl2onnx", "trees, forests and SVMs as students"),
    "parquet": ("pyarrow", "records as Parquet"),
}
"""Optional part of kdbench -> a module it needs, and what it is for."""
X86, ARM = ("x86_64", "AMD64"), ("aarch64", "arm64", "ARM64")
ROCM_DEVICE = Path("/dev/kfd")
"""Where AMD's driver for computing on GPUs shows itself."""


def not_installed(interpreters: Iterable[Interpreter], machine: Machine) -> Iterator[Trouble]:
    """Each with the commands that install it."""
    interpreters = list(interpreters)
    have = {remedies.PLAIN_PROVIDER, *(trial.provider for found in interpreters for trial in found.trials)}
    for provider in remedies.PACKAGES:
        if provider not in have and _fits(provider, machine):
            remedy = remedies.own_environment(provider)
            if remedy is not None:
                remark = f" ({TABLE[provider].remark.rstrip('.')})" if provider in LEGACY else ""
                yield Trouble(f"provider {provider}{remark}: {remedy.text}", remedy.commands)
    plugged = {plugin.provider for found in interpreters for plugin in found.plugins}
    for provider in remedies.PLUGINS:
        if TABLE[provider].name not in plugged and _fits(provider, machine):
            remedy = remedies.plugged_in(provider, {}, sys.executable)
            if remedy is not None:
                yield Trouble(f"provider {provider}: {remedy.text}", remedy.commands)
    for extra, (module, what) in EXTRAS.items():
        if importlib.util.find_spec(module) is None:
            command = f"{shlex.quote(sys.executable)} -m pip install 'kdbench[{extra}]'"
            yield Trouble(f"{what}: install {module}", (command,))


def _fits(provider: str, machine: Machine) -> bool:
    """Whether this machine has what a provider runs on."""
    if provider in remedies.NEEDS_NVIDIA:
        return bool(machine.gpus)
    if provider == "migraphx":
        return ROCM_DEVICE.exists()
    if provider == "openvino":
        return machine.architecture in X86
    if provider == "qnn":
        return platform.machine() in ARM
    return provider != "webgpu" or bool(machine.gpus)
