"""Statistics of raw timings: percentiles, one latency of several processes, ratios of paired rounds, instability."""

from collections.abc import Sequence
from functools import cache

import numpy as np

Samples = Sequence[Sequence[int]]
"""[process][i]: nanoseconds of one call each, in the order they were made."""

CONFIDENCE = 0.99
"""The confidence with which a percentile is reported: MLPerf inference rules, "Early Stopping Criterion" (c = 0.99,
d = 0)."""

MIN_PROCESSES = 3
MIN_SAMPLES = 64
"""The least samples of a process: what a p90 needs by the rule above."""

MAX_DISAGREEMENT = 1.10
"""Largest process median over the smallest. Quiet processes differ by 2-3 % (ResNet-20), so by 6 % among
five; beyond 10 % the machine changed between them."""

MAX_OTHER_FRACTION = 0.15
"""The largest share of the machine's processor time that other processes may take: 0.3 cores of the two of the machine
on which the threshold was found."""

MIN_OWN_FRACTION = 0.95
"""The least share of the calls' wall time that their thread spends on a core when nobody takes it away (found on the
same machine)."""

MAX_STEAL_FRACTION = 0.01
"""The largest share of a virtual machine's processor time that its host may withhold: the least that a process of one
second can tell, as the system counts in hundredths of a second (proc(5))."""

SCHEDULER_SLICE_NS = 3_000_000
"""A call that takes longer is interrupted on a busy machine more often than not (Linux gives slices of 3-4 ms): with a
load of 7.6 on two cores, calls of 23 ms took 2.9 times as long at p10 by the clock, and 1.0 times by thread time."""

CALL_OVERHEAD_NS = 20_000
"""Below it the 2.2 us that any pre-bound call costs are over a tenth of the time (onnxruntime 1.31, one thread)."""

PROCESSES_DISAGREE = "processes disagree"
CONTENDED = "contended"
STOLEN = "processor time stolen"
TOO_FEW = "too few samples"
MOSTLY_OVERHEAD = "mostly call overhead"
FROM_SAMPLES = frozenset({PROCESSES_DISAGREE, CONTENDED, STOLEN, MOSTLY_OVERHEAD})
"""Words that `instability` alone decides, whenever samples are read; older records hold them by older thresholds."""


def percentile(samples: Sequence[int], fraction: float) -> float | None:
    """The quantile at `fraction` (0.9 is p90), in the samples' unit; None where they are too few to say.

    A percentile is about single calls: "a call at some moment in some process". Calls of several processes (and seeds)
    of one case may therefore be pooled; they depend on each other less than those of one process. The percentile is
    that of all pooled calls, not a mean over processes, and their number is not the n of an interval: intervals are
    over processes. The median is always given, as its spread over processes shows what it is worth.
    """
    if not samples or (fraction != 0.5 and len(samples) < needed_samples(fraction)):
        return None
    return float(np.quantile(samples, fraction))


