"""The order of the trials: always the same, and balanced wherever it is broken off."""

import random
from collections.abc import Iterable, Sequence
from itertools import product, zip_longest

from rows import SAME

SEED = 20
BLOCK = 20
"""How many rows are done on one machine before the other's turn."""

Place = tuple[str, bool, int, int]
"""Network, whether a neighbour computes, per cent of extra work that is meant, number of the trial."""


def places(
    networks: Sequence[str], machines: Iterable[bool], slower: Sequence[int], pairs: int, slow_pairs: int
) -> list[Place]:
    """Every trial: the machines by turns, all kinds shuffled, so that the machine's drift meets all alike."""
    chance, blocks = random.Random(SEED), []
    for busy in machines:
        part = [
            (network, busy, percent, number)
            for network, percent in product(networks, (SAME, *slower))
            for number in range(pairs if percent == SAME else slow_pairs)
        ]
        chance.shuffle(part)
        blocks.append([part[start : start + BLOCK] for start in range(0, len(part), BLOCK)])
    return [place for turn in zip_longest(*blocks, fillvalue=[]) for block in turn for place in block]
