"""Who cannot be told from whom, and who is beaten by nobody. Plain functions of names and numbers."""

import string
from collections.abc import Collection, Mapping, Sequence


def letters(names: Sequence[str], apart: Collection[frozenset[str]]) -> dict[str, str]:
    """Letters such that two names share one exactly when they are not `apart`; the first name's first letter is "a".

    Insert and absorb (Piepho 2004, section 2). `names` stand best first.
    """
    columns = [frozenset(names)]
    for pair in apart:
        one, other = sorted(pair)
        split = [part for column in columns for part in _split(column, one, other)]
        columns = _absorbed(split)
    order = sorted(columns, key=lambda column: [names.index(name) for name in names if name in column])
    signs = [_sign(place) for place in range(len(order))]
    return {name: "".join(sign for sign, column in zip(signs, order, strict=True) if name in column) for name in names}


def _split(column: frozenset[str], one: str, other: str) -> list[frozenset[str]]:
    return [column - {one}, column - {other}] if one in column and other in column else [column]


def _absorbed(columns: list[frozenset[str]]) -> list[frozenset[str]]:
    unique = list(dict.fromkeys(columns))
    return [column for column in unique if not any(column < other for other in unique)]


def _sign(place: int) -> str:
    alphabet = string.ascii_lowercase + string.ascii_uppercase
    return alphabet[place] if place < len(alphabet) else f"[{place + 1}]"


def pareto_front(points: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names whose (cost, value) no other name beats: cost low, value high. Cheapest first."""
    front: list[str] = []
    best = float("-inf")
    for name, (_, value) in sorted(points.items(), key=lambda item: (item[1][0], -item[1][1], item[0])):
        if value > best:
            front.append(name)
            best = value
    return front
