"""Latency of both sides, timed again now: picks the files, has them timed, and makes a row of each result."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdbench import stats, units
from kdbench.check.sides import File, Place, Scope, verdict_of
from kdbench.check.verdicts import Row, Verdict
from kdbench.measure.answers import TimedProcess
from kdbench.measure.client import Client, Files, Lengths
from kdbench.results.folder import Results
from kdbench.results.records import CallSize, Latency
from kdbench.suite.tolerances import SuiteTolerances
from kdbench.timing.duel import USUAL, Duel, Effort, Pair, Progress, Timer, duel
from kdbench.timing.verdict_rule import DEFAULT, Rule


@dataclass(frozen=True)
class Timed:
    """A case's two files on one target."""

    case: str
    seed: int
    target: str
    new: File
    reference: File

    @property
    def place(self) -> Place:
        return self.case, self.seed, self.target


@dataclass(frozen=True)
class Timing:
    """How the files of a check are timed."""

    inputs: Path
    folder: Path
    """For scratch."""
    progress: Progress
    rule: Rule = DEFAULT
    effort: Effort = USUAL


def to_time(scope: Scope, files: Mapping[Place, tuple[File, File]], target: str) -> list[Timed]:
    """The pairs to time on a target: the first seed of each case.

    The seeds of a case mostly share one graph, and weights do not change its speed. Where a technique cuts by the
    weights, their graphs and so their file sizes differ, and the first seed of each size is timed.
    """
    failed = {
        (record.case, record.seed, record.target)
        for record in scope.new.results.failures(kind=Latency)
        if record.status == "failed"
    }
    found: dict[tuple[str, int, int], Timed] = {}
    for (case, seed, at), (new, its) in files.items():
        if at == target and (case, seed, at) not in failed:  # what failed has its row already
            found.setdefault((case, new.byte_count, its.byte_count), Timed(case, seed, target, new, its))
    return list(found.values())


@dataclass(frozen=True)
class AtLengths:
    """A client that times files at some lengths of their examples."""

    client: Client
    lengths: Lengths

    @property
    def folder(self) -> Path:
        """The client's."""
        return self.client.folder

    def time(
        self, files: Files, inputs: Path, batch_sizes: Sequence[int], number: int, rule: Mapping[str, int]
    ) -> TimedProcess:
        """As `Client.time`."""
        return self.client.time(files, inputs, batch_sizes, number, rule, self.lengths)


def sizes_to_time(results: Results, target: str, batch_sizes: Sequence[int]) -> list[CallSize]:
    """The batch sizes, and lengths of examples, that a folder's files were timed at on a target."""
    timed = {record.call_size for record in results.of(Latency) if record.target == target}
    return sorted(timed) if timed else [CallSize(size) for size in batch_sizes]


def latency_rows(
    pairs: list[Timed],
    timer: Callable[[Lengths], Timer],
    sizes: Sequence[CallSize],
    tolerances: SuiteTolerances,
    timing: Timing,
) -> Iterator[Row]:
    """A row for each pair, batch size and length of one target; `timer`: lengths -> who times at them."""
    for size in sizes:
        duels = duel(
            [_pair(timed, size, tolerances) for timed in pairs],
            timer(dict(size.lengths)),
            timing.inputs,
            size.batch_size,
            timing.rule,
            timing.progress,
            timing.effort,
        )
        for timed, done in zip(pairs, duels, strict=True):
            yield _row(timed, size, done)


def _pair(timed: Timed, size: CallSize, tolerances: SuiteTolerances) -> Pair:
    ratio = tolerances.at(timed.case).latency.max_ratio
    return Pair(f"{timed.case} on {timed.target}, batch {size}", timed.new.path, timed.reference.path, ratio)


def _row(timed: Timed, size: CallSize, done: Duel) -> Row:
    verdict = verdict_of(done.error) if done.error is not None else Verdict(str(done.verdict))
    new, its = (
        stats.median_of_process_medians(samples) if samples else None
        for samples in (done.samples_ns, done.reference_samples_ns)
    )
    return Row(
        case=timed.case,
        seed=timed.seed,
        kind="latency",
        metric="latency",
        verdict=verdict,
        said=done.error or _said(done, new, its),
        target=timed.target,
        batch_size=size.batch_size,
        lengths=dict(size.lengths),
        limit=done.pair.max_ratio,
        value=done.ratio,
        low=done.low,
        high=done.high,
        new=new,
        reference=its,
        samples_ns=done.samples_ns,
        reference_samples_ns=done.reference_samples_ns,
    )


def _said(done: Duel, new: float | None, its: float | None) -> str:
    if new is None or its is None:
        return "The same file, byte for byte: there is nothing to time."
    stage = f"{len(done.second)} fresh processes" if done.second else f"{len(done.first)} processes"
    found = (
        f"{done.ratio:.3f} times the reference's ({done.low:.3f} to {done.high:.3f} over {stage}), "
        f"{units.latency(new)} against {units.latency(its)}"
    )
    held = f"a slow-down of {done.pair.max_ratio:g} must not go unseen"
    busy = f" Meanwhile: {', '.join(done.warnings)}." if done.warnings else ""
    if done.verdict == "cannot tell":
        return f"{found}: the processes do not agree enough to tell; {held}.{busy} Try again on a quieter machine."
    return f"{found}; {held}.{busy}"
