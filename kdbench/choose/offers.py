"""A case with its numbers and its ratios to others, on the test split: never in the numbers that it was chosen by."""

from collections.abc import Iterator
from dataclasses import dataclass

from kdbench.evidence import CaseView, Evidence, LatencyView, Setting
from kdbench.evidence.differences import Difference
from kdbench.evidence.grids import quotient
from kdbench.evidence.intervals import Estimate


@dataclass(frozen=True)
class Comparison:
    """One case against another; ratios above 1 are better. None is what was not measured, or has no pair."""

    case: str
    """The other one."""
    score: Difference | None
    """Difference in the task's metric on the test split, in its own unit."""
    speedup: Estimate | None
    compression_ratio: float | None


@dataclass(frozen=True)
class Offer:
    """A case on one device at one batch size; None is what was not measured."""

    case: str
    score: Estimate | None
    """The task's metric on the test split."""
    latency_p50_ns: Estimate | None
    file_bytes: float | None
    memory_bytes: float | None
    """Memory that loading and running it adds to a process."""
    against: tuple[Comparison, ...]
    """The teacher, then its own baseline, then the suite's where that is another one."""
    warnings: tuple[str, ...]
    """Warnings on its latency."""


def offer(evidence: Evidence, name: str, setting: Setting) -> Offer | None:
    """A case's numbers; None where the records know no such case."""
    case = evidence.case(name)
    if case is None:
        return None
    score, latency, size = case.score.get(setting[0]), case.latency.get(setting), case.size.get(setting[0])
    return Offer(
        case=name,
        score=score.estimate if score else None,
        latency_p50_ns=latency.p50_ns if latency else None,
        file_bytes=size.file_bytes if size else None,
        memory_bytes=case.memory_bytes.get(setting),
        against=(*_comparisons(evidence, case, setting, latency), *_across(evidence, case, setting)),
        warnings=latency.warnings if latency else (),
    )


def _comparisons(
    evidence: Evidence, case: CaseView, setting: Setting, latency: LatencyView | None
) -> tuple[Comparison, ...]:
    """Against its teacher and its baseline, where those have rows: a file may be timed beside one that has none."""
    score, size = case.score.get(setting[0]), case.size.get(setting[0])
    others = {"teacher": case.teacher, "baseline": case.baseline}
    differences = {
        "teacher": score.to_teacher if score else None,
        "baseline": score.difference if score else None,
    }
    return tuple(
        Comparison(
            case=other,
            score=differences[role],
            speedup=latency.speedup.get(role) if latency else None,
            compression_ratio=size.compression_ratio.get(role) if size else None,
        )
        for role, other in others.items()
        if other is not None and other != case.name and not case.teaches and evidence.case(other) is not None
    )


def _across(evidence: Evidence, case: CaseView, setting: Setting) -> Iterator[Comparison]:
    """Against the suite's baseline, across students of one task. The two were not timed in the same rounds."""
    other = evidence.case(evidence.results.plan.baseline)
    if other is None or case.teaches or other.name in (case.name, case.baseline):
        return
    target = setting[0]
    theirs, its = other.latency.get(setting), case.latency.get(setting)
    before, after = other.size.get(target), case.size.get(target)
    yield Comparison(
        case=other.name,
        score=case.score[target].across if target in case.score else None,
        speedup=quotient(theirs.p50_ns, its.p50_ns) if theirs and its else None,
        compression_ratio=before.file_bytes / after.file_bytes if before and after else None,
    )
