"""A check as pytest-benchmark's JSON, so that `pytest-benchmark compare` and the dashboards that read it take it.

One benchmark for each latency that was measured. The statistics are defined as pytest-benchmark defines them, over the
calls of all processes; a mean of them says less than the ratio in `extra_info`, which comes from interleaved rounds.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kdbench
from kdbench.check import Checked, Row
from kdbench.render.verbs.check import words
from kdbench.render.verbs.check.commit import commit_info

Seconds = NDArray[np.float64]
FENCE = 1.5
"""Of the interquartile range: beyond it lies what Tukey calls an outlier."""


def as_benchmarks(checked: Checked) -> str:
    """The whole file; rows without samples have no benchmark in it."""
    found = {
        "machine_info": _machine_info(checked),
        "commit_info": commit_info(checked.new),
        "benchmarks": [_benchmark(checked, row) for row in checked.rows if any(row.samples_ns)],
        "datetime": checked.created_utc,
        "version": f"kdbench {kdbench.__version__}",
    }
    return json.dumps(found, allow_nan=False)


def statistics(seconds: Sequence[float]) -> dict[str, Any]:
    """pytest-benchmark's own, `rounds` being calls; `seconds` is not empty."""
    data = np.sort(np.asarray(seconds, dtype=np.float64))
    mean, total = float(np.mean(data)), float(np.sum(data))
    deviation = float(np.std(data, ddof=1)) if len(data) > 1 else 0.0
    q1, median, q3 = _quartiles(data)
    low, high = q1 - FENCE * (q3 - q1), q3 + FENCE * (q3 - q1)
    within = data[(data >= low) & (data <= high)]
    beyond = {
        "stddev_outliers": int(np.sum((data < mean - deviation) | (data > mean + deviation))),
        "iqr_outliers": len(data) - len(within),
    }
    return {
        "min": float(data[0]),
        "max": float(data[-1]),
        "mean": mean,
        "stddev": deviation,
        "rounds": len(data),
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        **beyond,
        "outliers": f"{beyond['stddev_outliers']};{beyond['iqr_outliers']}",
        "ld15iqr": float(within[0]),
        "hd15iqr": float(within[-1]),
        "ops": len(data) / total if total else 0,
        "total": total,
    }


def _quartiles(data: Seconds) -> tuple[float, float, float]:
    """Of sorted values: medians of the halves; of an odd number, between "with" and "without the median"."""
    count, median = len(data), float(np.median(data))
    half = count // 2
    if count == 1:
        return median, median, median
    if count % 2 == 0:
        return float(np.median(data[:half])), median, float(np.median(data[half:]))
    without = float(np.median(data[:half])), float(np.median(data[half + 1 :]))
    whole = float(np.median(data[: half + 1])), float(np.median(data[half:]))
    return (without[0] + whole[0]) / 2, median, (without[1] + whole[1]) / 2


def _benchmark(checked: Checked, row: Row) -> dict[str, Any]:
    seconds = [sample / 1e9 for process in row.samples_ns for sample in process]
    setting = f"{row.target}/batch {row.batch_size}"
    param = f"{row.target}-batch{row.batch_size}-seed{row.seed}"
    name = words.printable(f"{row.case}[{param}]")
    return {
        "group": setting,
        "name": name,
        "fullname": words.printable(f"kdbench check {checked.suite}::{name}"),
        "params": {"target": row.target, "batch_size": row.batch_size, "seed": row.seed},
        "param": param,
        "extra_info": _extra(row),
        "options": {"timer": "perf_counter_ns", "disable_gc": True, "warmup": True},
        "stats": {**statistics(seconds), "data": seconds, "iterations": 1},
    }


def _extra(row: Row) -> dict[str, Any]:
    found = {
        "verdict": str(row.verdict),
        "said": row.said,
        "ratio_to_reference": row.value,
        "ratio_low": row.low,
        "ratio_high": row.high,
        "ratio_limit": row.limit,
        "process_count": len(row.samples_ns),
    }
    return {name: value for name, value in found.items() if value is not None}


def _machine_info(checked: Checked) -> dict[str, Any]:
    """pytest-benchmark's names, for the first target; what each target said of itself under `targets`."""
    facts = list(checked.environments.values())
    first = facts[0] if facts else {}
    system, _, release = str(first.get("os", "")).partition(" ")
    named = {
        "processor": first.get("cpu"),
        "machine": first.get("architecture"),
        "system": system or None,
        "release": release or None,
        "cpu": {"brand_raw": first.get("cpu"), "count": first.get("logical_core_count")},
    }
    return {name: value for name, value in named.items() if value} | {"targets": checked.environments}
