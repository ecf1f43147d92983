"""The best case for each device under the user's limits, how sure that is, and what stands in the way where none fits.

The choice is made on the validation split and told in numbers of the test split. The teacher is no candidate: it is
what the cases are made smaller than.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from kdbench.choose.candidates import Candidate, Lineup, lineup
from kdbench.choose.everywhere import OneForAll, Ranking, one_for_all
from kdbench.choose.offers import Offer, offer
from kdbench.choose.resamples import drawn, mean_rate, measured
from kdbench.choose.rule import Numbers, Rule, Verdict, log_half
from kdbench.errors import KdbenchError, StoreError, nearest
from kdbench.evidence import Evidence, Setting, evidence
from kdbench.evidence.accuracy import compare
from kdbench.evidence.intervals import FEWEST, quantile
from kdbench.results.records import TEACHER
from kdbench.suite.limits import Limits, SuiteLimits

RESAMPLES = 1000


@dataclass(frozen=True)
class Miss:
    """A case that is beyond a limit; both numbers in base units (rate, ns, bytes)."""

    case: str
    limit: str
    value: float
    bound: float
    alone: bool
    """Whether this limit is the only one it misses."""


@dataclass(frozen=True)
class DeviceChoice:
    """What is chosen on one device at one batch size."""

    target: str
    batch_size: int
    limits: Limits
    split: str
    """The one it was chosen on: "validation", or "test" where nothing else was recorded."""
    split_accuracy: dict[str, float]
    """Candidate -> its accuracy on that split, a rate, mean over seeds."""
    baseline_accuracy: float | None
    """The same of the suite's baseline; None where it lacks a seed."""
    pick: Offer | None
    """None where nothing fits."""
    alike: tuple[Offer, ...]
    """Fit too and cannot be told from the best in accuracy; fastest first."""
    as_fast: tuple[str, ...]
    """Of those, the ones whose latency cannot be told from the pick's either."""
    less_accurate: tuple[str, ...]
    """Fit too, and are told from the best in accuracy."""
    misses: tuple[Miss, ...]
    """Everything that is beyond a limit."""
    excluded: dict[str, str]
    """Case -> why it was no candidate."""
    obstacles: tuple[Miss, ...]
    """Where nothing fits: for each limit, the case that comes nearest."""
    shares: dict[str, float]
    """Case -> share of the resamples in which it is the pick; largest first."""
    seed_count: int
    example_noise_only: bool
    """Whether the seeds are too few, so that test examples alone say who can be told apart."""
    teacher: Offer | None
    """For reference."""


@dataclass(frozen=True)
class Choice:
    """The answer for a results folder."""

    suite: str
    baseline: str
    """What a drop in accuracy refers to."""
    devices: tuple[DeviceChoice, ...]
    one_for_all: OneForAll | None
    """None for a single device and batch size, and where no case fits on all."""
    untimed: tuple[str, ...]
    """Targets of the suite on which nothing was timed, so that nothing is chosen there."""
    resample_count: int


def choose(
    results: Path | Evidence,
    limits: Limits | None = None,
    targets: Collection[str] = (),
    batch_sizes: Collection[int] = (),
    resample_count: int = RESAMPLES,
) -> Choice:
    """The best case for each target and batch size; `limits` win over the suite's own, one by one.

    No targets and no batch sizes mean all that were measured. Raises KdbenchError where a target, a batch size or a
    number that a limit is on was not measured, StoreError and RecordError as `evidence` does.
    """
    found = evidence(results) if isinstance(results, Path) else results
    of = suite_limits(found)
    at = {target: (limits or Limits()).over(of.at(target)) for target in found.targets}
    settings = _settings(found, at, targets, batch_sizes)
    made = [_device(found, setting, at[setting[0]], resample_count) for setting in settings]
    return Choice(
        suite=found.results.plan.suite,
        baseline=found.results.plan.baseline,
        devices=tuple(device for device, _ in made),
        one_for_all=one_for_all([ranking for _, ranking in made]),
        untimed=() if targets else _untimed(found),
        resample_count=resample_count,
    )


def _untimed(found: Evidence) -> tuple[str, ...]:
    known = {target for target, _ in found.settings} | found.results.reference_targets
    return tuple(target for target in found.targets if target not in known)


def suite_limits(found: Evidence) -> SuiteLimits:
    """The limits of the suite as it was run. Raises StoreError where the folder's plan holds no such thing."""
    try:
        return SuiteLimits.from_fields(found.results.plan.limits)
    except ValidationError as error:
        path = found.results.folder / "plan.json"
        told = error.errors(include_url=False)[0]["msg"]
        raise StoreError(f"'{path}' has limits that cannot be understood ({told}); run the suite again.") from None


def _settings(
    found: Evidence, at: dict[str, Limits], targets: Collection[str], batch_sizes: Collection[int]
) -> list[Setting]:
    references = found.results.reference_targets
    timed = [t for t in dict.fromkeys(target for target, _ in found.settings) if t not in references]
    if not timed:
        what = "nothing but references was timed" if found.settings else "nothing was timed"
        raise KdbenchError(f"{what} in '{found.results.folder}', so nothing can be chosen.")
    for target in targets:
        if target in references:
            raise KdbenchError(
                f"nobody deploys to '{target}', it is timed for reference; choose on {', '.join(timed)}."
            )
        if target not in timed:
            raise KdbenchError(f"nothing was timed on a target '{target}'. {nearest(target, timed)}")
    kept = [target for target in timed if target in (targets or timed)]
    own = {target: () if (size := at[target].batch_size) is None else (size,) for target in kept}
    return [setting for target in kept for setting in _at_batches(found, target, batch_sizes or own[target])]


