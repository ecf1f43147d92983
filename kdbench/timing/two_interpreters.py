"""The same files timed under two interpreters, in turns: what `duel` asks in place of one client. Knows no records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kdbench.errors import MeasureError
from kdbench.measure.answers import OrError, TimedFile, TimedProcess, Timing
from kdbench.measure.client import Files
from kdbench.timing.duel import Timer

TURNS = 2
"""Processes of each interpreter for every one that the rule asks for: A B B A, then B A A B, so that the machine's
drift falls on both. Each loads the file anew, so that where its weights come to lie is drawn that often."""


class TwoInterpreters:
    """Times files of two sides, each in its own interpreter, as if one process had timed them all."""

    def __init__(self, before: Timer, after: Timer, files_before: Iterable[str]) -> None:
        """`files_before`: the SHA-256 of each file that the interpreter `before` times; all others are `after`'s."""
        self.folder = after.folder
        self._before, self._after = before, after
        self._files_before = frozenset(files_before)

    def time(
        self, files: Files, inputs: Path, batch_sizes: Sequence[int], number: int, rule: Mapping[str, int]
    ) -> TimedProcess:
        """As `Client.time`. Raises MeasureError where a process dies."""
        early = {digest: path for digest, path in files.items() if digest in self._files_before}
        late = {digest: path for digest, path in files.items() if digest not in self._files_before}
        sides = [(self._before, early), (self._after, late)]
        turn = sides if number % 2 == 0 else sides[::-1]
        each = {**rule, "min_calls": -(-rule["min_calls"] // TURNS), "min_ns": rule["min_ns"] // TURNS}
        answers = [
            client.time(some, inputs, batch_sizes, number, each)
            for place in range(TURNS)
            for client, some in (turn if place % 2 == 0 else turn[::-1])
            if some
        ]
        turns = {digest: [one.files[digest] for one in answers if digest in one.files] for digest in files}
        joined = {digest: _joined(found) for digest, found in turns.items()}
        return replace(
            answers[0],
            files=_evened(joined, rule["round_call_count"]),
            other_cpu_fraction=_most(answer.other_cpu_fraction for answer in answers),
            steal_fraction=_most(answer.steal_fraction for answer in answers),
        )


def _joined(turns: Sequence[OrError[TimedFile]]) -> OrError[TimedFile]:
    """One file's times of all its turns, in their order; the sentence of a turn that failed."""
    first, *others = turns
    if isinstance(first, MeasureError):
        return first
    by_batch = dict(first.by_batch)
    for turn in others:
        if isinstance(turn, MeasureError):
            return turn
        by_batch = {size: _both(timing, turn.by_batch[size]) for size, timing in by_batch.items()}
    return replace(first, by_batch=by_batch)


def _both(first: Timing, second: Timing) -> Timing:
    cpu = None if first.thread_cpu_ns is None else [*first.thread_cpu_ns, *(second.thread_cpu_ns or ())]
    samples = [*first.samples_ns, *second.samples_ns]
    return replace(first, samples_ns=samples, thread_cpu_ns=cpu, warnings=(*first.warnings, *second.warnings))


def _evened(files: Mapping[str, OrError[TimedFile]], round_call_count: int) -> dict[str, OrError[TimedFile]]:
    """The files with as many rounds as the one that has the fewest: a slower interpreter makes fewer in its time."""
    timings = [timing for file in files.values() if isinstance(file, TimedFile) for timing in file.by_batch.values()]
    rounds = min((len(timing.samples_ns) // round_call_count for timing in timings), default=0)
    return {
        digest: file
        if isinstance(file, MeasureError)
        else replace(
            file, by_batch={size: _cut(timing, rounds, round_call_count) for size, timing in file.by_batch.items()}
        )
        for digest, file in files.items()
    }


def _cut(timing: Timing, rounds: int, round_call_count: int) -> Timing:
    """`rounds` of its rounds, evenly spaced, so that every turn keeps its share."""
    count = len(timing.samples_ns) // round_call_count
    kept = [place * count // rounds for place in range(rounds)]
    starts = [place * round_call_count for place in kept]
    samples = [sample for start in starts for sample in timing.samples_ns[start : start + round_call_count]]
    cpu = timing.thread_cpu_ns and [timing.thread_cpu_ns[place] for place in kept]
    return replace(timing, samples_ns=samples, thread_cpu_ns=cpu)


def _most(shares: Iterable[float | None]) -> float | None:
    """The most that others took of the machine in any of the turns; None where the system does not tell."""
    return max((share for share in shares if share is not None), default=None)
