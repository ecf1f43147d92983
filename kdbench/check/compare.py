"""A whole check: opens both sides, compares what both have, says what is missing. Writes nothing but scratch files."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from kdbench.check.answers import refused, wrong_answers
from kdbench.check.baseline import opened
from kdbench.check.latency import AtLengths, Timing, latency_rows, sizes_to_time, to_time
from kdbench.check.scores import accuracy_rows
from kdbench.check.sides import File, Place, Scope, Side, latency_row, verdict_of
from kdbench.check.size import size_rows
from kdbench.check.verdicts import Checked, Row
from kdbench.errors import MeasureError, StoreError, UnknownName, nearest
from kdbench.measure.client import Client
from kdbench.results.folder import Results, read_results
from kdbench.results.sample import Sample, read_sample
from kdbench.results.task_json import read_task
from kdbench.results.trust import NOTHING, Confirmed
from kdbench.suite.tolerances import SuiteTolerances
from kdbench.timing import probe
from kdbench.timing.duel import USUAL, Effort, Progress
from kdbench.timing.verdict_rule import DEFAULT, Rule


def check(
    new: Path,
    reference: Path,
    targets: Sequence[str] = (),
    cases: Sequence[str] = (),
    progress: Progress | None = None,
    rule: Rule = DEFAULT,
    effort: Effort = USUAL,
    confirmed: Confirmed = NOTHING,
) -> Checked:
    """A results folder against another or a saved baseline, both timed again now, side by side.

    confirmed: what the user says of how targets are measured; what only the folder says runs no program of its choice.
    Raises StoreError, RecordError or UnknownName where there is nothing to begin with.
    """
    began, say = time.perf_counter_ns(), progress or (lambda words: None)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kdbench-check-")))
        ours = Side(read_results(new), str(new))
        theirs = Side(read_results(stack.enter_context(opened(reference))), str(reference))
        work = _Work(Scope(ours, theirs, tuple(cases), tuple(targets)), scratch, say, rule, effort, confirmed)
        rows = tuple(work.rows())
        return Checked(
            suite=ours.results.plan.suite,
            new=str(new),
            reference=str(reference),
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            wall_ns=time.perf_counter_ns() - began,
            rows=rows,
            notes=tuple(work.scope.notes()),
            environments=work.environments,
        )


def tolerances_of(results: Results, name: str) -> SuiteTolerances:
    """What a results folder's suite lets a file lose. Raises StoreError where its plan says it wrongly."""
    try:
        found = SuiteTolerances.from_fields(results.plan.check)
        found.check_losses(results.metric_name, results.metric)
        return found
    except ValidationError as error:
        raise StoreError(
            f"'check' in plan.json of {name} cannot be understood ({error.error_count()} faults); run the suite again."
        ) from None
    except ValueError as error:
        raise StoreError(f"'check' in plan.json of {name}: {error}; mend the suite and run it again.") from None


@dataclass
class _Work:
    """One check while it runs: its two sides, and what was found so far."""

    scope: Scope
    scratch: Path
    say: Progress
    rule: Rule
    effort: Effort
    confirmed: Confirmed

    def __post_init__(self) -> None:
        new = self.scope.new
        self.tolerances = tolerances_of(new.results, new.name)
        plan = new.results.plan
        said = {target: plan.measured(target) for target in plan.measure if self.scope.wants_target(target)}
        for target in self.confirmed.pythons:
            if target not in said:
                raise UnknownName(f"--python: {new.name} measures no target '{target}'. {nearest(target, said)}")
        self.measured = {target: self.confirmed.entry(target, entry, new.name) for target, entry in said.items()}
        self.sample = self._sample()
        self.environments: dict[str, dict[str, Any]] = {}
        self.dead: dict[str, str] = {}
        self.refused: dict[Place, str] = {}
        self.wrong: dict[Place, str] = {}
        self.files, self.missing = self._files()

    def _sample(self) -> Sample:
        """The examples to measure with.

        Raises StoreError for a folder that keeps none, or does not say how its targets are measured.
        """
        new = self.scope.new
        task = read_task(new.results.folder)
        whole = all(entry.get("session") and entry.get("batch_sizes") for entry in self.measured.values())
        if new.results.file(task.sample_path) is None or not self.measured or not whole:
            raise StoreError(
                f"{new.name} does not keep what measuring its files again needs (a sample of inputs, how its targets "
                f"are measured); run its suite again with -o '{new.name}': what is finished is reused."
            )
        return read_sample(new.results, task)

    def _files(self) -> tuple[dict[Place, tuple[File, File]], dict[Place, str]]:
        """Every place that is compared -> (the new file, the reference's), and why a file cannot be had."""
        files: dict[Place, tuple[File, File]] = {}
        missing: dict[Place, str] = {}
        for case in self.scope.shared_cases:
            for target in self.scope.shared_targets(case):
                for seed in self.scope.shared_seeds(case, target):
                    try:
                        both = (side.file(case, seed, target) for side in (self.scope.new, self.scope.reference))
                        files[case, seed, target] = (next(both), next(both))
                    except StoreError as error:
                        missing[case, seed, target] = str(error)
        return files, missing

    def rows(self) -> Iterator[Row]:
        """All rows: failures and gaps first, then sizes and answers, which take no time, then latencies."""
        yield from self.scope.failed_rows()
        yield from self.scope.missing_rows()
        yield from size_rows(self.scope, self.tolerances)
        targets = [target for target in self.measured if any(at == target for _, _, at in self.files)]
        self._probe(targets)
        for target in targets:
            self._find_faults(target)
        wrong = {**self.missing, **self.refused, **self.wrong}
        yield from accuracy_rows(self.scope, self.tolerances, wrong)
        for target in targets:
            yield from self._latency(target)

    def _probe(self, targets: list[str]) -> None:
        """Ask each target's interpreter what it has; one that cannot measure is noted as dead, with the reason."""
        for target in targets:
            entry = self.measured[target]
            session = entry["session"]
            try:
                found = probe.runtime(entry.get("python"), session.get("provider", "cpu"), session.get("runtime"))
            except MeasureError as error:
                self.dead[target] = str(error)
                continue
            self.environments[target] = {**found["facts"], "fingerprint": found["fingerprint"]}

    def _find_faults(self, target: str) -> None:
        """Note the new files that a target's provider refuses, and those whose answers differ from the record."""
        files = {place: new for place, (new, _) in self.files.items() if place[2] == target}
        if target in self.dead:
            self.refused |= dict.fromkeys(files, self.dead[target])
            return
        self.say(f"{target}: {len(files)} files answer the sample")
        entry = self.measured[target]
        self.refused |= refused(files, entry, self.sample, self.scratch)
        rest = {place: file for place, file in files.items() if place not in self.refused}
        self.wrong |= wrong_answers(self.scope.new, rest, entry, self.sample, self.scratch)

    def _latency(self, target: str) -> Iterator[Row]:
        pairs = to_time(self.scope, self.files, target)
        timed = [pair for pair in pairs if pair.place not in self.refused]
        for pair in pairs:
            if pair not in timed:
                said = self.refused[pair.place]
                yield latency_row(pair.case, pair.seed, verdict_of(said), said, target)
        timing = Timing(self.sample.path, self.scratch, self.say, self.rule, self.effort)
        entry = self.measured[target]
        client = Client(self.scratch, entry["session"], entry.get("python"))
        sizes = sizes_to_time(self.scope.new.results, target, entry["batch_sizes"])
        yield from latency_rows(timed, partial(AtLengths, client), sizes, self.tolerances, timing)
