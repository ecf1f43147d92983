"""Which TensorRT this process has loaded, and what that makes of a session's precision. Loads nothing.

onnxruntime tells the version of its TensorRT nowhere: it is asked of the library that the provider has loaded. No
machine with TensorRT was at hand when this was written: only its decisions are tested, on versions and on mapped files
that are made up.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from pathlib import Path

NAME = "TensorrtExecutionProvider"
FLAGS = frozenset(f"trt_{name}_enable" for name in ("fp16", "bf16", "int8"))
"""Options that let TensorRT 10 and older compute float32 layers in less."""
TYPED_SINCE = 11
"""The first major version whose networks are strongly typed (NVIDIA, "Migrating from TensorRT 10.x to 11.x")."""
MAPPED = Path("/proc/self/maps")
LIBRARY = re.compile(r"\s(/\S*/libnvinfer\.so[.\d]*)$")

Version = tuple[int, int, int]


def loaded_version(mapped: Path = MAPPED) -> Version | None:
    """The version of the TensorRT in this process; None where there is none, or the system lists no libraries."""
    try:
        lines = mapped.read_text(encoding="utf-8", errors="replace").splitlines()
        found = [match[1] for match in map(LIBRARY.search, lines) if match]
        return version_of(int(ctypes.CDLL(found[0]).getInferLibVersion())) if found else None
    except (OSError, AttributeError):
        return None


def version_of(number: int) -> Version:
    """Major, minor, patch of what getInferLibVersion() gives: 8601 is 8.6.1, 101401 is 10.14.1 (NvInferVersion.h)."""
    unit = 10_000 if number >= 100_000 else 1000
    return number // unit, number % unit // 100, number % 100


def is_typed(version: Version | None) -> bool:
    """Whether only the types of the file decide what it computes in."""
    return version is not None and version[0] >= TYPED_SINCE


def refusal(version: Version | None, options: Mapping[str, str]) -> str | None:
    """Why a session must not go on, as a sentence; None where it may.

    A typed version was seen to build float32 engines under the name of a flag that it no longer knows, without an error
    (roboflow/rf-detr, issue 1453).
    """
    asked = sorted(name for name in FLAGS if options.get(name) in ("1", "True", "true"))
    if version is None or not is_typed(version) or not asked:
        return None
    return (
        f"TensorRT {shown(version)} knows no {asked[0]}: it computes in the types of the file. Ask for fp32 and "
        "give it a file in half or with quantized nodes (half_precision, static_quantization), or install TensorRT 10."
    )


def note(version: Version | None) -> str:
    """What decided the precision of a row."""
    if version is None:
        return "a TensorRT that does not tell its version; precision by builder flags, where it knows them"
    how = "by the types of the file" if is_typed(version) else "by builder flags"
    return f"TensorRT {shown(version)}; precision {how}"


def shown(version: Version) -> str:
    """As NVIDIA writes it."""
    return ".".join(map(str, version))
