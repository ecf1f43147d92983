"""Whether targets agree about who is fast, and whether multiply-accumulates tell it: a sentence each, or none."""

from kdbench import units
from kdbench.evidence import Evidence
from kdbench.evidence.rankings import RankAgreement, mac_contradictions, rank_agreements
from kdbench.render.words.words import counted, listed, quoted, setting_place, target_place

SAME_MACS = 1.05
"""Counts nearer to each other than this are called the same."""
MOST_PAIRS = 2
"""Pairs of cases that change places: so many are named, the rest is counted."""


def orders_agree(evidence: Evidence) -> str:
    """How far the orders of latency agree, told of the targets and the batch size where they do least."""
    found = rank_agreements(evidence)
    if not found:
        return ""
    least = min(found, key=lambda one: (not one.swapped, one.tau))
    tau, cases = f"Kendall's tau {units.number(least.tau, 2)}", counted(least.case_count, "case")
    places = [target_place(target) for target, _ in least.settings]
    at = f"batch {least.settings[0][1]}"
    only = f" (the least of {len(found)} comparisons)" if len(found) > 1 else ""
    if least.swapped:
        where = f"{', and '.join(places)}, at {at}"
        return f"The order of latencies differs between {where}: {tau} over {cases}{only}; {_swapped(least)}."
    told = "as far as cases can be told apart"
    if len(found) == 1:
        same = f"The order of latencies is the same on {', and on '.join(places)}"
        return f"{same}, at {at}, {told}: {tau} over {cases}."
    count = len({setting[0] for one in found for setting in one.settings})
    same = f"The order of latencies is the same on all {count} targets"
    return f"{same}, {told}: {tau} or more, {len(found)} comparisons."


def _swapped(agreement: RankAgreement) -> str:
    """`a` is faster than `b` on cpu, 1 thread, not on the other, and 3 other pairs change places."""
    first = target_place(agreement.settings[0][0])
    slower: dict[str, list[str]] = {}
    for fast, slow in agreement.swapped[:MOST_PAIRS]:
        slower.setdefault(fast, []).append(quoted(slow))
    named = [f"{quoted(fast)} is faster than {listed(names)}" for fast, names in slower.items()]
    rest = len(agreement.swapped) - MOST_PAIRS
    others = f", and {counted(rest, 'other pair')} {'changes' if rest == 1 else 'change'} places" if rest > 0 else ""
    return f"{listed(named)} on {first}, not on the other{others}"


def macs_mislead(evidence: Evidence) -> str:
    """The two cases whose latencies contradict their multiply-accumulates most, where there are several targets."""
    found = mac_contradictions(evidence) if len({target for target, _ in evidence.deployed}) > 1 else []
    if not found:
        return ""
    worst = max(found, key=lambda one: one.latency_ratio * one.mac_ratio)
    fewer = f"{units.ratio(worst.mac_ratio)} fewer" if worst.mac_ratio > SAME_MACS else "no more"
    return (
        f"Multiply-accumulates mislead on {setting_place(worst.setting)}: {quoted(worst.slower)} has {fewer} than "
        f"{quoted(worst.faster)} and takes {units.ratio(worst.latency_ratio)} as long (Kendall's tau "
        f"{units.number(worst.tau, 2)} over {counted(worst.case_count, 'case')})."
    )
