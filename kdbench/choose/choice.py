"""The best case for each device under the user's limits, how sure that is, and what stands in the way where none fits.

The choice is made on the validation split and told in numbers of the test split. The teacher is no candidate: it is
what the cases are made smaller than.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from kdbench.choose.candidates import Lineup, lineup
from kdbench.choose.everywhere import Ranking, one_for_all
from kdbench.choose.offers import offer
from kdbench.choose.outcome import Choice, DeviceChoice, Miss
from kdbench.choose.resamples import drawn, mean_rate, measured
from kdbench.choose.rule import NOBODY, Array, Rule, log_half
from kdbench.errors import KdbenchError, StoreError, nearest
from kdbench.evidence import Evidence, Setting, evidence
from kdbench.evidence.answers import is_untrained, table_of
from kdbench.evidence.comparisons import all_pairs, beyond_p
from kdbench.evidence.differences import holm
from kdbench.evidence.intervals import FEWEST, LEVEL
from kdbench.evidence.pairs import example_halves
from kdbench.results.records import TEACHER
from kdbench.suite.limits import Limits, SuiteLimits

RESAMPLES = 1000


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
    decided = all(device.undecided is None for device, _ in made)
    return Choice(
        suite=found.results.plan.suite,
        baseline=found.results.plan.baseline,
        scale=found.results.scale,
        devices=tuple(device for device, _ in made),
        one_for_all=one_for_all([ranking for _, ranking in made]) if decided else None,
        findings=found.findings,
        untimed=() if targets else _untimed(found),
        resample_count=resample_count,
    )


def device_choice(evidence: Evidence, setting: Setting, limits: Limits) -> DeviceChoice:
    """The choice of `choose` for one setting, without resamples: for the report's answer, which names the same case.

    Raises KdbenchError where a number that the choice needs was not measured.
    """
    return _device(evidence, setting, limits, 0)[0]


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
        if batch not in {size.batch_size for size in measured_sizes}:
            sizes = ", ".join(map(str, measured_sizes))
            raise KdbenchError(f"batch size {batch} was not measured on {target}; measured there: {sizes}.")
    return ((target, size) for size in measured_sizes if not batch_sizes or size.batch_size in batch_sizes)


def _device(found: Evidence, setting: Setting, limits: Limits, count: int) -> tuple[DeviceChoice, Ranking]:
    everybody = lineup(found, setting, limits)
    names = tuple(candidate.name for candidate in everybody.candidates)
    numbers, rule = measured(everybody), _rule(everybody, limits)
    if everybody.allowed is not None and everybody.baseline is None:
        raise KdbenchError(
            f"{everybody.loss} refers to {found.results.plan.baseline}, whose {everybody.scale.name} on "
            f"{setting[0]} is not complete; run it again, or leave the limit out."
        )
    ranking = Ranking(setting, names, rule, numbers, rule.decide(numbers))
    undecided = _undecided(everybody)
    pick = ranking.pick if undecided is None else None
    others = sorted((name for name in ranking.alike if name != pick), key=ranking.log_latency) if pick else []
    device = DeviceChoice(
        target=setting[0],
        batch_size=setting[1].batch_size,
        lengths=dict(setting[1].lengths),
        limits=limits,
        split=everybody.split,
        is_validation_seen=everybody.is_validation_seen,
        split_value={name: everybody.scale.goodness(ranking.goodness(name)) for name in names},
        baseline_value=None if everybody.baseline is None else mean_rate(everybody.baseline),
        pick=None if pick is None else offer(found, pick, setting),
        undecided=undecided,
        alike=tuple(one for name in others if (one := offer(found, name, setting))),
        as_fast=tuple(name for name in others if name in ranking.as_fast),
        worse=tuple(name for name in ranking.fitting if pick and name not in ranking.alike),
        assured=_assured(everybody, found.results.plan.baseline),
        misses=tuple(_misses(ranking, everybody)),
        excluded=everybody.excluded,
        obstacles=() if ranking.fitting else tuple(_obstacles(ranking, everybody)),
        shares=_shares(everybody, rule, count) if undecided is None else {},
        seed_count=_seed_count(everybody),
        example_noise_only=0 < _seed_count(everybody) < FEWEST and not _all_untrained(everybody),
        untrained=_all_untrained(everybody),
        teacher=offer(found, TEACHER, setting),
    )
    return device, ranking


def _undecided(everybody: Lineup) -> str | None:
    """One case that is left over is no choice, unless the suite has no other."""
    if not everybody.candidates:
        return "no case is complete"
    if len(everybody.candidates) == 1 and everybody.excluded:
        count = len(everybody.excluded) + 1
        return f"only `{everybody.candidates[0].name}` of {count} cases can be chosen, and one is no choice"
    return None


def _seed_count(everybody: Lineup) -> int:
    return len(everybody.candidates[0].answers) if everybody.candidates else 0


def _all_untrained(everybody: Lineup) -> bool:
    return bool(everybody.candidates) and all(is_untrained(one.answers) for one in everybody.candidates)


def _rule(everybody: Lineup, limits: Limits) -> Rule:
    placed = [candidate.latency.placed_ns for candidate in everybody.candidates]
    bounds = limits.bounds() | ({} if everybody.allowed is None else {everybody.loss: everybody.allowed.amount})
    return Rule(bounds, _alike_within(everybody), np.array([log_half(one.low, one.high) for one in placed]))


def _alike_within(everybody: Lineup) -> Array:
    """[one, other]: half the unadjusted interval of two candidates' paired difference.

    With too few seeds for one, over test examples alone; without stored predictions either, nothing is alike.
    """
    answers = [candidate.answers for candidate in everybody.candidates]
    if not answers:
        return np.zeros((0, 0))
    half, table = all_pairs(answers).half, table_of(answers)
    examples = example_halves(table) if table.shape[2] >= FEWEST else np.zeros_like(half)
    return np.where(np.isfinite(half), half, examples)


def _assured(everybody: Lineup, baseline: str) -> tuple[str, ...] | None:
    """The candidates whose loss lies below its limit for certain, by Holm over all of them but the baseline.

    Of eight cases that lose just what is allowed, one or more would pass in 21 to 26 of 100 tables if each were tested
    by itself, and in 3 to 7 by Holm.
    """
    if everybody.allowed is None or everybody.baseline is None:
        return None
    amount, is_share = everybody.allowed.amount, everybody.allowed.is_share
    others = [candidate for candidate in everybody.candidates if candidate.name != baseline]
    p = [beyond_p(one.answers, everybody.baseline, amount, is_share, everybody.scale) for one in others]
    sure = {one.name for one, q in zip(others, holm(p), strict=True) if q is not None and q < 1 - LEVEL}
    return tuple(one.name for one in everybody.candidates if one.name == baseline or one.name in sure)


def _misses(ranking: Ranking, everybody: Lineup) -> Iterator[Miss]:
    """Every case and limit that do not go together, case by case."""
    rule, numbers = ranking.rule, ranking.numbers
    kept = {limit: rule.within(numbers, limit)[0] for limit in rule.bounds}
    values = {limit: np.broadcast_to(numbers.limited[limit], numbers.goodness.shape)[0] for limit in rule.bounds}
    for place, name in enumerate(ranking.names):
        beyond = [limit for limit in rule.bounds if not kept[limit][place]]
        for limit in beyond:
            is_share = limit == everybody.loss and everybody.allowed is not None and everybody.allowed.is_share
            yield Miss(name, limit, float(values[limit][place]), rule.bounds[limit], len(beyond) == 1, is_share)


def _obstacles(ranking: Ranking, everybody: Lineup) -> Iterator[Miss]:
    """For each limit the nearest case: among those that miss it alone, else (some limit nobody misses alone) all."""
    missed = list(_misses(ranking, everybody))
    for limit in ranking.rule.bounds:
        here = [miss for miss in missed if miss.limit == limit]
        alone = [miss for miss in here if miss.alone]
        if here:
            yield min(alone or here, key=lambda miss: miss.value)


def _shares(everybody: Lineup, rule: Rule, count: int) -> dict[str, float]:
    if not count:
        return {}
    picks = Counter(place for numbers in drawn(everybody, count) for place in rule.decide(numbers).pick.tolist())
    return {everybody.candidates[place].name: n / count for place, n in picks.most_common() if place != NOBODY}
