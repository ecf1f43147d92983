"""Which versions of ONNX's operators a runtime reads."""

import re

from kdbench.measure.provider import ONNXRUNTIME

FIRST_READ_BY = {18: (1, 14), 19: (1, 15), 20: (1, 17), 21: (1, 18), 22: (1, 21), 23: (1, 23)}
"""Opset -> the first onnxruntime that loads a file of it. Tried with the wheels from 1.15 to 1.32; 18 is what the
project's compatibility table says."""


def too_old(opset: int, runtime: str, version: str) -> str | None:
    """Why a runtime is known to be too old for files of an opset, as a sentence; None where it is not known to be."""
    found = re.match(r"(\d+)\.(\d+)", version)
    first = FIRST_READ_BY.get(opset)
    if runtime != ONNXRUNTIME or found is None or first is None or tuple(map(int, found.groups())) >= first:
        return None
    readable = [known for known, least in FIRST_READ_BY.items() if tuple(map(int, found.groups())) >= least]
    remedy = f"say {max(readable)}, or install a newer one" if readable else "install a newer one"
    return f"{runtime} {version} does not read opset {opset}; {remedy}."
