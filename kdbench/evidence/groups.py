"""Letters for cases that cannot be told apart, and the Pareto front. Plain functions of names and numbers."""

import string
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

SIGNS = string.ascii_lowercase + string.ascii_uppercase
"""A reader tells no more groups than these apart."""


def letters(names: Sequence[str], apart: NDArray[np.bool_]) -> dict[str, str]:
    """Letters such that two names share one exactly when they are not apart; the first name's first letter is "a".

    `names` stand best first; apart[i, j]: whether names i and j differ (symmetric). The compact letter display (Piepho
    2004): one letter for each largest group of names of which no two are apart. Empty where there would be more groups
    than SIGNS.
    """
    places = range(len(names))
    together = {place: set(np.flatnonzero(~apart[place]).tolist()) - {place} for place in places}
    groups = list(islice(_cliques(set(), set(places), set(), together), len(SIGNS) + 1))
    if len(groups) > len(SIGNS):
        return {}
    order = sorted(groups, key=sorted)
    return {names[at]: "".join(sign for sign, group in zip(SIGNS, order, strict=False) if at in group) for at in places}


def _cliques(
    inside: set[int], possible: set[int], done: set[int], together: Mapping[int, set[int]]
) -> Iterator[set[int]]:
    """Every largest group whose members are all together: Bron, Kerbosch 1973, with the pivot of Tomita et al. 2006."""
    if not possible and not done:
        yield inside
        return
    pivot = max(sorted(possible | done), key=lambda one: len(possible & together[one]))
    for one in sorted(possible - together[pivot]):
        yield from _cliques(inside | {one}, possible & together[one], done & together[one], together)
        possible, done = possible - {one}, done | {one}


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names whose (cost, value) no other name beats: cost low, value high. Cheapest first."""
    front: list[str] = []
    best = float("-inf")
    for name, (_, value) in sorted(points.items(), key=lambda item: (item[1][0], -item[1][1], item[0])):
        if value > best:
            front.append(name)
            best = value
    return front
