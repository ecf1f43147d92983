"""The answer in cautious sentences, one a device and batch: what to look at, its cost, what cannot be told from it.

Case names stand in backticks; what shows a sentence dresses them.
"""

import math
from dataclasses import dataclass

from kdbench import units
from kdbench.evidence import CaseView, Evidence, LatencyView, Setting
from kdbench.evidence.intervals import FEWEST, Difference, Estimate
from kdbench.render.tables.accuracy_columns import distinct, rates
from kdbench.render.words.ranking_words import macs_mislead, orders_agree
from kdbench.render.words.words import (
    baseline_name,
    counted,
    listed,
    quoted,
    quoted_list,
    seeds_name,
    setting_place,
    students,
)
from kdbench.results.records import TEACHER


@dataclass(frozen=True)
class Sentence:
    """A few sentences on one thing, and the warnings (words of `kdbench.stats`) on the numbers in them."""

    text: str
    warnings: tuple[str, ...] = ()


def sentences(evidence: Evidence) -> tuple[Sentence, ...]:
    """The answer as far as the records carry it; at least one sentence."""
    said = [
        *(_setting(evidence, setting) for setting in evidence.deployed),
        *(Sentence(_accuracy(evidence, target, named)) for target, named in distinct(evidence, rates)),
        Sentence(_size(evidence)),
        Sentence(orders_agree(evidence)),
        Sentence(macs_mislead(evidence)),
        Sentence(_trouble(evidence)),
    ]
    return tuple(sentence for sentence in said if sentence.text) or (Sentence("Nothing was measured."),)


def _setting(evidence: Evidence, setting: Setting) -> Sentence:
    """The fastest case whose accuracy cannot be told from the best one's, and how the others stand to it.

    The same preference as `kdbench choose` has, without limits and on the reported split.
    """
    timed = sorted(
        (case for case in students(evidence) if setting in case.latency and setting[0] in case.accuracy),
        key=lambda case: case.latency[setting].placed_ns.value,
    )
    where = f"On {setting_place(setting)}"
    if not timed:
        return Sentence(f"{where}: no case has both a latency and an accuracy.")
    best = max(timed, key=lambda case: case.accuracy[setting[0]].estimate.value)
    pick = _fastest(_as_accurate(best, timed, setting[0]), setting)
    warnings = pick.latency[setting].warnings
    parts = [
        f"{where}: {quoted(pick.name)} {_gains(pick, setting)}{_loses(pick, setting[0])}.",
        _others(timed, pick, setting),
        _faster_still(timed, pick, setting),
    ]
    return Sentence(" ".join(part for part in parts if part), warnings)


def _as_accurate(one: CaseView, timed: list[CaseView], target: str) -> list[CaseView]:
    """It and the cases that cannot be told from it in accuracy: by their letters, else by their intervals."""
    its = one.accuracy[target]
    views = {case.name: case.accuracy[target] for case in timed}
    alike = {
        name
        for name, view in views.items()
        if (set(its.letters) & set(view.letters) if its.letters else its.estimate.overlaps(view.estimate))
    }
    return [case for case in timed if case is one or case.name in alike]


def _as_fast(one: LatencyView, other: LatencyView) -> bool:
    """Whether they cannot be told apart in latency: by their letters, where one has none by their intervals."""
    if one.letters and other.letters:
        return bool(set(one.letters) & set(other.letters))
    return one.placed_ns.overlaps(other.placed_ns)


def _fastest(timed: list[CaseView], setting: Setting) -> CaseView:
    """Of those as fast as the first, the smallest; of equally small ones (within 2 %), the most accurate."""
    first = timed[0].latency[setting].placed_ns

    def rank(case: CaseView) -> tuple[int, float]:
        size = case.size.get(setting[0])
        return (round(50 * math.log(size.onnx_bytes)) if size else 0, -case.accuracy[setting[0]].estimate.value)

    return min((case for case in timed if case.latency[setting].placed_ns.overlaps(first)), key=rank)


def _gains(case: CaseView, setting: Setting) -> str:
    view, size = case.latency[setting], case.size.get(setting[0])
    parts = []
    if speedup := view.speedup.get(TEACHER):
        parts.append(faster(speedup, "the teacher"))
    else:
        parts.append(f"takes {units.latency(view.p50_ns.value)}")
    if size and (ratio := size.compression_ratio.get(TEACHER)):
        smaller = ratio >= 1
        parts.append(f"{units.ratio(ratio if smaller else 1 / ratio)} {'smaller' if smaller else 'larger'}")
    return listed(parts)


def faster(speedup: Estimate, reference: str) -> str:
    """A ratio in the direction in which it is above 1; one whose interval holds 1 says so."""
    low, high = speedup.low, speedup.high
    if low is not None and high is not None and low <= 1 <= high:
        return f"is as fast as {reference}, {units.ratio(speedup.value, low, high)}"
    if speedup.value >= 1:
        return f"is {units.ratio(speedup.value, low, high)} faster than {reference}"
    turned = (None, None) if low is None or high is None else (1 / high, 1 / low)
    return f"is {units.ratio(1 / speedup.value, *turned)} slower than {reference}"


