"""A check as pytest-benchmark's JSON, so that `pytest-benchmark compare` and the dashboards that read it take it.

One benchmark for each latency that was measured. The statistics are that library's own, over the calls of all
processes; a mean of them says less than the ratio in `extra_info`, which comes from interleaved rounds.
"""

import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import kdbench
from kdbench.check import Checked, Row
from kdbench.errors import KdbenchError
from kdbench.render.verbs.check import words
from kdbench.render.verbs.check.commit import commit_info


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
    """pytest-benchmark's own statistics of calls, which it names rounds; `seconds` is not empty.

    Raises KdbenchError where it is not installed.
    """
    try:
        library: Any = import_module("pytest_benchmark.stats")
    except ImportError:
        raise KdbenchError(
            "the form pytest-benchmark needs that library for its statistics; type: pip install pytest-benchmark"
        ) from None
    found = library.Stats()
    for one in seconds:
        found.update(one)
    return dict(found.as_dict())


def _benchmark(checked: Checked, row: Row) -> dict[str, Any]:
    seconds = [sample / 1e9 for process in row.samples_ns for sample in process]
    setting = f"{row.target}/batch {row.call_size}"
    at = "".join(f"-{axis}{size}" for axis, size in row.lengths.items())
    param = f"{row.target}-batch{row.batch_size}{at}-seed{row.seed}"
    name = words.printable(f"{row.case}[{param}]")
    return {
        "group": setting,
        "name": name,
        "fullname": words.printable(f"kdbench check {checked.suite}::{name}"),
        "params": {"target": row.target, "batch_size": row.batch_size, **row.lengths, "seed": row.seed},
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
