"""The cases that can be chosen on one device at one batch size, their numbers, and why the others cannot be."""

from collections.abc import Mapping
from dataclasses import dataclass

from kdbench.errors import KdbenchError
from kdbench.evidence import CaseView, Evidence, LatencyView, Results, Setting
from kdbench.evidence.answers import SPLIT, BySeed, answers_by_case, is_untrained
from kdbench.results.records import Size
from kdbench.scale import Scale
from kdbench.suite.limits import Limits
from kdbench.suite.losses import Allowed, allowed, fault_of, key_of

VALIDATION = "validation"


@dataclass(frozen=True)
class Candidate:
    """A case with everything measured that a choice needs."""

    name: str
    answers: BySeed
    """Its answers on the split that is chosen on."""
    latency: LatencyView
    file_bytes: float
    """Bytes of the largest of its seeds' files: whichever is shipped must fit."""
    memory_bytes: float | None


@dataclass(frozen=True)
class Lineup:
    """All cases on one device at one batch size."""

    setting: Setting
    split: str
    """The one that is chosen on: "validation", or "test" where nothing else was recorded or validation is no guide."""
    is_validation_seen: bool
    """Whether validation was passed over: weights of a file may have been trained on it."""
    candidates: tuple[Candidate, ...]
    """In the suite's order; all with the same seeds."""
    excluded: dict[str, str]
    """Case -> why it cannot be chosen."""
    scale: Scale
    """Name, unit and direction of the metric that cases are chosen by."""
    baseline: BySeed | None
    """The answers of the suite's baseline; None where it lacks a seed."""
    loss: str
    """The name of the limit on that metric's loss against the baseline: accuracy_drop, rmse_rise."""
    allowed: Allowed | None
    """How much may be lost; None where it is not limited."""


def lineup(evidence: Evidence, setting: Setting, limits: Limits) -> Lineup:
    """The candidates of a setting. Raises KdbenchError where nobody has a number that the choice needs."""
    results, target = evidence.results, setting[0]
    split, is_validation_seen = _split(results, target)
    found_answers = answers_by_case(results, target, split)
    students = [case for case in evidence.cases if not case.teaches]
    answers = _over_seeds({case.name: found_answers[case.name] for case in students if case.name in found_answers})
    seeds = frozenset(seed for by_seed in answers.values() for seed in by_seed)
    bytes_of = _largest_files(results, target)
    _require(bool(seeds), results.scale.name, setting)
    _require(any(case.name in bytes_of for case in students), "file size", setting)
    _require(limits.memory is None or any(setting in case.memory_bytes for case in students), "memory", setting)
    barred = {name: f.sentence for f in evidence.findings if f.bars and f.target in (target, None) for name in f.cases}
    found, excluded = [], {}
    for case in students:
        missing_seeds = seeds - answers.get(case.name, {}).keys()
        if reason := _reason(case, setting, missing_seeds, limits, results.scale.name) or barred.get(case.name):
            excluded[case.name] = reason
        else:
            latency, memory = case.latency[setting], case.memory_bytes.get(setting)
            found.append(Candidate(case.name, answers[case.name], latency, bytes_of[case.name], memory))
    baseline = answers.get(results.plan.baseline, {})
    return Lineup(
        setting,
        split,
        is_validation_seen,
        tuple(found),
        excluded,
        results.scale,
        baseline if baseline.keys() == seeds else None,
        key_of(results.metric_name, results.scale),
        _allowed(limits, results),
    )


def _allowed(limits: Limits, results: Results) -> Allowed | None:
    """The limit on what the task is judged by. Raises KdbenchError for one on something else, or in another unit."""
    scale, key = results.scale, key_of(results.metric_name, results.scale)
    for other, text in limits.losses.items():
        if (fault := fault_of(other, text, results.metric_name, scale)) is not None:
            raise KdbenchError(f"{other}: {fault}.")
    return allowed(limits.losses[key], scale) if key in limits.losses else None


def _over_seeds(answers: Mapping[str, BySeed]) -> dict[str, BySeed]:
    """The cases' answers, those of files that no training made at every seed of the others."""
    seeds = sorted({seed for by_seed in answers.values() if not is_untrained(by_seed) for seed in by_seed})
    return {
        name: dict.fromkeys(seeds, next(iter(by_seed.values()))) if seeds and is_untrained(by_seed) else by_seed
        for name, by_seed in answers.items()
    }


def _split(results: Results, target: str) -> tuple[str, bool]:
    """The split to choose on, and whether validation was passed over.

    Validation where the suite has it: the test split is for reporting. Not so where a case starts from given weights
    and the validation examples were taken from the training examples: whoever trained the weights had them all.
    """
    tested = [r for r in results.scores() if r.target == target and r.case not in results.plan.teachers]
    if VALIDATION not in {record.split for record in tested}:
        return SPLIT, False
    cases = [results.plan.cases[name] for name in {record.case for record in tested} & results.plan.cases.keys()]
    seen = results.is_validation_from_train and any(case.given for case in cases)
    return (SPLIT if seen else VALIDATION), seen


def _require(measured: bool, what: str, setting: Setting) -> None:
    if not measured:
        target, batch_size = setting
        raise KdbenchError(
            f"no case's {what} was measured on {target} at batch size {batch_size}, so nothing can be chosen by it; "
            "measure it, or leave that limit or target out."
        )


def _largest_files(results: Results, target: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for record in results.of(Size):
        if record.target in (target, None):
            found[record.case] = max(found.get(record.case, 0), record.file_bytes)
    return found


def _reason(case: CaseView, setting: Setting, missing_seeds: frozenset[int], limits: Limits, name: str) -> str | None:
    """Why a case cannot be chosen; None where it can."""
    if troubles := case.problems_on(setting[0]):
        return " ".join(troubles)
    if missing_seeds:
        return f"no {name} was recorded for seed {', '.join(map(str, sorted(missing_seeds)))}"
    measured = {
        f"{SPLIT} {name}": setting[0] in case.score,
        "latency": setting in case.latency,
        "file size": setting[0] in case.size,
        "memory": limits.memory is None or setting in case.memory_bytes,
    }
    lacking = [what for what, there in measured.items() if not there]
    return f"no {lacking[0]} was recorded" if lacking else None
