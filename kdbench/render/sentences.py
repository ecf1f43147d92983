"""What the numbers say, in cautious sentences: who counts as different, who cannot be told apart."""

from kdbench import units
from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.evidence.intervals import FEWEST
from kdbench.records import TEACHER
from kdbench.render.columns import distinct
from kdbench.render.words import counted, explained, listed, seeds_name, setting_place


def sentences(evidence: Evidence) -> tuple[str, ...]:
    """The answer as far as the records carry it; at least one sentence."""
    said = [
        *(_accuracy(evidence, target, named) for target, named in distinct(evidence, _rates)),
        *(_latency(evidence, setting) for setting in evidence.settings),
        _size(evidence),
        _trouble(evidence),
    ]
    return tuple(sentence for sentence in said if sentence) or ("Nothing was measured.",)


def _rates(case: CaseView, target: str) -> object:
    return case.accuracy[target].estimate.values if target in case.accuracy else None


def _students(evidence: Evidence) -> list[CaseView]:
    return [case for case in evidence.cases if case.name != TEACHER]


def _accuracy(evidence: Evidence, target: str, named: str) -> str:
    compared = [case for case in _students(evidence) if target in case.accuracy and case.accuracy[target].difference]
    if not compared:
        return ""
    if len(evidence.results.plan.seeds) < FEWEST:
        return f"Accuracy{named}: {seeds_name(evidence)} are too few to tell any case from another."
    counting = [_difference(case, target) for case in compared if _counts(case, target)]
    rest = len(compared) - len(counting)
    against = f"Accuracy{named} against {evidence.results.plan.baseline} ({seeds_name(evidence)}, Holm-adjusted)"
    if not counting:
        return f"{against}: none of {counted(rest, 'case')} can be told from it."
    other = f"; the other {rest} cannot be told from it" if rest else ""
    return f"{against}: {listed(counting)}{other}."


def _counts(case: CaseView, target: str) -> bool:
    difference = case.accuracy[target].difference
    return difference is not None and difference.counts


def _difference(case: CaseView, target: str) -> str:
    d = case.accuracy[target].difference
    if d is None or d.low is None or d.high is None:
        return case.name
    verb, sign = ("gains", 1) if d.value > 0 else ("loses", -1)
    low, high = sorted((sign * d.low, sign * d.high))
    decimals = units.decimals_for([50 * (high - low)])
    value = units.percent(abs(d.value), decimals)
    return f"{case.name} {verb} {value} points ({units.percent(low, decimals)} to {units.percent(high, decimals)})"


def _latency(evidence: Evidence, setting: Setting) -> str:
    timed = [case for case in _students(evidence) if setting in case.latency]
    if not timed:
        return f"On {setting_place(setting)} no case was timed."
    timed.sort(key=lambda case: case.latency[setting].placed_ns.value)
    best = timed[0].latency[setting]
    same = [case.name for case in timed[1:] if case.latency[setting].placed_ns.overlaps(best.placed_ns)]
    text = f"On {setting_place(setting)}: {timed[0].name} has the lowest latency, {units.latency(best.p50_ns.value)}"
    if ratio := best.speedup.get(TEACHER):
        text += f", {units.ratio(ratio.value, ratio.low, ratio.high)} faster than the teacher"
    text += _at_accuracy(timed[0], setting[0])
    if same:
        text += f"; {listed(same)} cannot be told from it"
    care = "; ".join(explained(word) for word in best.warnings)
    return f"{text}. Read it with care: {care}." if care else f"{text}."


def _at_accuracy(case: CaseView, target: str) -> str:
    view = case.accuracy.get(target)
    if view is None or view.difference is None or view.difference.low is None or view.difference.high is None:
        return ""
    d = view.difference
    decimals = units.decimals_for([50 * (view.difference.high - view.difference.low)])
    points = units.points_interval(d.value, d.low, d.high, decimals)
    return f", at {points} points of accuracy against {case.baseline}"


def _size(evidence: Evidence) -> str:
    sized = [(size, case) for case in _students(evidence) for size in case.size.values()]
    if not sized:
        return ""
    smallest, case = min(sized, key=lambda pair: pair[0].onnx_bytes)
    text = f"The smallest file is {case.name}'s, {units.size(smallest.onnx_bytes)}"
    ratio = smallest.compression_ratio.get(TEACHER)
    return f"{text}, {units.ratio(ratio)} smaller than the teacher's." if ratio else f"{text}."


def _trouble(evidence: Evidence) -> str:
    troubled = [case.name for case in evidence.cases if case.problems]
    return f"Not everything went well: see {listed(troubled)} under 'What went wrong'." if troubled else ""
