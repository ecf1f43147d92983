"""Makes records of a device's answers; the results folder says which rows a file belongs to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench.bundle.answers import Answers, Predicted
from kdbench.bundle.timings import facts_of
from kdbench.errors import KdbenchError
from kdbench.evidence import Results
from kdbench.protocols.metric import Metric, metric_named
from kdbench.results import records
from kdbench.results.devices import is_own
from kdbench.results.records import Compression, Environment, Failed, Latency, Record, Score, Size

Classes = NDArray[np.int32]
Row = tuple[str, int]
"""(case, seed)."""


@dataclass(frozen=True)
class Home:
    """The files of a results folder, and the rows that they belong to."""

    results: Results
    sizes: Mapping[str, tuple[Size, ...]]
    """Digest of a file -> the size records of its rows, once each."""
    references: Mapping[Row, dict[str, str]]
    """Row -> role -> digest of the file that it was timed beside."""

    def compressions(self, size: Size) -> list[Compression]:
        """The compressions that made a row's file for its target alone, by steps whose fields depend on the target."""
        works = [work for work in self.results.of(Compression, size.case) if work.seed == size.seed]
        return [work for work in works if work.target is not None and work.target == size.target]

    def digest_of(self, case: str, seed: int) -> str | None:
        """The digest of a row's file. A case of one seed, as a teacher mostly is, answers for every seed."""
        found = {size.seed: digest for digest, sizes in self.sizes.items() for size in sizes if size.case == case}
        return found.get(seed, next(iter(found.values())) if len(found) == 1 else None)


def own_targets(results: Results) -> tuple[str, ...]:
    """The targets that the run itself measured."""
    return tuple(filter(is_own, results.targets))


def home(results: Results) -> Home:
    """The files of a results folder; a row with several targets counts by the first of them."""
    own = own_targets(results)
    sizes: dict[str, dict[Row, Size]] = {}
    references: dict[Row, dict[str, str]] = {}
    for target in (None, *own):
        for size in results.of(Size):
            if size.target == target:
                sizes.setdefault(size.onnx_sha256, {}).setdefault((size.case, size.seed), size)
        for latency in results.of(Latency):
            if latency.target == target:
                references.setdefault((latency.case, latency.seed), latency.references)
    return Home(results, {digest: tuple(rows.values()) for digest, rows in sizes.items()}, references)


@dataclass(frozen=True)
class Composer:
    """Makes the records of one device's run."""

    home: Home
    answers: Answers
    target: str
    key: str
    truth: Classes
    """True classes of the sample's examples."""
    split_example_count: int
    metric_name: str
    """The name of the task's metric."""
    predictions: Mapping[str, str]
    """Digest -> where its classes lie in the results folder."""

    @property
    def metric(self) -> Metric:
        metric, output = metric_named(self.metric_name), self.home.results.output("")
        return metric if output is None else metric.judging(output)

    def records(self) -> list[Record]:
        """The environment, then each file's, row by row."""
        return [self._environment(), *(record for digest in self.answers.predicted for record in self._of_file(digest))]

    def _environment(self) -> Environment:
        header = self.answers.header
        also = {**header.also, "device": header.device, "versions": header.versions}
        return Environment(
            suite=header.suite, key=header.fingerprint, fingerprint=header.fingerprint, facts=header.facts, also=also
        )

    def _of_file(self, digest: str) -> Iterator[Record]:
        header = self.answers.header
        said = {"created_utc": header.created_utc, "fingerprint": header.fingerprint}
        own: dict[str, Any] = {"target": self.target, "key": self.key, **said}
        predicted = self.answers.predicted[digest]
        for size in self.home.sizes[digest]:
            labels = {name: getattr(size, name) for name in ("suite", "case", "seed", "lineage", "steps")} | own
            yield replace(size, **own)
            yield from (replace(work, target=self.target) for work in self.home.compressions(size))
            if isinstance(predicted, Predicted):
                yield self._accuracy(size, predicted, labels)
            else:
                yield Failed(**labels, kind=Score.KIND, status="failed", reason=str(predicted))
            facts = facts_of(self.answers, digest, self.home.references.get((size.case, size.seed), {}))
            if isinstance(facts, KdbenchError):
                yield Failed(**labels, kind=Latency.KIND, status="failed", reason=str(facts))
            else:
                yield from (records.from_data({**labels, **fact}) for fact in facts)

    def _accuracy(self, size: Size, predicted: Predicted, labels: dict[str, Any]) -> Score:
        header, classes = self.answers.header, np.array(predicted.classes, np.int32)
        metric = self.metric
        row = self.home.results.teacher_of(size.case)
        teacher = self._classes(self.home.digest_of(row, size.seed) if row is not None else None)
        origin_digest = size.origin.get("onnx_sha256")
        origin = self._classes(origin_digest)
        return Score(
            **labels,
            metric=self.metric_name,
            direction=metric.direction,
            unit="fraction" if metric.unit == "fraction" else metric.unit_name,
            value=self._value(metric, classes),
            undefined=self._undefined(metric, classes),
            correct_count=int(metric.pseudo_values(classes, self.truth).sum()) if _counts(metric) else None,
            example_count=len(classes),
            split_example_count=self.split_example_count,
            split="test",
            runtime=f"{header.runtime} {header.runtime_version} {header.session['provider']}",
            teacher_agreement_fraction=_share(teacher, classes),
            origin_value=None if origin is None else self._value(metric, origin),
            origin_agreement_fraction=_share(origin, classes),
            home_agreement_fraction=predicted.agreement_fraction,
            max_abs_home_difference=predicted.max_abs_difference,
            predictions_path=self.predictions[size.onnx_sha256],
            origin_predictions_path=None if origin is None else self.predictions[str(origin_digest)],
        )

    def _undefined(self, metric: Metric, classes: Classes) -> str | None:
        """Why there is no value: a device's record keeps the classes that its files decided."""
        if metric.needs == "outputs":
            return f"a device's record keeps what was decided, and {metric.name} needs the outputs themselves"
        return metric.undefined(classes, self.truth)

    def _value(self, metric: Metric, classes: Classes) -> float | None:
        return metric.value(classes, self.truth) if self._undefined(metric, classes) is None else None

    def _classes(self, digest: str | None) -> Classes | None:
        found = self.answers.predicted.get(digest or "")
        return np.array(found.classes, np.int32) if isinstance(found, Predicted) else None


def _counts(metric: Metric) -> bool:
    """Whether how many are right can be said from classes."""
    return metric.counted and metric.needs == "decisions"


def _share(some: Classes | None, others: Classes) -> float | None:
    return None if some is None else float((some == others).mean())
