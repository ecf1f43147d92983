"""Which examples of a task are kept where it is asked for some alone (`only`), as in the suite of one group."""

from collections.abc import Collection, Mapping

import numpy as np

from kdbench.errors import DataError, nearest
from kdbench.ragged import Array, Index

LEAST = 5
"""Examples that a part of the data must have in training and in test: fewer teach and show nothing."""


def kept(only: Mapping[str, Collection[str]], said: Mapping[str, Mapping[str, Array]]) -> dict[str, Index]:
    """Sorted places, in each split, of the examples that are kept; a split of which none is left out.

    only: column -> the texts that are kept. said: split -> column -> what it says of each example, (N,) of texts.
    Raises DataError for a text that no example has, and where too few are left to train or to test.
    """
    for column, texts in only.items():
        known = sorted({str(text) for split in said.values() for text in split[column]})
        for text in sorted(set(texts) - set(known)):
            raise DataError(f"no example has {column} '{text}'. {nearest(text, known)}")
    found = {
        split: np.flatnonzero(
            np.logical_and.reduce([np.isin(own[column], list(texts)) for column, texts in only.items()])
        )
        for split, own in said.items()
    }
    for split in ("train", "test"):
        if len(found[split]) < LEAST:
            words = ", ".join(f"{column} {' or '.join(texts)}" for column, texts in only.items())
            raise DataError(
                f"{words}: {len(found[split])} in the {split} split, and at least {LEAST} examples are needed to learn "
                "from and to judge by; add some, or leave it out."
            )
    return {split: places for split, places in found.items() if len(places)}
