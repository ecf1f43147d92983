"""Who cannot be told from whom, and who is beaten by nobody. Plain functions of names and numbers."""

import string
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

SIGNS = string.ascii_lowercase + string.ascii_uppercase
"""A reader tells no more groups than these apart."""


def letters(names: Sequence[str], apart: Collection[frozenset[str]]) -> dict[str, str]:
    """Letters such that two names share one exactly when they are not `apart`; the first name's first letter is "a".

    The compact letter display (Piepho 2004): a letter for each largest group of names none of which are apart, whatever
    the order of the pairs. `names` stand best first. Empty where there would be more groups than SIGNS.
    """
    together = {name: {other for other in names if frozenset({name, other}) not in apart} - {name} for name in names}
    groups = list(islice(_cliques(set(), set(names), set(), together), len(SIGNS) + 1))
    if len(groups) > len(SIGNS):
        return {}
    order = sorted(groups, key=lambda group: [place for place, name in enumerate(names) if name in group])
    return {name: "".join(SIGNS[place] for place, group in enumerate(order) if name in group) for name in names}


def _cliques(
    inside: set[str], possible: set[str], done: set[str], together: Mapping[str, set[str]]
) -> Iterator[set[str]]:
    """Every largest group whose members are all together: Bron, Kerbosch 1973, with the pivot of Tomita et al. 2006."""
    if not possible and not done:
        yield inside
        return
    pivot = max(sorted(possible | done), key=lambda name: len(possible & together[name]))
    for name in sorted(possible - together[pivot]):
        yield from _cliques(inside | {name}, possible & together[name], done & together[name], together)
        possible, done = possible - {name}, done | {name}


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names whose (cost, value) no other name beats: cost low, value high. Cheapest first."""
    front: list[str] = []
    best = float("-inf")
    for name, (_, value) in sorted(points.items(), key=lambda item: (item[1][0], -item[1][1], item[0])):
        if value > best:
            front.append(name)
            best = value
    return front
