"""Every case of a results folder with its estimates. Tables, figures, sentences and choices are made from these."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from kdbench.errors import StoreError
from kdbench.evidence.compression import CompressionView, compression_views, is_compressed
from kdbench.evidence.execution import ExecutionView, execution_view
from kdbench.evidence.finding import Finding
from kdbench.evidence.latency import LatencyView, latency_view, pooled_reference_ns
from kdbench.evidence.latency_groups import latency_letters
from kdbench.evidence.sanity import findings
from kdbench.evidence.scores import ScoreView, score_views
from kdbench.evidence.sizes import SizeView, compared, size_views
from kdbench.evidence.training import Cost, Curve, Stages
from kdbench.evidence.use import EnergyView, StartView, energy_view, start_view
from kdbench.results.folder import Results, read_results
from kdbench.results.plan_json import REFERENCE
from kdbench.results.records import CallSize, Energy, Failed, Labelled, Latency, Memory, Record, Score, Size, Start
from kdbench.scale import Scale

Setting = tuple[str, CallSize]
"""A target and a batch size."""
Timed = TypeVar("Timed", Latency, Start, Energy, Memory)


Troubles = dict[tuple[str, ...], tuple[str, ...]]
"""Targets (none: before any target) -> sentences."""


@dataclass(frozen=True)
class CaseView:
    """Everything known about one case. What a mapping lacks is explained in `problems`, or nobody asked for it."""

    name: str
    family: str
    baseline: str | None
    teacher: str | None
    """The row of its teacher; None for the suite's teachers themselves."""
    score: dict[str, ScoreView]
    size: dict[str, SizeView]
    latency: dict[Setting, LatencyView]
    execution: dict[Setting, ExecutionView]
    start: dict[Setting, StartView]
    energy: dict[Setting, EnergyView]
    memory_bytes: dict[Setting, float]
    """Peak resident memory that loading and running the file added to its process: mean over seeds."""
    compressed: bool
    """Whether one of its steps compresses a trained student."""
    compression: dict[str, CompressionView]
    """By target; empty unless it is compressed."""
    cost: Cost | None
    curves: tuple[Curve, ...]
    troubles: Troubles
    """By the targets that they hold for (none: before any target): sentences, what failed or was skipped, and why."""
    exclusions: Troubles
    """The same of what a target cannot have by design, which is no trouble."""

    @property
    def teaches(self) -> bool:
        """Whether it is a row of one of the suite's teachers."""
        return self.teacher is None

    @property
    def problems(self) -> tuple[str, ...]:
        """Every sentence of `troubles`."""
        return tuple(sentence for sentences in self.troubles.values() for sentence in sentences)

    @property
    def excluded(self) -> tuple[str, ...]:
        """Every sentence of `exclusions`."""
        return tuple(sentence for sentences in self.exclusions.values() for sentence in sentences)

    def problems_on(self, target: str) -> tuple[str, ...]:
        """Why something is not there on a target: troubles and exclusions, and what came before any target."""
        every = (*self.troubles.items(), *self.exclusions.items())
        here = (said for targets, said in every if not targets or target in targets)
        return tuple(sentence for said in here for sentence in said)


@dataclass(frozen=True)
class Evidence:
    """Everything that one results folder shows."""

    results: Results
    cases: tuple[CaseView, ...]
    """The teachers, the baseline, then the rest in the suite's order."""
    targets: tuple[str, ...]
    settings: tuple[Setting, ...]
    """Every (target, batch size) that was timed; references come last."""

    @property
    def deployed(self) -> tuple[Setting, ...]:
        """The settings that a file can be deployed to; all of them, where all are references."""
        return tuple(s for s in self.settings if s[0] not in self.results.reference_targets) or self.settings

    @property
    def scale(self) -> Scale:
        """How values of the task's metric are written, and which way is better."""
        return self.results.scale

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """What a careful colleague would say before reading any number."""
        return findings(self.results)

    def case(self, name: str) -> CaseView | None:
        return next((case for case in self.cases if case.name == name), None)


def evidence(folder: Path) -> Evidence:
    """Read a results folder and estimate everything in it. Raises StoreError and RecordError as `read_results` does."""
    results = _sound(read_results(folder))
    scores = {target: score_views(results, target) for target in results.targets}
    size = {target: size_views(results, target) for target in results.targets}
    settings = _settings(results)
    latency = {setting: latency_views(results, setting) for setting in settings}
    stages = Stages(results)
    compression = {
        target: compression_views(results, target, _of(latency, target), stages) for target in results.targets
    }
    behind = {name: stages.of(name) for name in results.case_names}
    cases = tuple(
        CaseView(
            name=name,
            family=results.plan.cases[name].family if name in results.plan.cases else REFERENCE,
            baseline=results.plan.baseline_of(results.plan.cases[name]) if name in results.plan.cases else None,
            teacher=results.teacher_of(name),
            score={target: views[name] for target, views in scores.items() if name in views},
            size={target: views[name] for target, views in size.items() if name in views},
            latency={setting: views[name] for setting, views in latency.items() if name in views},
            execution={setting: execution_view(found) for setting, found in _at(results.of(Latency, name)).items()},
            start={setting: start_view(found) for setting, found in _at(results.of(Start, name)).items()},
            energy={setting: energy_view(found) for setting, found in _at(results.of(Energy, name)).items()},
            memory_bytes=memory_bytes(results, name),
            compressed=is_compressed(results, name),
            compression={target: views[name] for target, views in compression.items() if name in views},
            cost=stages.cost_of(behind[name]),
            curves=stages.curves(behind[name]),
            troubles=_troubles(results, name),
            exclusions=_exclusions(results, name),
        )
        for name in results.case_names
    )
    return Evidence(results, cases, results.targets, settings)


