"""A runtime's upgrade: the files of one results folder under two interpreters, their answers and their times."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kdbench.check.answers import BATCH, refused
from kdbench.check.compare import tolerances_of
from kdbench.check.latency import AtLengths, Timed, Timing, latency_rows, sizes_to_time, to_time
from kdbench.check.scores import judged
from kdbench.check.sides import File, Place, Scope, Side, verdict_of
from kdbench.check.upgraded_answers import Judge, alike_in_shape, how_far, judges
from kdbench.check.verdicts import Checked, Row, Verdict
from kdbench.errors import MeasureError, StoreError
from kdbench.files import sha256_of
from kdbench.measure.carried import declared
from kdbench.measure.client import Client, Lengths
from kdbench.ragged import Stored
from kdbench.results.folder import read_results
from kdbench.results.sample import Sample, read_sample
from kdbench.results.task_json import read_task
from kdbench.results.trust import NOTHING, Confirmed
from kdbench.suite.losses import scale_of, usual
from kdbench.suite.tolerances import SuiteTolerances
from kdbench.timing import probe
from kdbench.timing.copies import write_copy
from kdbench.timing.duel import Effort, Progress
from kdbench.timing.two_interpreters import TwoInterpreters
from kdbench.timing.verdict_rule import DEFAULT, Rule

USUAL = Effort()
"""Each file is loaded once a process: two interpreters share no process, and each turn is one more load."""


def check_upgrade(
    folder: Path,
    pythons: tuple[str, str],
    targets: Sequence[str] = (),
    cases: Sequence[str] = (),
    progress: Progress | None = None,
    rule: Rule = DEFAULT,
    effort: Effort = USUAL,
    confirmed: Confirmed = NOTHING,
) -> Checked:
    """The files of a results folder, run now by both interpreters, the one before and the one after.

    pythons: those of the user; confirmed: what the user says of how targets are run otherwise.
    Raises StoreError, RecordError or UnknownName where there is nothing to begin with.
    """
    began = time.perf_counter_ns()
    side = Side(read_results(folder), str(folder))
    with tempfile.TemporaryDirectory(prefix="kdbench-upgrade-") as scratch:
        work = _Work(Scope(side, side, tuple(cases), tuple(targets)), pythons, Path(scratch),
                     progress or (lambda words: None), rule, effort, confirmed)  # fmt: skip
        rows = tuple(work.rows())
    before, after = pythons
    return Checked(
        suite=side.results.plan.suite,
        new=f"{folder} under {after}",
        reference=f"the same files under {before}",
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        wall_ns=time.perf_counter_ns() - began,
        rows=rows,
        notes=tuple(work.notes),
        environments=work.environments,
    )


@dataclass
class _Work:
    """One upgrade while it is checked."""

    scope: Scope
    pythons: tuple[str, str]
    scratch: Path
    say: Progress
    rule: Rule
    effort: Effort
    confirmed: Confirmed
    notes: list[str] = field(default_factory=list)
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        """For each target that reads ONNX: what its answers are under both, then its latencies."""
        side = self.scope.new
        sample = read_sample(side.results, read_task(side.results.folder))
        tolerances = tolerances_of(side.results, side.name)
        plan = side.results.plan
        for target in filter(self.scope.wants_target, plan.measure):
            said = plan.measured(target)
            session = self.confirmed.session(target, said, side.name)
            if declared(session.get("runtime"), session.get("provider", "cpu")).artefact != "onnx":
                self.notes.append(f"{target}: left out, as its runtime reads no ONNX file.")
                continue
            entries = [{**said, "session": session, "python": python} for python in self.pythons]
            yield from _Target(self, target, (entries[0], entries[1]), sample, tolerances).rows()


@dataclass
class _Target:
    """One target, asked for in two interpreters."""

    work: _Work
    target: str
    entries: tuple[dict[str, Any], dict[str, Any]]
    sample: Sample
    tolerances: SuiteTolerances

    def rows(self) -> Iterator[Row]:
        files: dict[Place, File] = {}
        for case in self.work.scope.shared_cases:
            for seed in self.work.scope.shared_seeds(case, self.target):
                try:
                    files[case, seed, self.target] = self.work.scope.new.file(case, seed, self.target)
                except StoreError as error:
                    yield self._errored((case, seed, self.target), str(error))
        dead = self._probe()
        if dead is not None:
            yield from (self._errored(place, dead) for place in files)
            return
        self.work.say(f"{self.target}: {len(files)} files answer the sample under both")
        faults = {place: fault for entry in self.entries for place, fault in self._refused(files, entry).items()}
        yield from self._answers(files, faults)
        yield from self._latency({place: file for place, file in files.items() if place not in faults})

    def _probe(self) -> str | None:
        """Note what both interpreters have; why one of them cannot measure."""
        found = []
        for entry in self.entries:
            session = entry["session"]
            try:
                asked = probe.runtime(entry["python"], session.get("provider", "cpu"), session.get("runtime"))
            except MeasureError as error:
                return f"{entry['python']}: {error}"
            found.append(asked)
        before, after = found
        names = [f"{asked['runtime']} {asked['runtime_version']}" for asked in found]
        said = [f"{name} ({python})" for name, python in zip(names, self.work.pythons, strict=True)]
        self.work.notes.append(f"{self.target}: from {said[0]} to {said[1]}.")
        if before["facts"] == after["facts"]:
            self.work.notes.append(f"{self.target}: both interpreters have the same runtime, build for build.")
        self.work.environments[self.target] = {**after["facts"], "fingerprint": after["fingerprint"]}
        return None

    def _refused(self, files: dict[Place, File], entry: dict[str, Any]) -> dict[Place, str]:
        found = refused(files, entry, self.sample, self.work.scratch)
        return {place: f"{entry['python']}: {fault}" for place, fault in found.items()}

    def _answers(self, files: dict[Place, File], faults: dict[Place, str]) -> Iterator[Row]:
        """A row for each file and output: whether both interpreters answer alike, and what that does to its metric."""
        sound = {file.digest: file.path for place, file in files.items() if place not in faults}
        clients = [Client(self.work.scratch, entry["session"], entry["python"]) for entry in self.entries]
        before, after = (client.predict(sound, self.sample.path, BATCH) for client in clients)
        for place, file in files.items():
            if place in faults:
                yield self._errored(place, faults[place])
                continue
            pair = [answers[file.digest] for answers in (before, after)]
            fault = next(
                (f"{python}: {one}" for python, one in zip(self.work.pythons, pair, strict=True)
                 if isinstance(one, MeasureError)), None)  # fmt: skip
            if fault is not None:
                yield self._errored(place, fault)
                continue
            its, new = (one.outputs() for one in pair if not isinstance(one, MeasureError))
            for judge in judges(self.work.scope.new, place[0], self.sample):
                yield self._compared(place, judge, new[judge.number], its[judge.number])

    def _compared(self, place: Place, judge: Judge, new: Stored, its: Stored) -> Row:
        """How far both answers to one output are apart, and what that does to its metric."""
        case, seed, target = place
        tolerances, scale = self.tolerances.at(case), scale_of(judge.metric)
        limit = usual(judge.metric) if judge.number else tolerances.loss(judge.name, judge.metric)
        told = partial(
            self.work.scope.score_row, case, seed, target=target, metric=judge.name, scale=judge.titled(scale)
        )
        if not alike_in_shape(new, its):
            said = f"the answers to '{judge.output.name}' are of other shapes after than before."
            return told(verdict=Verdict.ERRORED, said=said)
        apart = f"On the kept sample: {how_far(judge.output, new, its)}"
        given = [judge.given(outputs) for outputs in (new, its)]
        if (reason := judge.unjudged(given)) is not None:
            return told(verdict=Verdict.CANNOT_TELL, said=f"{apart} {reason}.", limit=limit.amount)
        each = np.stack([judge.metric.pseudo_values(outputs, judge.targets) for outputs in given])
        verdict, said, numbers = judged(judge.metric, scale, each[None], limit, judge.metric.few(judge.targets))
        return told(verdict=verdict, said=f"{apart} {said}", **numbers)

    def _latency(self, files: dict[Place, File]) -> Iterator[Row]:
        """The files under both, in turns: the side before has each as a copy, which a digest tells from it."""
        pairs, copies = [], set()
        for timed in to_time(self.work.scope, {place: (file, file) for place, file in files.items()}, self.target):
            copy = write_copy(timed.new.path, self.work.scratch / f"{timed.new.digest}-before.onnx", "kdbench, before")
            digest = sha256_of(copy)
            copies.add(digest)
            reference = File(copy, digest, timed.reference.byte_count)
            pairs.append(Timed(timed.case, timed.seed, timed.target, timed.new, reference))
        clients = [
            Client(self.work.scratch / side, entry["session"], entry["python"])
            for side, entry in zip(("before", "after"), self.entries, strict=True)
        ]
        sizes = sizes_to_time(self.work.scope.new.results, self.target, self.entries[1]["batch_sizes"])

        def timer(lengths: Lengths) -> TwoInterpreters:
            before, after = (AtLengths(client, lengths) for client in clients)
            return TwoInterpreters(before, after, copies)

        timing = Timing(self.sample.path, self.work.scratch, self.work.say, self.work.rule, self.work.effort)
        yield from latency_rows(pairs, timer, sizes, self.tolerances, timing)

    def _errored(self, place: Place, said: str) -> Row:
        case, seed, target = place
        return self.work.scope.score_row(case, seed, verdict_of(said), said, target)
