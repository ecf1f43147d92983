"""What outputs decide, kept in an .npz: examples of unequal length lie end to end, with their offsets beside them."""

from collections.abc import Mapping

import numpy as np

from kdbench.measure.decisions import decide
from kdbench.protocols import Output
from kdbench.ragged import OFFSETS, Array, Ragged, Stored


def decided(output: Output, answers: Stored) -> Stored:
    """The decisions of an output's answers to all examples."""
    found = decide(output.kind, answers, output.blank)
    return found if isinstance(found, np.ndarray) else Ragged.of(found)


def as_entries(name: str, stored: Stored) -> dict[str, Array]:
    """The entries of an .npz under a name."""
    if isinstance(stored, Ragged):
        return {name: stored.values, f"{name}{OFFSETS}": stored.offsets}
    return {name: stored}


def from_entries(arrays: Mapping[str, Array], name: str) -> Stored:
    """What `as_entries` made."""
    if f"{name}{OFFSETS}" in arrays:
        return Ragged(arrays[name], arrays[f"{name}{OFFSETS}"])
    return arrays[name]