def _sound(results: Results) -> Results:
    """The results, with a failure in place of each accuracy whose stored predictions are damaged or say otherwise."""
    wrong: dict[int, Record] = {}
    for record in results.of(Score):
        try:
            results.predictions(record)
            results.origin_predictions(record)
        except StoreError as error:
            shared = {each.name: getattr(record, each.name) for each in fields(Labelled)}
            wrong[id(record)] = Failed(**shared, kind=Score.KIND, reason=str(error))
    return replace(results, records=tuple(wrong.get(id(each), each) for each in results.records)) if wrong else results


def _of(latency: Mapping[Setting, dict[str, LatencyView]], target: str) -> dict[CallSize, dict[str, LatencyView]]:
    return {batch: views for (where, batch), views in latency.items() if where == target}


def _settings(results: Results) -> tuple[Setting, ...]:
    found = {(record.target or "", record.call_size) for record in results.of(Latency)}
    return tuple(sorted(found, key=lambda setting: (results.targets.index(setting[0]), setting[1])))


def _at(found: Sequence[Timed]) -> dict[Setting, list[Timed]]:
    """The records by where and at which batch size they were taken."""
    by_setting: dict[Setting, list[Timed]] = {}
    for record in found:
        by_setting.setdefault((record.target or "", record.call_size), []).append(record)
    return by_setting


def latency_views(results: Results, setting: Setting) -> dict[str, LatencyView]:
    """The latency of every case that was timed at a setting."""
    timed = [record for record in results.of(Latency) if (record.target, record.call_size) == setting]
    by_case = {name: [record for record in timed if record.case == name] for name in results.case_names}
    pooled = {
        baseline: pooled_reference_ns([r for name in names for r in by_case[name]])
        for baseline, names in compared(results).items()
    }
    of = {name: baseline for baseline, names in compared(results).items() for name in names}
    groups = latency_letters(by_case, _digests(results, setting[0]))
    return {
        name: replace(latency_view(found, pooled[of[name]]), letters=groups.get(name, ""))
        for name, found in by_case.items()
        if found
    }


def _digests(results: Results, target: str) -> dict[tuple[str, int], str]:
    """sha256 of the file of each (case, seed)."""
    sizes = [record for record in results.of(Size) if record.target in (target, None)]
    return {(record.case, record.seed): record.onnx_sha256 for record in sizes}


def memory_bytes(results: Results, case: str) -> dict[Setting, float]:
    """Peak memory of a process minus what it held before the file was loaded, in bytes, by (target, batch size)."""
    return {
        setting: float(np.mean([record.peak_rss_bytes - record.import_rss_bytes for record in found]))
        for setting, found in _at(results.of(Memory, case)).items()
    }


def _troubles(results: Results, case: str) -> Troubles:
    name = results.scale.name
    undefined = [
        ("without a value", f"{score.split} has no {name}: {score.undefined}.", score)
        for score in results.scores(case)
        if score.undefined is not None
    ]
    failed = [(record.status, record.reason, record) for record in results.failures(case) if not record.by_design]
    return _told([*undefined, *failed])


def _exclusions(results: Results, case: str) -> Troubles:
    return _told([("not there", record.reason, record) for record in results.failures(case) if record.by_design])


def _told(facts: Iterable[tuple[str, str, Labelled]]) -> Troubles:
    """Sentences from (status, reason, whose). A reason is told once for all the targets that it holds for."""
    where: dict[tuple[str, str, int], list[str | None]] = {}
    for status, reason, record in facts:
        where.setdefault((status, reason, record.seed), []).append(record.target)
    before = {(reason, seed) for (_, reason, seed), targets in where.items() if None in targets}
    seeds: dict[tuple[tuple[str, ...], str, str], list[int]] = {}
    for (status, reason, seed), targets in where.items():
        if None in targets or (reason, seed) not in before:
            named = () if None in targets else tuple(dict.fromkeys(target for target in targets if target))
            seeds.setdefault((named, status, reason), []).append(seed)
    found: dict[tuple[str, ...], list[str]] = {}
    for (named, status, reason), of in seeds.items():
        found.setdefault(named, []).append(_sentence(named, status, reason, of))
    return {named: tuple(sentences) for named, sentences in found.items()}


def _sentence(targets: Sequence[str], status: str, reason: str, seeds: Sequence[int]) -> str:
    where = f" on {', '.join(targets)}" if targets else ""
    named = ", ".join(str(seed) for seed in sorted(set(seeds)))
    return f"{status}{where} (seed{'s' if len(set(seeds)) > 1 else ''} {named}): {reason}"