@cache
def needed_samples(fraction: float) -> int:
    """How many samples a percentile needs: 64 for p90, 130 for p95, 662 for p99.

    The least n at which two or more of n samples lie beyond the percentile with the confidence above, so that the
    largest can be set aside: P(Binomial(n, tail) <= 1) <= 1 - c. Raises ValueError for a fraction outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"a percentile's fraction lies between 0 and 1, got {fraction}")
    tail = round(min(fraction, 1 - fraction), 12)
    n = 2
    while (1 - tail) ** (n - 1) * (1 - tail + n * tail) > 1 - CONFIDENCE:
        n += 1
    return n


def median_of_process_medians(samples: Samples) -> float:
    """One latency of several processes: each counts once, however many calls it made."""
    return float(np.median([np.median(process) for process in samples]))


def paired_round_ratios(samples: Samples, reference_samples: Samples, round_call_count: int) -> list[float]:
    """Per process, the natural logarithm of how much slower a file is than its reference (0 is equal).

    Both went round together: round r of one ran beside round r of the other, so the machine's drift cancels. The
    value is the median over rounds of log(p25 of the file's round / p25 of the reference's); p25, because neighbours
    on the machine only ever make calls longer. Raises ValueError where the two did not take the same rounds.
    """
    pairs = zip(samples, reference_samples, strict=True)
    return [_median_log_ratio(_rounds(mine, round_call_count), _rounds(its, round_call_count)) for mine, its in pairs]


def paired_ratios(
    samples: Samples,
    reference_samples: Samples,
    round_call_count: int,
    thread_cpu_ns: Samples = (),
    reference_thread_cpu_ns: Samples = (),
) -> list[float]:
    """Per process, how much slower a file is than its reference (natural logarithm), by the clock that fits its calls.

    Calls that fit into a scheduler's slice: `paired_round_ratios` of wall time. Longer ones (the median call of either
    file, over processes), where both files' thread time was recorded: `paired_cpu_ratios`. Equal files of 18 ms a call
    on two cores under a load of 12: the ratios' standard deviation is 8.7 % by the first and 1.4 % by the second
    (21 ratios, each of 5 rounds of 5 calls); at 2 ms a call it is 1.0 % by either.
    Raises ValueError as those do.
    """
    if thread_cpu_ns and reference_thread_cpu_ns and _outlast_a_slice(samples, reference_samples):
        return paired_cpu_ratios(thread_cpu_ns, reference_thread_cpu_ns)
    return paired_round_ratios(samples, reference_samples, round_call_count)


def paired_cpu_ratios(thread_cpu_ns: Samples, reference_thread_cpu_ns: Samples) -> list[float]:
    """Per process, the median over rounds of log(thread time of the file's calls / that of its reference's).

    Both are [process][round], nanoseconds that the calling thread spent on a core, so for targets of one CPU thread.
    Raises ValueError where the two did not take the same rounds.
    """
    pairs = zip(thread_cpu_ns, reference_thread_cpu_ns, strict=True)
    return [_median_log_ratio(_rounds(mine, 1), _rounds(its, 1)) for mine, its in pairs]


def instability(
    samples: Samples,
    other_cpu_fraction: Sequence[float] = (),
    thread_cpu_ns: Samples = (),
    steal_fraction: Sequence[float] = (),
) -> list[str]:
    """Words for what is wrong with these samples; none when they can be trusted.

    `other_cpu_fraction` (time that other processes took) and `steal_fraction` (time that a virtual machine's host
    withheld) are one a process; `thread_cpu_ns` is [process][round], for one-thread CPU targets.
    """
    words = []
    if len(samples) < MIN_PROCESSES or min(map(len, samples)) < MIN_SAMPLES:
        words.append(TOO_FEW)
    medians = [float(np.median(process)) for process in samples if process]
    if medians and max(medians) > MAX_DISAGREEMENT * min(medians):
        words.append(PROCESSES_DISAGREE)
    if (
        max(other_cpu_fraction, default=0.0) > MAX_OTHER_FRACTION
        or _own_fraction(samples, thread_cpu_ns) < MIN_OWN_FRACTION
    ):
        words.append(CONTENDED)
    if max(steal_fraction, default=0.0) > MAX_STEAL_FRACTION:
        words.append(STOLEN)
    if medians and float(np.median(medians)) < CALL_OVERHEAD_NS:
        words.append(MOSTLY_OVERHEAD)
    return words


def _outlast_a_slice(*several: Samples) -> bool:
    return any(samples and median_of_process_medians(samples) > SCHEDULER_SLICE_NS for samples in several)


def _own_fraction(samples: Samples, thread_cpu_ns: Samples) -> float:
    """The least share of a process's calls that its thread spent on a core; 1 where nobody recorded it."""
    pairs = zip(samples, thread_cpu_ns, strict=True) if thread_cpu_ns else ()
    return min((sum(cpu) / sum(wall) for wall, cpu in pairs if wall), default=1.0)


def _rounds(samples: Sequence[int], round_call_count: int) -> np.ndarray:
    return np.asarray(samples, dtype=float).reshape(-1, round_call_count)


def _median_log_ratio(mine: np.ndarray, reference: np.ndarray) -> float:
    if mine.shape != reference.shape:
        raise ValueError(f"not the same rounds: {mine.shape[0]} of the file, {reference.shape[0]} of its reference")
    return float(np.median(np.log(_lower_quartiles(mine) / _lower_quartiles(reference))))


def _lower_quartiles(rounds: np.ndarray) -> np.ndarray:
    """np.quantile(rounds, 0.25, axis=1) to the bit, in a tenth of its time: a large report asks for 100,000 of them."""
    ordered = np.sort(rounds, axis=1)
    place = 0.25 * (ordered.shape[1] - 1)
    low = int(place)
    lower, upper = ordered[:, low], ordered[:, min(low + 1, ordered.shape[1] - 1)]
    share = place - low
    found: np.ndarray = lower + (upper - lower) * share if share < 0.5 else upper - (upper - lower) * (1 - share)
    return found
