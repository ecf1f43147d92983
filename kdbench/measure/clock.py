"""Time by rounds: warm-up, interleaved rounds, and when they end; it knows no runtime and computes no statistics."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Callable, Protocol

from kdbench.errors import MeasureError

TOO_FEW = "too few samples"

Clock = Callable[[], int]
"""Nanoseconds, from any origin."""


class Runnable(Protocol):
    """Something to time: calls on one of `batch_count` batches that lie ready."""

    batch_count: int

    def run(self, batch_number: int) -> None: ...


@dataclass(frozen=True)
class Rule:
    """How long to time files at one batch size in one process.

    Warm-up: 50 calls of each file, after which its median lay within 1 % of the steady state (measured on ResNet-20 and
    MobileNetV3 in onnxruntime 1.31), and 0.2 s in all, which is for the processor's clock and so is shared by files
    that go round together. Timing: 1,000 calls of each file, and 1 s a file on average, in rounds of 50.
    """

    warmup_min_calls: int = 50
    warmup_min_ns: int = 200_000_000
    round_call_count: int = 50
    min_calls: int = 1000
    min_ns: int = 1_000_000_000
    max_ns: int = 10_000_000_000
    """Neither warm-up nor timing goes on once the slowest file took so long; what is short of `min_calls` says so."""


@dataclass
class Timing:
    """One file's raw times, in the order of the calls."""

    warmup_ns: list[int] = field(default_factory=list)
    """The first calls of the warm-up, `warmup_min_calls` of them: a fast file makes tens of thousands."""
    warmup_call_count: int = 0
    warmup_total_ns: int = 0
    """Sum over all calls of the warm-up."""
    samples_ns: list[int] = field(default_factory=list)
    thread_cpu_ns: list[int] = field(default_factory=list)
    """One a round; empty without a processor-time clock."""
    total_ns: int = 0
    """Sum of `samples_ns`."""
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    """The sentence of the call that failed; such a file takes no further turn."""


def time_rounds(
    sessions: Sequence[Runnable],
    rule: Rule,
    process: int = 0,
    clock: Clock = time.perf_counter_ns,
    cpu_clock: Clock | None = None,
) -> list[Timing]:
    """Warm every session up, then go round all of them in short rounds whose direction alternates (ABBA).

    All sessions take part in every round, so that any two have samples of the same moments: rounds go on while one of
    them has too few calls or all together too little time, and end when the slowest reached `rule.max_ns`. Processes
    of odd number begin backward. `cpu_clock` reads the calling thread's processor time, once a round.
    """
    timings = [Timing() for _ in sessions]
    pairs = list(zip(sessions, timings))
    with _no_garbage_collection():
        _warm_up(pairs, rule, clock)
        backward = process % 2 == 1
        while _another_round(timings, rule):
            for session, timing in reversed(pairs) if backward else pairs:
                if timing.error is None:
                    with _noting_failure(timing):
                        _turn(session, timing, rule.round_call_count, clock, cpu_clock)
            backward = not backward
    for timing in timings:
        if timing.error is None and len(timing.samples_ns) < rule.min_calls:
            timing.warnings.append(TOO_FEW)
    return timings


def _warm_up(pairs: Sequence[tuple[Runnable, Timing]], rule: Rule, clock: Clock) -> None:
    """Go round the files, `warmup_min_calls` each, until they took `warmup_min_ns` together."""
    total = 0
    while True:
        before = total
        for session, timing in pairs:
            if timing.error is None:
                with _noting_failure(timing):
                    total += _warm_up_turn(session, timing, rule, clock)
        if total >= rule.warmup_min_ns or total == before:
            return


def _warm_up_turn(session: Runnable, timing: Timing, rule: Rule, clock: Clock) -> int:
    """One file's calls; the nanoseconds they took. A slow file stops at `max_ns`, whatever its number of calls."""
    total = 0
    for _ in range(rule.warmup_min_calls):
        if total >= rule.max_ns:
            break
        (took,) = _calls(session, [timing.warmup_call_count % session.batch_count], clock)
        if len(timing.warmup_ns) < rule.warmup_min_calls:
            timing.warmup_ns.append(took)
        timing.warmup_call_count += 1
        total += took
    timing.warmup_total_ns += total
    return total


def _another_round(timings: Sequence[Timing], rule: Rule) -> bool:
    """Whether some file has too few calls, or all of them together too little time."""
    alive = [timing for timing in timings if timing.error is None]
    if not alive or any(timing.total_ns >= rule.max_ns for timing in alive):
        return False
    short = any(len(timing.samples_ns) < rule.min_calls for timing in alive)
    return short or sum(timing.total_ns for timing in alive) < rule.min_ns * len(alive)


def _turn(session: Runnable, timing: Timing, call_count: int, clock: Clock, cpu_clock: Clock | None) -> None:
    """One round of one file; the batches follow one another from turn to turn."""
    batch_count, done = session.batch_count, len(timing.samples_ns)
    numbers = [(done + call) % batch_count for call in range(call_count)]
    cpu_begin = cpu_clock() if cpu_clock else 0
    samples = _calls(session, numbers, clock)
    if cpu_clock:
        timing.thread_cpu_ns.append(cpu_clock() - cpu_begin)
    timing.samples_ns.extend(samples)
    timing.total_ns += sum(samples)


def _calls(session: Runnable, numbers: Sequence[int], clock: Clock) -> list[int]:
    """Nanoseconds of one call on each of these batches; by the session's own clock where it has one."""
    own: Callable[[Sequence[int]], list[int]] | None = getattr(session, "timed", None)
    if own is not None:
        return own(numbers)
    run, samples = session.run, [0] * len(numbers)
    for call, number in enumerate(numbers):
        begin = clock()
        run(number)
        samples[call] = clock() - begin
    return samples


@contextlib.contextmanager
def _noting_failure(timing: Timing) -> Iterator[None]:
    try:
        yield
    except MeasureError as error:
        timing.error = str(error)


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
