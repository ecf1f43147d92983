"""Examples shared out into splits: at random, by group, or as an array says. Knows numpy only."""

from collections.abc import Mapping

import numpy as np

from kdbench.errors import DataError, nearest
from kdbench.protocols import SPLITS
from kdbench.ragged import Array, Index
from kdbench.streams import stream
from kdbench.tasks.arrays import stratified_split


def shares(fractions: Mapping[str, float]) -> dict[str, float]:
    """Every split's share, training's being what the others leave; a split of share 0 is left out."""
    taken = {split: fraction for split, fraction in fractions.items() if fraction > 0}
    return {"train": 1 - sum(taken.values()), **taken}


def at_random(count: int, fractions: Mapping[str, float], seed: int, classes: Array | None = None) -> dict[str, Index]:
    """Sorted places of each split's examples; where they have classes, (N,), each in the same proportions.

    fractions: the shares of validation and test. Raises DataError where a share is too small to hold an example, or
    leaves a class without training examples.
    """
    found = shares(fractions)
    labels = np.zeros(count, np.int64) if classes is None else classes
    parts = dict(zip(found, stratified_split(labels, tuple(found.values()), seed), strict=True))
    _check_filled(parts, found, count)
    if len(np.unique(labels[parts["train"]])) < len(np.unique(labels)):
        raise DataError(f"of {count:,} examples, these shares leave a class none to train on; lower them.")
    return parts


def by_group(groups: Array, fractions: Mapping[str, float], seed: int) -> dict[str, Index]:
    """Sorted places of each split's examples, those of one group (N,) in one split.

    Groups are taken from the largest to the smallest, equal ones in an order drawn with the seed; each goes where most
    examples are missing. Raises DataError where a split stays empty.
    """
    found = shares(fractions)
    names, group_of, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = stream("groups", seed).permutation(len(names))
    missing = {split: share * len(groups) for split, share in found.items()}
    split_of = np.empty(len(names), object)
    for group in order[np.argsort(-sizes[order], kind="stable")]:
        split_of[group] = max(missing, key=lambda split: missing[split])
        missing[split_of[group]] -= sizes[group]
    parts = {split: np.flatnonzero(split_of[group_of] == split) for split in found}
    _check_filled(parts, found, len(groups))
    return parts


def as_said(said: Array, named: str) -> dict[str, Index]:
    """Sorted places of each split's examples as an array of texts (N,) says: train, validation or test.

    named: what the array is called. Raises DataError for other texts, and without train or test.
    """
    texts = np.array([str(text).strip() for text in said])
    unknown = sorted(set(texts.tolist()) - set(SPLITS))
    if unknown:
        raise DataError(
            f"{named} must say train, validation or test of each example, and says {unknown[0]!r} of some. "
            f"{nearest(unknown[0], SPLITS)} Where it names groups to keep together, use group_by."
        )
    parts = {split: np.flatnonzero(texts == split) for split in SPLITS if (texts == split).any()}
    for split in ("train", "test"):
        if split not in parts:
            raise DataError(f"{named} puts no example into {split}.")
    return parts


def _check_filled(parts: Mapping[str, Index], found: Mapping[str, float], count: int) -> None:
    for split, part in parts.items():
        if len(part) == 0:
            raise DataError(f"a share of {found[split]:.3g} of {count:,} examples leaves none for {split}.")