def _loses(case: CaseView, target: str) -> str:
    difference = case.accuracy[target].to_teacher
    return f", and {change(difference)}" if difference else ""


def change(difference: Difference) -> str:
    """Loses 0.4 points (−0.1 to 0.9)."""
    verb, sign = ("gains", 1) if difference.value > 0 else ("loses", -1)
    if difference.low is None or difference.high is None:
        return f"{verb} {units.percent(abs(difference.value))} points"
    if difference.low == difference.high == 0:
        return "is right on exactly the same examples"
    low, high = sorted((sign * difference.low, sign * difference.high))
    decimals = units.decimals_for([50 * (high - low)])
    value = units.percent(abs(difference.value), decimals)
    return f"{verb} {value} points ({units.percent(low, decimals)} to {units.percent(high, decimals)})"


def _others(timed: list[CaseView], pick: CaseView, setting: Setting) -> str:
    """Of the cases as accurate as the pick: which are as fast, which are slower."""
    view = pick.latency[setting]
    equal = {case.name: case.latency[setting] for case in _as_accurate(pick, timed, setting[0]) if case is not pick}
    same = [name for name, its in equal.items() if _as_fast(view, its)]
    slower = [name for name, its in equal.items() if name not in same and its.placed_ns.value > view.placed_ns.value]
    if len(same) == len(timed) - 1 > 4:
        return f"None of the other {counted(len(same), 'case')} can be told from it, in accuracy or in latency."
    parts = []
    if same:
        parts.append(f"{quoted_list(same)} cannot be told from it, in accuracy or in latency")
    if slower:
        verb = "is" if len(slower) == 1 else "are"
        alike = "can neither in accuracy" if same else "cannot be told from it in accuracy"
        parts.append(f"{quoted_list(slower)} {alike} and {verb} slower")
    return f"{'; '.join(parts)}." if parts else ""


def _faster_still(timed: list[CaseView], pick: CaseView, setting: Setting) -> str:
    """Of the cases that are less accurate than the best, the fastest, where it is faster than the pick."""
    first = timed[0]
    if first is pick or _as_fast(first.latency[setting], pick.latency[setting]):
        return ""
    difference = first.accuracy[setting[0]].difference
    cost = f", but {change(difference)} against {quoted(first.baseline or '')}" if difference else ""
    speedup = first.latency[setting].speedup.get(TEACHER)
    ratio = f" ({units.ratio(speedup.value, speedup.low, speedup.high)} the teacher)" if speedup else ""
    return f"{quoted(first.name)} is faster still{ratio}{cost}."


def _accuracy(evidence: Evidence, target: str, named: str) -> str:
    compared = {
        case.name: difference
        for case in students(evidence)
        if target in case.accuracy and (difference := case.accuracy[target].difference)
    }
    if not compared:
        return ""
    if len(evidence.results.plan.seeds) < FEWEST:
        return f"Accuracy{named}: {seeds_name(evidence)} are too few to tell any case from another."
    counting = {name: difference for name, difference in compared.items() if difference.counts}
    rest = len(compared) - len(counting)
    against = f"Accuracy{named} against {_baseline(evidence)} ({seeds_name(evidence)}, Holm-adjusted)"
    if not counting:
        return f"{against}: none of {counted(rest, 'case')} can be told from it."
    other = f"; the other {rest} cannot be told from it" if rest else ""
    return f"{against}: {_differing(counting)}{other}."


def _baseline(evidence: Evidence) -> str:
    name = baseline_name(evidence)
    return quoted(name) if evidence.case(name) else name


def _differing(counting: dict[str, Difference], most: int = 4) -> str:
    if len(counting) <= most:
        return listed([f"{quoted(name)} {change(difference)}" for name, difference in counting.items()])
    gaining = [name for name, difference in counting.items() if difference.value > 0]
    losing = [name for name in counting if name not in gaining]
    said = [f"{quoted_list(names, most)} {verb}" for verb, names in (("gain", gaining), ("lose", losing)) if names]
    return listed(said)


def _size(evidence: Evidence) -> str:
    sized = [(size, case) for case in students(evidence) for size in case.size.values()]
    if not sized:
        return ""
    smallest, case = min(sized, key=lambda pair: pair[0].onnx_bytes)
    text = f"The smallest file is {quoted(case.name)}, {units.size(smallest.onnx_bytes)}"
    ratio = smallest.compression_ratio.get(TEACHER)
    return f"{text}, {units.ratio(ratio)} smaller than the teacher's." if ratio else f"{text}."


def _trouble(evidence: Evidence) -> str:
    troubled = [case.name for case in evidence.cases if case.problems]
    return f"Not everything went well with {quoted_list(troubled)}: see 'What went wrong'." if troubled else ""
