"""Text with a unit, as a person writes a limit, to a plain number in base units (ns, bytes, rates); `units` goes back.

Every function raises ValueError with a sentence that says what was expected and what came.
"""

import math
import re
from collections.abc import Collection, Mapping

NANOSECONDS = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9}
"""Both signs for micro: U+00B5 and the Greek letter."""
BYTES = {
    **{"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9},
    **{"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30},
}
POINTS = {"pt": 0.01, "pts": 0.01, "%": 0.01}
"""Hundredths of the accuracy itself, either way: 1 % of 90 % is not meant."""
NUMBER = r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)"
QUANTITY = re.compile(NUMBER + r"\s*([a-zA-Zµμ%]*)")


def nanoseconds(text: str) -> float:
    """2ms, 800us, 1.5 s."""
    return _above_zero(_number(text, NANOSECONDS, "a duration", "2ms"), text, "a duration")


def byte_count(text: str) -> float:
    """1MiB is 1,048,576 bytes, 1MB is 1,000,000."""
    return _above_zero(_number(text, BYTES, "a size", "1MiB"), text, "a size")


def rate_difference(text: str) -> float:
    """1pt or 1% is 0.01: a difference of two accuracies; 0pt is one too."""
    return _number(text, POINTS, "a drop in accuracy", "1pt")


def pattern(units: Collection[str]) -> str:
    """What such text looks like, as a regular expression for JSON Schema."""
    return rf"^\s*{NUMBER}\s*({'|'.join(units)})\s*$"


def _number(text: str, units: Mapping[str, float], what: str, example: str) -> float:
    match = QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise ValueError(f"{what} is a number with one of {', '.join(units)}, such as {example}; got {text!r}")
    value = float(match[1]) * units[match[2]]
    if not math.isfinite(value):
        raise ValueError(f"{what} is a number that a computer can hold; got {text!r}")
    return value


def _above_zero(value: float, text: str, what: str) -> float:
    if value == 0:
        raise ValueError(f"{what} is above 0; got {text!r}")
    return value
