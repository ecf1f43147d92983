"""Providers that are packages of their own beside onnxruntime (1.22 and newer); it knows no file and no table of names.

By onnxruntime's packaging guide such a package has `get_library_path()` and `get_ep_name()`, and depends on no
runtime. What it registers is not among `get_available_providers()`, and is never asked for by name: a session gets the
devices that the provider offers.
"""

from __future__ import annotations

import importlib
import pkgutil
import sysconfig
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure.runtimes.onnxruntime_import import first_line

PREFIX = "onnxruntime_ep_"
"""How the module of a provider that is a package of its own is named by the guide."""
OTHERS = frozenset({"onnxruntime_qnn"})
"""Modules of plug-ins that are named otherwise."""
NEEDED = ("register_execution_provider_library", "get_ep_devices")
LOADING_ERRORS = (ImportError, OSError, AttributeError, SyntaxError)
"""Raised by importing a package that is no plug-in or is broken, or by asking it for its library."""

_registered: set[str] = set()
"""Modules whose library this process has registered: a second time is an error."""


def modules() -> list[str]:
    """The modules of plug-ins that this interpreter has; none is imported."""
    return sorted(found.name for found in pkgutil.iter_modules() if is_plugin(found.name))


def installed() -> list[str]:
    """Names and versions of the plug-in packages beside this interpreter's others: "onnxruntime_ep_webgpu-0.4.0"."""
    folders = Path(sysconfig.get_path("purelib")).glob("onnxruntime_*.dist-info")
    return sorted(found.stem for found in folders if is_plugin(found.stem.partition("-")[0]))


def is_plugin(module_name: str) -> bool:
    """Whether a module's name is one of a plug-in."""
    return module_name.startswith(PREFIX) or module_name in OTHERS


def add_to(options: Any, module_name: str, provider_options: dict[str, str], onnxruntime: Any) -> str:
    """Give session options the devices of a plug-in's provider; returns the provider's own name.

    Raises MeasureError where the package is missing or is none, where onnxruntime is too old or rejects it, and where
    the provider offers no device on this machine.
    """
    missing = [name for name in NEEDED if not hasattr(onnxruntime, name)]
    if missing:
        raise MeasureError(
            f"onnxruntime {onnxruntime.__version__} takes no plug-ins such as {module_name}; install 1.22 or newer."
        )
    name, library = _provider_of(module_name)
    if module_name not in _registered:
        try:
            onnxruntime.register_execution_provider_library(name, library)  # some call their devices by it
        except RuntimeError as error:
            raise MeasureError(f"onnxruntime does not take the plug-in {module_name}: {first_line(error)}") from None
        _registered.add(module_name)
    devices = [device for device in onnxruntime.get_ep_devices() if device.ep_name == name]
    if not devices:
        raise MeasureError(
            f"the plug-in {module_name} offers {name} on 0 devices here; it runs only where it finds its own hardware "
            "and driver."
        )
    options.add_provider_for_devices(devices, provider_options)
    return name


def _provider_of(module_name: str) -> tuple[str, str]:
    """The name of the provider in a plug-in package, and the path of its library."""
    try:
        module = importlib.import_module(module_name)
        return str(module.get_ep_name()), str(module.get_library_path())
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0]:
            raise MeasureError(f"the plug-in {module_name} cannot be imported: {error}.") from None
        package = module_name.replace("_", "-")
        raise MeasureError(
            f"there is no plug-in {module_name} in this interpreter; `pip install {package}` there, or name the module "
            "of the package that you have."
        ) from None
    except LOADING_ERRORS as error:
        raise MeasureError(
            f"{module_name} is no plug-in of onnxruntime (get_library_path(), get_ep_name()): {first_line(error)}"
        ) from None
