"""What metrics of classes share: which classes count, and when there are too few examples of one. No metric itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from kdbench.protocols.data import Output

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_OF_A_CLASS = 10
"""With fewer examples of its rarest class a metric over classes has no interval."""


def counts_of(output: Output, targets: Any) -> NDArray[Any]:
    """(K,): how many examples have each class (in how many of them it occurs, where an example has several)."""
    count = output.class_count
    if output.kind == "multilabel":
        return np.asarray(np.asarray(targets).sum(axis=0), np.int64)
    if output.kind == "classes":
        return np.bincount(targets, minlength=count)
    found = np.zeros(max(count, 1), np.int64)
    for one in targets:
        here = np.unique(one)
        here = here[here != output.ignore] if output.ignore is not None else here
        most = int(here.max()) if here.size else -1
        found = np.pad(found, (0, max(0, most + 1 - len(found))))
        found[here] += 1
    return found


def class_name(output: Output, place: int) -> str:
    """A class as sentences name it."""
    return f"'{output.class_names[place]}'" if place < len(output.class_names) else f"class {place}"


def rare(output: Output, counts: NDArray[Any], examples: int, fewest: int = FEWEST_OF_A_CLASS) -> str | None:
    """Why the rarest class that occurs has fewer examples than `fewest`; None where it has enough."""
    present = np.flatnonzero(counts)
    if not len(present):
        return None
    rarest = int(present[counts[present].argmin()])
    if counts[rarest] >= fewest:
        return None
    return f"only {int(counts[rarest])} of {examples:,} examples have {class_name(output, rarest)}"


def joined(rows: Iterable[Any]) -> NDArray[Any]:
    """Rows of unequal length end to end."""
    return np.concatenate([np.asarray(row).ravel() for row in rows])
