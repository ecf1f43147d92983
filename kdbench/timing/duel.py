"""Two files against each other, round by round in fresh processes, until it is plain which holds. Knows no records."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kdbench import stats
from kdbench.errors import MeasureError
from kdbench.measure.answers import TimedProcess, Timing
from kdbench.measure.client import Files
from kdbench.timing.copies import several
from kdbench.timing.onnx_files import content_of
from kdbench.timing.verdict_rule import DEFAULT, Decision, Rule, after_first, after_second, spread

PAIRS_PER_PROCESS = 8
"""So many pairs stay loaded together; a longer list goes round in several groups."""


class Timer(Protocol):
    """Who times files: a client of the measuring program, or two in turns."""

    @property
    def folder(self) -> Path:
        """For scratch."""
        ...

    def time(
        self, files: Files, inputs: Path, batch_sizes: Sequence[int], number: int, rule: Mapping[str, int]
    ) -> TimedProcess:
        """All files at every batch size, in shared rounds."""
        ...


Progress = Callable[[str], None]
"""Is told, in words, what is done next."""
Samples = tuple[tuple[int, ...], ...]
"""[process][i]: nanoseconds of one call each."""


@dataclass(frozen=True)
class Pair:
    """A file and the one that it must not be slower than."""

    name: str
    new: Path
    reference: Path
    max_ratio: float
    """Above 1: the slow-down that must not go unseen."""


@dataclass(frozen=True)
class Effort:
    """How long each process times each file: the clock's rule, cut to what a ratio of two needs.

    Rounds of 20: of a copy to its file, a process's log ratio had a standard deviation of 0.26 % with them and of
    0.50 % with rounds of 50, 12 processes each (eight convolutions, 0.19 ms a call, two cores under a load of 15).
    """

    calls: int = 1000
    seconds: float = 0.4
    round_call_count: int = 20
    loads: int = 1
    """Times that a process loads each file; its calls are shared among them. Where a file's weights come to lie is
    luck, drawn anew with each load, in one process as in fresh ones (sd 0.9 % of a MobileNet's time; study: gate)."""


USUAL = Effort(loads=4)
MOST_LOADED_BYTES = 2**27
"""Most bytes of one pair's files that stay loaded; larger files are loaded fewer times."""


@dataclass(frozen=True)
class Duel:
    """A pair and what came of it."""

    pair: Pair
    verdict: Decision | None
    """None where `error` says why there is none."""
    error: str | None = None
    """The sentence of what failed."""
    identical: bool = False
    """Whether both are the same file, byte for byte: there was nothing to time."""
    first: tuple[float, ...] = ()
    """Stage one: the natural logarithm of new / reference, one a process."""
    second: tuple[float, ...] = ()
    """Stage two; empty where stage one was enough."""
    samples_ns: Samples = ()
    """Samples of the new file in every process of both stages."""
    reference_samples_ns: Samples = ()
    """Samples of the reference in the same processes and rounds."""
    warnings: tuple[str, ...] = ()
    """Faults of the machine meanwhile, in the words of kdbench.stats."""

    @property
    def ratio(self) -> float | None:
        """New / reference of the stage that decided, the median of its processes; 1 for identical files."""
        return self._of_deciding_stage(0)

    @property
    def low(self) -> float | None:
        """With `high`, the range of that stage's processes; of seven, without the lowest and the highest."""
        return self._of_deciding_stage(1)

    @property
    def high(self) -> float | None:
        return self._of_deciding_stage(2)

    def _of_deciding_stage(self, place: int) -> float | None:
        if self.identical:
            return 1.0
        logs = self.second or self.first
        return math.exp(spread(logs)[place]) if logs else None


def duel(
    pairs: Sequence[Pair],
    client: Timer,
    inputs: Path,
    batch_size: int,
    rule: Rule = DEFAULT,
    progress: Progress | None = None,
    effort: Effort = USUAL,
) -> list[Duel]:
    """Time every pair in the client's session at one batch size; `inputs` is an .npz of examples.

    All files of a group go round together in each process, those of a pair next to each other; which of them is
    loaded first changes from process to process. Where a process of several pairs dies, each pair is timed alone.
    """
    timing = _Timing(client, inputs, batch_size, rule, progress or _silent, effort)
    bouts = [_Bout(pair, client.folder, effort.loads) for pair in pairs]
    open_ones = [bout for bout in bouts if not bout.identical]
    for start in range(0, len(open_ones), PAIRS_PER_PROCESS):
        timing.decide(open_ones[start : start + PAIRS_PER_PROCESS])
    return [bout.result() for bout in bouts]


def _silent(words: str) -> None:
    """Tells nobody."""


class _Stage:
    """The times of one stage's processes, [process][i]: the new file's, then the reference's."""

    def __init__(self) -> None:
        self.samples: tuple[list[list[int]], list[list[int]]] = ([], [])
        self.thread_cpu: tuple[list[list[int]], list[list[int]]] = ([], [])

    def keep(self, new: Sequence[Timing], reference: Sequence[Timing]) -> None:
        """Add a process: the timings of every load of either file, which went round together."""
        for loads, samples, cpu in zip((new, reference), self.samples, self.thread_cpu, strict=True):
            samples.append([sample for load in loads for sample in load.samples_ns])
            times = [time for load in loads for time in load.thread_cpu_ns or ()]
            cpu += [times] if times else []

    def logs(self, round_call_count: int) -> list[float]:
        """The natural logarithm of new / reference, one a process."""
        return stats.paired_ratios(*self.samples, round_call_count, *self.thread_cpu)


class _Bout:
    """A pair while it is timed."""

    def __init__(self, pair: Pair, folder: Path, loads: int) -> None:
        self.pair = pair
        paths = (pair.new, pair.reference)
        self.identical = content_of(pair.new) == content_of(pair.reference)
        most = max(1, MOST_LOADED_BYTES // sum(path.stat().st_size for path in paths))
        self.loads = 1 if self.identical else min(loads, most)
        self.sides = [several(path, folder, self.loads) for path in paths]
        """Digest -> path of each load of the new file, and of the reference."""
        self.begin()

    def begin(self) -> None:
        """Forget what was timed."""
        self.verdict: Decision | None = "ok" if self.identical else None
        self.error: str | None = None
        self.stages = (_Stage(), _Stage())
        self.logs: list[list[float]] = []
        self.others: list[float] = []
        self.steal: list[float] = []

    @property
    def undecided(self) -> bool:
        return self.verdict is None and self.error is None

    def keep(self, stage: int, answer: TimedProcess, batch_size: int) -> None:
        """Add one process's times, or note why there are none."""
        both: list[list[Timing]] = []
        for side in self.sides:
            both.append([])
            for found in map(answer.files.__getitem__, side):
                if isinstance(found, MeasureError):
                    self.error = str(found)
                    return
                both[-1].append(found.by_batch[batch_size])
        self.stages[stage].keep(*both)
        self.others += [] if answer.other_cpu_fraction is None else [answer.other_cpu_fraction]
        self.steal += [] if answer.steal_fraction is None else [answer.steal_fraction]

    def decide(self, stage: int, rule: Rule, round_call_count: int) -> None:
        """The verdict, once the processes of a stage are all there."""
        if self.error is None:
            self.logs.append(self.stages[stage].logs(round_call_count))
            first, *second = self.logs
            limit = self.pair.max_ratio
            self.verdict = after_second(first, second[0], limit, rule) if second else after_first(first, limit, rule)

    def result(self) -> Duel:
        if self.error is not None:
            return Duel(self.pair, None, self.error)
        first, second = self.stages
        new, reference = (_both(*samples) for samples in zip(first.samples, second.samples, strict=True))
        cpu = _both(first.thread_cpu[0], second.thread_cpu[0])
        logs = [tuple(values) for values in [*self.logs, [], []]]
        said = [] if self.identical else stats.instability(new, self.others, cpu, self.steal)
        return Duel(
            pair=self.pair,
            verdict=self.verdict,
            identical=self.identical,
            first=logs[0],
            second=logs[1],
            samples_ns=new,
            reference_samples_ns=reference,
            warnings=tuple(said),
        )


def _both(first: list[list[int]], second: list[list[int]]) -> Samples:
    return tuple(tuple(process) for process in (*first, *second))


@dataclass(frozen=True)
class _Timing:
    """One target and batch size, and how files are timed there."""

    client: Timer
    inputs: Path
    batch_size: int
    rule: Rule
    progress: Progress
    effort: Effort

    def decide(self, group: list[_Bout]) -> None:
        """Give every pair of a group its verdict or its error."""
        try:
            self._stage(group, 0, range(self.rule.first))
            still = [bout for bout in group if bout.undecided]
            self._stage(still, 1, range(self.rule.first, self.rule.first + self.rule.fresh))
        except MeasureError as error:
            if len(group) == 1:
                group[0].error = str(error)
                return
            for bout in group:
                bout.begin()
                self.decide([bout])

    def _stage(self, group: list[_Bout], stage: int, processes: range) -> None:
        """Run the processes of one stage. Raises MeasureError where one dies, or all its files fail."""
        for number in processes:
            alive = [bout for bout in group if bout.error is None]
            if not alive:
                return
            self.progress(f"{_names(alive)}: process {number + 1}{' to confirm' if stage else ''}")
            loads = min(bout.loads for bout in alive)
            answer = self._process(_files(alive, backward=number % 2 == 1), number, loads)
            for bout in alive:
                bout.keep(stage, answer, self.batch_size)
        for bout in group:
            bout.decide(stage, self.rule, self.effort.round_call_count)

    def _process(self, files: dict[str, Path], number: int, loads: int) -> TimedProcess:
        rule = {
            "round_call_count": self.effort.round_call_count,
            "min_calls": -(-self.effort.calls // loads),
            "min_ns": round(self.effort.seconds * 1e9 / loads),
        }
        return self.client.time(files, self.inputs, [self.batch_size], number, rule)


def _files(group: Iterable[_Bout], backward: bool) -> dict[str, Path]:
    """Digest -> path of every file once, in the order to load them and go round."""
    loads = [
        load for bout in group for both in zip(*(side.items() for side in bout.sides), strict=True) for load in both
    ]
    files = list(dict(loads).items())
    return dict(files[::-1] if backward else files)


def _names(group: list[_Bout]) -> str:
    first = group[0].pair.name
    return first if len(group) == 1 else f"{first} and {len(group) - 1} more"
