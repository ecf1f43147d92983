"""Makes records of a device's answers; the results folder says which rows a file belongs to."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from kdbench.bundle.answers import Answers, Predicted
from kdbench.bundle.judged import Entries, Judge
from kdbench.bundle.timings import facts_of
from kdbench.errors import KdbenchError
from kdbench.evidence import Results
from kdbench.results import records
from kdbench.results.devices import is_own
from kdbench.results.records import Compression, Environment, Failed, Latency, Record, Score, Size
from kdbench.stages.work import Fact

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
    judge: Judge
    split_example_count: int
    predictions: Mapping[str, Entries]
    """Digest -> what is kept of the file's answers."""
    paths: Mapping[str, str]
    """Digest -> where that lies in the results folder."""

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
                yield from (records.from_data({**labels, **fact}) for fact in self._scores(size, predicted))
            else:
                yield Failed(**labels, kind=Score.KIND, status="failed", reason=str(predicted))
            facts = facts_of(self.answers, digest, self.home.references.get((size.case, size.seed), {}))
            if isinstance(facts, KdbenchError):
                yield Failed(**labels, kind=Latency.KIND, status="failed", reason=str(facts))
            else:
                yield from (records.from_data({**labels, **fact}) for fact in facts)

    def _scores(self, size: Size, predicted: Predicted) -> Iterator[Fact]:
        header, row = self.answers.header, self.home.results.teacher_of(size.case)
        teacher = self.home.digest_of(row, size.seed) if row is not None else None
        origin = str(size.origin.get("onnx_sha256", ""))
        told: Fact = {
            "split_example_count": self.split_example_count,
            "runtime": f"{header.runtime} {header.runtime_version} {header.session['provider']}",
            "predictions_path": self.paths[size.onnx_sha256],
        }
        if origin in self.paths:
            told["origin_predictions_path"] = self.paths[origin]
        others = {"teacher": self.predictions.get(teacher or ""), "origin": self.predictions.get(origin)}
        names = ["", *(output.name for output in self.judge.task.outputs[1:])]
        for fact in self.judge.facts(size.case, self.predictions[size.onnx_sha256], **others):
            near = predicted.outputs[names.index(fact.get("output", ""))]
            yield {
                **fact,
                **told,
                "home_agreement_fraction": near.agreement_fraction,
                "max_abs_home_difference": near.max_abs_difference,
            }
