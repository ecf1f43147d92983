"""The two sides of a check: which cases, targets, seeds and files each folder has. Measures nothing."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from kdbench.check.verdicts import Row, Verdict
from kdbench.errors import StoreError, UnknownName, nearest
from kdbench.files import sha256_of
from kdbench.protocols.metric import Metric, metric_named
from kdbench.results.folder import Results
from kdbench.results.records import Compression, Failed, Latency, Score, Size, Training
from kdbench.results.task_json import read_task
from kdbench.scale import Scale

SPLIT = "test"
Place = tuple[str, int, str | None]
"""Case, seed, target."""
WRONG_PROVIDER = re.compile(r"\basked for \w+, (onnxruntime chose|which (took|ran|did))\b")
"""How the measuring program says that another provider than the one asked for did the work, or would have."""


def verdict_of(error: str) -> Verdict:
    """The verdict on a row that has an error in place of a number."""
    return Verdict.WRONG_PROVIDER if WRONG_PROVIDER.search(error) else Verdict.ERRORED


@dataclass(frozen=True)
class File:
    """A case's ONNX file, as it lies on disk."""

    path: Path
    digest: str
    byte_count: int


@dataclass(frozen=True)
class Side:
    """One results folder."""

    results: Results
    name: str
    """What messages call it: the folder or the baseline file as the user gave it."""

    @cached_property
    def metric(self) -> Metric:
        """What the task calls good. Raises StoreError where the folder does not say, UnknownName."""
        task = read_task(self.results.folder).description
        return self.results.metric if self.results.scores() else metric_named(task.metrics[0]).judging(task.outputs[0])

    @cached_property
    def sizes(self) -> dict[Place, Size]:
        """(case, seed, target) -> the record of its file's size."""
        return {(record.case, record.seed, record.target): record for record in self.results.of(Size)}

    @cached_property
    def accuracies(self) -> dict[Place, Score]:
        """(case, seed, target) -> its accuracy on the test split."""
        found = (record for record in self.results.scores() if record.split == SPLIT)
        return {(record.case, record.seed, record.target): record for record in found}

    @cached_property
    def cases(self) -> tuple[str, ...]:
        """The cases that have a file, in the suite's order."""
        known = {case for case, _, _ in self.sizes}
        return tuple(case for case in self.results.case_names if case in known)

    @cached_property
    def places(self) -> frozenset[tuple[str, str]]:
        """(case, target) of every file, and of every latency: a merged device's files lie elsewhere."""
        timed = {(record.case, record.target) for record in self.results.of(Latency)}
        sized = {(case, target) for case, _, target in self.sizes}
        return frozenset((case, target) for case, target in timed | sized if target is not None)

    def seeds(self, case: str, target: str | None) -> tuple[int, ...]:
        """The seeds of a case's files for a target, in the suite's order."""
        found = sorted(seed for name, seed, at in self.sizes if (name, at) == (case, target))
        order = {seed: place for place, seed in enumerate(self.results.plan.seeds)}
        return tuple(sorted(found, key=lambda seed: order.get(seed, len(order))))

    def file(self, case: str, seed: int, target: str | None) -> File:
        """The file of a case. Raises StoreError where it is not there, or is not the one that the record is about."""
        size = self.sizes[case, seed, target]
        path = self.results.file(size.onnx_path)
        if path is None:
            raise StoreError(f"{self.name} lacks the file '{size.onnx_path}' of {case}, seed {seed}; run it again.")
        try:
            digest = sha256_of(path)
        except OSError as error:
            raise StoreError(f"cannot read '{path}' ({error.strerror}); run the suite again.") from None
        if digest != size.onnx_sha256:
            raise StoreError(
                f"'{size.onnx_path}' of {self.name} is not the file that its record is about (its SHA-256 is "
                f"{digest[:16]}); run the suite again."
            )
        return File(path, digest, path.stat().st_size)

    def failures(self, case: str) -> list[Failed]:
        """The records of a case that say why something is missing."""
        return self.results.failures(case)