def _at_batches(found: Evidence, target: str, batch_sizes: Collection[int]) -> Iterator[Setting]:
    measured_sizes = [batch for timed, batch in found.settings if timed == target]
    for batch in batch_sizes:
        if batch not in measured_sizes:
            sizes = ", ".join(map(str, measured_sizes))
            raise KdbenchError(f"batch size {batch} was not measured on {target}; measured there: {sizes}.")
    return ((target, batch) for batch in measured_sizes if batch in (batch_sizes or measured_sizes))


def _device(found: Evidence, setting: Setting, limits: Limits, count: int) -> tuple[DeviceChoice, Ranking]:
    everybody = lineup(found, setting, limits)
    rule = _rule(everybody, limits)
    if "accuracy_drop" in rule.bounds and everybody.baseline is None:
        raise KdbenchError(
            f"accuracy_drop refers to {found.results.plan.baseline}, whose accuracy on {setting[0]} is not complete; "
            "run it again, or leave the limit out."
        )
    numbers, names = measured(everybody), [candidate.name for candidate in everybody.candidates]
    verdict = rule.decide(numbers)
    pick = verdict.pick
    others = sorted(set(verdict.alike) - {pick}, key=numbers.log_latency.__getitem__)
    device = DeviceChoice(
        target=setting[0],
        batch_size=setting[1],
        limits=limits,
        split=everybody.split,
        split_accuracy=dict(zip(names, numbers.accuracy, strict=True)),
        baseline_accuracy=None if everybody.baseline is None else mean_rate(everybody.baseline),
        pick=None if pick is None else offer(found, names[pick], setting),
        alike=tuple(one for place in others if (one := offer(found, names[place], setting))),
        as_fast=tuple(names[p] for p in others if pick is not None and rule.same_latency(numbers, p, pick)),
        less_accurate=tuple(names[place] for place in verdict.fitting if place not in verdict.alike),
        misses=tuple(miss for place in range(len(names)) for miss in _misses(rule, numbers, names, place)),
        excluded=everybody.excluded,
        obstacles=() if verdict.fitting else tuple(_obstacles(rule, numbers, names)),
        shares=_shares(everybody, rule, verdict, count),
        seed_count=_seed_count(everybody),
        example_noise_only=0 < _seed_count(everybody) < FEWEST,
        teacher=offer(found, TEACHER, setting),
    )
    return device, Ranking(setting, tuple(names), rule, numbers, verdict)


def _seed_count(everybody: Lineup) -> int:
    return len(everybody.candidates[0].answers) if everybody.candidates else 0


def _rule(everybody: Lineup, limits: Limits) -> Rule:
    candidates = everybody.candidates

    @cache
    def alike_within(one: int, other: int) -> float:
        return _half(candidates[one], candidates[other])

    placed = [candidate.latency.placed_ns for candidate in candidates]
    return Rule(limits.bounds(), alike_within, [log_half(view.low, view.high) for view in placed])


def _half(one: Candidate, other: Candidate) -> float:
    """Half the interval of two candidates' paired difference in accuracy.

    Unadjusted: an adjustment would make more cases alike, and to call a worse case alike is the error to fear here.
    With too few seeds for one, over test examples alone; without stored predictions either, nothing is alike.
    """
    found = compare(one.answers, other.answers)
    if found is not None and found.low is not None and found.high is not None:
        return (found.high - found.low) / 2
    both = zip(one.answers.values(), other.answers.values(), strict=True)
    rows = [(a.pseudo_values, b.pseudo_values) for a, b in both]
    differences = [a - b for a, b in rows if a is not None and b is not None and a.shape == b.shape]
    if len(differences) < len(rows) or len(differences[0]) < FEWEST:
        return 0.0
    each = np.mean(differences, axis=0)
    return quantile(math.inf) * float(np.std(each, ddof=1)) / math.sqrt(len(each))


def _misses(rule: Rule, numbers: Numbers, names: Sequence[str], place: int) -> list[Miss]:
    beyond = [limit for limit in rule.bounds if not rule.within(numbers, limit, place)]
    return [
        Miss(names[place], limit, numbers.limited[limit][place], rule.bounds[limit], len(beyond) == 1)
        for limit in beyond
    ]


def _obstacles(rule: Rule, numbers: Numbers, names: Sequence[str]) -> Iterator[Miss]:
    """For each limit the nearest case: among those that miss it alone, else (some limit nobody misses alone) all."""
    missed = [_misses(rule, numbers, names, place) for place in range(len(names))]
    for limit in rule.bounds:
        here = [miss for misses in missed for miss in misses if miss.limit == limit]
        alone = [miss for miss in here if miss.alone]
        if here:
            yield min(alone or here, key=lambda miss: miss.value)


def _shares(everybody: Lineup, rule: Rule, verdict: Verdict, count: int) -> dict[str, float]:
    if not everybody.candidates:
        return {}
    picks = Counter(rule.decide(numbers).pick for numbers in drawn(everybody, count))
    return {everybody.candidates[place].name: n / count for place, n in picks.most_common() if place is not None}
