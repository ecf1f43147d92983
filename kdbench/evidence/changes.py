"""Two runs side by side: which cases came and went, and how the others' scores, latency and size changed."""

from dataclasses import dataclass, replace

from kdbench.evidence.answers import answers_by_case
from kdbench.evidence.comparisons import compare
from kdbench.evidence.differences import Difference, holm
from kdbench.evidence.grids import quotient
from kdbench.evidence.intervals import Estimate
from kdbench.evidence.latency import BASELINE
from kdbench.evidence.views import CaseView, Evidence, Setting
from kdbench.results.records import Latency


@dataclass(frozen=True)
class Change:
    """One case that both runs have; every number compares after with before."""

    before: CaseView
    after: CaseView
    score: dict[str, Difference]
    """By target, in the metric's unit. Holm's p is adjusted over all cases of the target."""
    speedup: dict[Setting, Estimate]
    """Above 1 is faster than before. Only where both runs used the same machine and runtime."""
    compression: dict[str, float]
    """By target: bytes before / bytes after."""

    @property
    def name(self) -> str:
        return self.after.name


@dataclass(frozen=True)
class Changes:
    """Everything that differs between two results folders."""

    before: Evidence
    after: Evidence
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changes: tuple[Change, ...]
    drift_free: frozenset[str]
    """Targets whose speed-ups go through the same baseline file, timed beside every other in both runs."""
    elsewhere: frozenset[str]
    """Targets measured on another machine or runtime than before, so that latencies cannot be compared."""


def changes(before: Evidence, after: Evidence) -> Changes:
    """Compare two runs case by case."""
    old, new = [case.name for case in before.cases], [case.name for case in after.cases]
    both = [name for name in new if name in old]
    targets = [target for target in after.targets if target in before.targets]
    scores = {target: _scores(before, after, target, both) for target in targets}
    elsewhere = frozenset(t for t in targets if _fingerprints(before, t) != _fingerprints(after, t))
    drift_free = frozenset(t for t in targets if t not in elsewhere and _baselines(before, t) == _baselines(after, t))
    found = []
    for name in both:
        one, other = before.case(name), after.case(name)
        assert one is not None
        assert other is not None
        settings = [s for s in other.latency if s in one.latency and s[0] not in elsewhere]
        found.append(
            Change(
                one,
                other,
                {target: by_case[name] for target, by_case in scores.items() if name in by_case},
                {setting: _speedup(one, other, setting, setting[0] in drift_free) for setting in settings},
                {t: one.size[t].file_bytes / s.file_bytes for t, s in other.size.items() if t in one.size},
            )
        )
    return Changes(
        before,
        after,
        tuple(name for name in new if name not in old),
        tuple(name for name in old if name not in new),
        tuple(found),
        drift_free,
        elsewhere,
    )


def _scores(before: Evidence, after: Evidence, target: str, names: list[str]) -> dict[str, Difference]:
    old, new = answers_by_case(before.results, target), answers_by_case(after.results, target)
    shared = [name for name in names if name in old and name in new]
    found = {name: difference for name in shared if (difference := compare(new[name], old[name]))}
    adjusted = holm([difference.p for difference in found.values()])
    return {name: replace(d, adjusted_p=p) for (name, d), p in zip(found.items(), adjusted, strict=True)}


def _fingerprints(run: Evidence, target: str) -> set[str | None]:
    return {record.fingerprint for record in run.results.of(Latency) if record.target == target}


def _baselines(run: Evidence, target: str) -> set[str | None]:
    records = [record for record in run.results.of(Latency) if record.target == target]
    return {record.references.get(BASELINE) for record in records} or {None}


def _speedup(before: CaseView, after: CaseView, setting: Setting, drift_free: bool) -> Estimate:
    """How many times faster it is now: by the speed-ups over the same baseline file where both runs have them, else by
    the latencies."""
    old, new = before.latency[setting], after.latency[setting]
    if drift_free and BASELINE in old.speedup and BASELINE in new.speedup:
        return quotient(new.speedup[BASELINE], old.speedup[BASELINE])
    return quotient(old.p50_ns, new.p50_ns)
