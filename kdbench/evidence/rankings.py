"""Whether all devices rank the cases by latency alike, and whether counting multiply-accumulates gives that order.

Source
Kendall 1945: tau-b, the rank correlation with ties. Two latencies whose intervals overlap count as a tie: otherwise
noise would rank equal networks differently on every device.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from kdbench.evidence.views import CaseView, Evidence, Setting

FEWEST_CASES = 4
"""With fewer cases the table shows the order by itself."""
LEAST_RATIO = 1.2
"""Smallest ratio of two latencies that is reported as contradicting multiply-accumulates."""
Order = Callable[[str, str], int]
"""Compares two cases by name: 1 if the first one comes later, -1 if earlier, 0 if they cannot be told apart."""


@dataclass(frozen=True)
class RankAgreement:
    """How alike the cases are ranked at two settings of the same batch size."""

    settings: tuple[Setting, Setting]
    tau: float
    """Kendall's tau-b: 1 is the same order, 0 no relation, -1 the reverse."""
    case_count: int
    swapped: tuple[tuple[str, str], ...]
    """Pairs (faster at the first setting, faster at the second), intervals apart, in the order of their distance."""


@dataclass(frozen=True)
class MacContradiction:
    """Two cases at one setting: the slower one has fewer, or as many, multiply-accumulates."""

    setting: Setting
    tau: float
    """Kendall's tau-b of multiply-accumulates and latency over all cases."""
    case_count: int
    slower: str
    faster: str
    mac_ratio: float
    """Multiply-accumulates of the faster one over those of the slower one: 1 or more."""
    latency_ratio: float
    """Latency of the slower one over that of the faster one."""


def rank_agreements(evidence: Evidence) -> list[RankAgreement]:
    """Compare every pair of deployable targets at each batch size that both have; teachers are ranked too."""
    pairs = [
        pair for pair in combinations(evidence.deployed, 2) if pair[0][1] == pair[1][1] and pair[0][0] != pair[1][0]
    ]
    return [found for one, other in pairs if (found := _agreement(evidence.cases, one, other)) is not None]


def mac_contradictions(evidence: Evidence) -> list[MacContradiction]:
    """The pair of cases that contradicts multiply-accumulates most, for each deployable setting that has one."""
    found = [_contradiction(evidence.cases, setting) for setting in evidence.deployed]
    return [one for one in found if one is not None]


def _agreement(cases: Sequence[CaseView], one: Setting, other: Setting) -> RankAgreement | None:
    timed = {case.name: case for case in cases if one in case.latency and other in case.latency}
    first, second = _by_latency(timed, one), _by_latency(timed, other)
    tau = _tau(list(timed), first, second)
    if tau is None:
        return None

    def gap(pair: tuple[str, str]) -> float:
        return min(_apart(timed[pair[0]], timed[pair[1]], setting) for setting in (one, other))

    swapped = [
        (a, b) if first(a, b) < 0 else (b, a) for a, b in combinations(timed, 2) if first(a, b) * second(a, b) < 0
    ]
    return RankAgreement((one, other), tau, len(timed), tuple(sorted(swapped, key=gap, reverse=True)))


def _contradiction(cases: Sequence[CaseView], setting: Setting) -> MacContradiction | None:
    macs = {case.name: size.mac_count for case in cases if (size := case.size.get(setting[0])) and size.mac_count}
    timed = {case.name: case for case in cases if setting in case.latency and case.name in macs}
    order = _by_latency(timed, setting)
    tau = _tau(list(timed), order, lambda a, b: _sign(macs[a] - macs[b]))
    against = [
        MacContradiction(setting, tau or 0.0, len(timed), slower, faster, macs[faster] / macs[slower], ratio)
        for slower, faster in _ordered(timed, order)
        if macs[faster] >= macs[slower]
        if (ratio := math.exp(_apart(timed[slower], timed[faster], setting))) >= LEAST_RATIO
    ]
    if tau is None or not against:
        return None
    return max(against, key=lambda found: found.mac_ratio * found.latency_ratio)


def _ordered(timed: dict[str, CaseView], order: Order) -> Iterator[tuple[str, str]]:
    """Every pair that can be told apart, as (slower, faster)."""
    for a, b in combinations(timed, 2):
        if told := order(a, b):
            yield (a, b) if told > 0 else (b, a)


def _by_latency(timed: dict[str, CaseView], setting: Setting) -> Order:
    placed = {name: case.latency[setting].placed_ns for name, case in timed.items()}
    return lambda a, b: 0 if placed[a].overlaps(placed[b]) else _sign(placed[a].value - placed[b].value)


def _apart(one: CaseView, other: CaseView, setting: Setting) -> float:
    """Logarithm of the larger of two latencies over the smaller."""
    placed = [case.latency[setting].placed_ns.value for case in (one, other)]
    return abs(math.log(placed[0] / placed[1]))


def _tau(names: Sequence[str], one: Order, other: Order) -> float | None:
    """Kendall's tau-b over all pairs; None where there are too few names, or an order tells no pair apart."""
    signs = [(one(a, b), other(a, b)) for a, b in combinations(names, 2)]
    told = [sum(abs(pair[place]) for pair in signs) for place in range(2)]
    if len(names) < FEWEST_CASES or not all(told):
        return None
    return sum(first * second for first, second in signs) / math.sqrt(told[0] * told[1])


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
