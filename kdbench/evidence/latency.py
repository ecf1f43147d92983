"""Latency from raw samples, and speed-up from interleaved rounds, of one case at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdbench import stats
from kdbench.errors import RecordError
from kdbench.evidence.grids import from_logs, grid_interval
from kdbench.evidence.intervals import Estimate
from kdbench.results.records import Latency

BASELINE, TEACHER, ORIGIN = "baseline", "teacher", "origin"


@dataclass(frozen=True)
class LatencyView:
    """One case on one target at one batch size."""

    p50_ns: Estimate
    """Geometric mean of the processes' medians; the interval is over processes and seeds."""
    p90_ns: float | None
    """90th percentile of all samples; None where they are too few."""
    p99_ns: float | None
    speedup: dict[str, Estimate]
    """Reference ("baseline", "teacher", "origin": the same seed's uncompressed file) -> its time / this file's, from
    interleaved rounds. Calls that outlast a scheduler's slice are compared by their thread's own time, where both
    files have it recorded."""
    placed_ns: Estimate
    """For figures: the baseline's pooled latency divided by the speed-up, so free of drift; else `p50_ns`."""
    processes: tuple[tuple[int, ...], ...]
    """Samples of each process, seeds pooled."""
    int8_kernel_fraction: float | None
    """Share of convolutions and matrix products that ran in int8; mean over seeds."""
    warnings: tuple[str, ...]
    runtime: str
    letters: str = ""
    """Cases at the same setting that share one cannot be told apart in latency; empty where that cannot be said."""


def latency_view(records: Sequence[Latency], pooled_baseline_ns: float | None) -> LatencyView:
    """The latency of a case from its seeds' records.

    `pooled_baseline_ns`: the latency of its baseline, pooled over all cases that were timed beside it.
    """
    medians = [[math.log(_median(process)) for process in record.samples_ns if process] for record in records]
    p50 = from_logs(grid_interval(grid(medians)))
    speedup = {role: found for role in (BASELINE, TEACHER, ORIGIN) if (found := _speedup(records, role)) is not None}
    processes = _pooled(records)
    samples = [sample for process in processes for sample in process]
    int8 = [r.int8_kernel_fraction for r in records if r.int8_kernel_fraction is not None]
    return LatencyView(
        p50_ns=p50,
        p90_ns=stats.percentile(samples, 0.9),
        p99_ns=stats.percentile(samples, 0.99),
        speedup=speedup,
        placed_ns=_placed(p50, speedup.get(BASELINE), pooled_baseline_ns),
        processes=processes,
        int8_kernel_fraction=float(np.mean(int8)) if int8 else None,
        warnings=_warnings(records),
        runtime=f"{records[0].runtime} {records[0].runtime_version}",
    )


def pooled_reference_ns(records: Sequence[Latency]) -> float | None:
    """The baseline file's latency over every process that timed it beside another file (geometric mean of medians)."""
    logs = [
        math.log(_median(process)) for record in records for process in reference_samples(record, BASELINE) if process
    ]
    return math.exp(float(np.mean(logs))) if logs else None


def _median(samples: Sequence[int]) -> float:
    return float(np.median(samples))


def grid(logs: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """logs[seed][process] as a table; processes that not every seed has are left out."""
    shortest = min(len(processes) for processes in logs)
    return np.array([processes[:shortest] for processes in logs], dtype=np.float64)


def reference_samples(record: Latency, role: str) -> tuple[tuple[int, ...], ...]:
    """A reference's samples in the record's own processes and rounds; empty where it was not timed with one."""
    return record.reference_samples_ns.get(record.references.get(role, ""), ())


def _speedup(records: Sequence[Latency], role: str) -> Estimate | None:
    """Reference over file in each process's rounds; None where a record lacks the reference's samples."""
    logs = [[-ratio for ratio in log_ratios(record, role)] for record in records]
    return from_logs(grid_interval(grid(logs))) if all(logs) else None


def log_ratios(record: Latency, role: str) -> list[float]:
    """Per process, log(its time / its reference's of the same rounds); empty without the reference's samples.

    Raises RecordError where the two were not timed in the same rounds.
    """
    reference = reference_samples(record, role)
    if not reference:
        return []
    cpu, reference_cpu = record.thread_cpu_ns, record.reference_thread_cpu_ns.get(record.references[role], ())
    try:
        return stats.paired_ratios(record.samples_ns, reference, record.round_call_count, cpu, reference_cpu)
    except ValueError as error:
        place = f"{record.case}, seed {record.seed}, {record.target}, batch {record.call_size}"
        raise RecordError(f"the latency record of {place} does not fit its reference: {error}.") from None


def _placed(p50: Estimate, speedup: Estimate | None, pooled_ns: float | None) -> Estimate:
    if speedup is None or pooled_ns is None:
        return p50
    low = None if speedup.high is None else pooled_ns / speedup.high
    high = None if speedup.low is None else pooled_ns / speedup.low
    return Estimate(pooled_ns / speedup.value, low, high, tuple(pooled_ns / value for value in speedup.values))


def _pooled(records: Sequence[Latency]) -> tuple[tuple[int, ...], ...]:
    by_seed = [record.samples_ns for record in records]
    count = max(len(processes) for processes in by_seed)
    return tuple(
        _joined([processes[place] for processes in by_seed if place < len(processes)]) for place in range(count)
    )


def _joined(runs: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sample for run in runs for sample in run)


def _warnings(records: Sequence[Latency]) -> tuple[str, ...]:
    """Warnings of the measuring program, then of the samples; one word or sentence each, each once.

    Older records hold words for their samples, too: these are decided anew, by the thresholds of now.
    """
    said: list[str] = []
    for record in records:
        said += [warning for warning in record.warnings if warning not in stats.FROM_SAMPLES]
        said += _instability(record)
    return tuple(dict.fromkeys(said))


def _instability(record: Latency) -> list[str]:
    return stats.instability(
        record.samples_ns,
        record.other_cpu_fraction,
        record.thread_cpu_ns,
        record.steal_fraction,
    )