@dataclass(frozen=True)
class Scope:
    """Which cases and targets are compared."""

    new: Side
    reference: Side
    cases: tuple[str, ...]
    """Globs of cases; empty: every case but the teachers, which nobody ships."""
    targets: tuple[str, ...]
    """Ids of targets; empty: every target but those that nobody deploys to."""

    def __post_init__(self) -> None:
        """Raises UnknownName for a glob or a target that neither side has."""
        for glob in self.cases:
            if not any(_matches(name, glob) for name in self._named):
                raise UnknownName(f"no case here matches '{glob}'. {nearest(glob, self._named)}")
        known = dict.fromkeys([*self.new.results.targets, *self.reference.results.targets])
        for target in self.targets:
            if target not in known:
                raise UnknownName(f"there is no target '{target}' here. {nearest(target, known)}")

    @cached_property
    def _named(self) -> tuple[str, ...]:
        """Every case that either side knows of, the new one's first."""
        return tuple(dict.fromkeys([*self.new.results.case_names, *self.reference.results.case_names]))

    def wants_case(self, case: str) -> bool:
        if self.cases:
            return any(_matches(case, glob) for glob in self.cases)
        teachers = {*self.new.results.plan.teachers, *self.reference.results.plan.teachers}
        return case not in teachers

    def wants_target(self, target: str | None) -> bool:
        if target is None or self.targets:
            return target is None or target in self.targets
        return target not in self.new.results.reference_targets | self.reference.results.reference_targets

    @cached_property
    def shared_cases(self) -> tuple[str, ...]:
        """The cases that both sides have files of."""
        return tuple(case for case in self.new.cases if case in self.reference.cases and self.wants_case(case))

    def shared_targets(self, case: str) -> tuple[str, ...]:
        """The targets for which both sides have a file of a case, and on which it can be measured again here."""
        return tuple(target for target in self.new.results.plan.measure if self.wants_target(target)
                     and self.shared_seeds(case, target))  # fmt: skip

    def shared_seeds(self, case: str, target: str) -> tuple[int, ...]:
        its = self.reference.seeds(case, target)
        return tuple(seed for seed in self.new.seeds(case, target) if seed in its)

    def failed_rows(self) -> Iterator[Row]:
        """A row for everything that failed in the new run."""
        seen = set()
        for case in filter(self.wants_case, self._named):
            for record in self.new.failures(case):
                key = (case, record.seed, record.kind == Latency.KIND, record.target)
                if key not in seen and self.wants_target(record.target):
                    seen.add(key)
                    yield self._failed(record)

    def missing_rows(self) -> Iterator[Row]:
        """A row for each case, and each target of a case, that only the reference has."""
        for case in filter(self.wants_case, self.reference.cases):
            if case not in self.new.cases:
                if not self.new.failures(case):
                    yield self._lost(case)
                continue
            for target in filter(self.wants_target, self.reference.results.targets):
                failed = any(record.target in (None, target) for record in self.new.failures(case))
                if (case, target) in self.reference.places and not failed:
                    yield from self._gap(case, target)

    def _gap(self, case: str, target: str) -> Iterator[Row]:
        """Why a target of the reference cannot be compared, where it cannot."""
        if (case, target) not in self.new.places:
            reason = f"{self.new.name} has nothing of it for {target}; measure it there too"
        elif target not in self.new.results.plan.measure:
            reason = f"{target} is no device of this run, so it cannot be timed again here; check on that device"
        elif not self.shared_seeds(case, target):
            reason = f"{self.new.name} and {self.reference.name} have no seed in common; run the same seeds"
        else:
            return
        said = f"{reason}, or leave the target out by naming others with --target."
        verdict = Verdict.CANNOT_TELL
        yield latency_row(case, None, verdict, said, target)

    def _lost(self, case: str) -> Row:
        said = f"{self.reference.name} has this case and {self.new.name} does not; run it, or name others with --case."
        return self.score_row(case, None, Verdict.ERRORED, said)

    def _failed(self, record: Failed) -> Row:
        what = {Training.KIND: "its training", Compression.KIND: "its compression"}.get(record.kind, "this")
        how = "was skipped" if record.status == "skipped" else "failed"
        said = f"In the new run {what} {how}: {record.reason}"
        row = latency_row if record.kind == Latency.KIND else self.score_row
        return row(record.case, record.seed, verdict_of(record.reason), said, record.target)

    def score_row(
        self,
        case: str,
        seed: int | None,
        verdict: Verdict,
        said: str,
        target: str | None = None,
        metric: str | None = None,
        scale: Scale | None = None,
        **numbers: Any,
    ) -> Row:
        """A row about the metric that decides, or another one and its scale; numbers: further fields of Row."""
        scale = scale or self.new.results.scale
        return Row(
            case=case,
            seed=seed,
            kind="score",
            metric=metric or self.new.results.metric_name,
            label=scale.name,
            unit=scale.unit,
            higher_is_better=scale.higher,
            verdict=verdict,
            said=said,
            target=target,
            **numbers,
        )

    def notes(self) -> Iterator[str]:
        """Sentences on what has no row: new cases, targets without a counterpart, seeds that were left out."""
        fresh = [case for case in self.new.cases if case not in self.reference.cases and self.wants_case(case)]
        if fresh:
            yield f"{_listed(fresh)}: not in {self.reference.name}, so there is nothing to compare with."
        for case in self.shared_cases:
            for target in filter(self.wants_target, self.new.results.targets):
                had, has = set(self.reference.seeds(case, target)), set(self.new.seeds(case, target))
                place = (case, target)
                if place in self.new.places and place not in self.reference.places:
                    yield f"{case} on {target}: not in {self.reference.name}, so there is nothing to compare with."
                elif had != has and had & has:
                    shared = ", ".join(map(str, self.shared_seeds(case, target)))
                    yield f"{case} on {target}: compared on seed {shared} only, which both have."


def _matches(name: str, glob: str) -> bool:
    """Whether a glob means a case, as for `run --case`: a grid's name means each of its cases."""
    return fnmatchcase(name, glob) or glob in (name, name.partition("/")[0])


def latency_row(case: str, seed: int | None, verdict: Verdict, said: str, target: str | None) -> Row:
    """A row about latency that has no number, only why."""
    return Row(case=case, seed=seed, kind="latency", metric="latency", verdict=verdict, said=said, target=target)


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
