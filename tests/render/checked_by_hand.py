"""Checks written down by hand: a row of every verdict, and one with names that no form may trip over."""

from typing import Any

import numpy as np

from kdbench.check import Checked, Row, Verdict

ONE, TWO = "local-cpu-1t-fp32", "local-openvino-2t-fp32"
FACTS = {
    "cpu": "AMD EPYC 9B14",
    "logical_core_count": 2,
    "architecture": "x86_64",
    "os": "Linux 6.1",
    "runtime": "onnxruntime",
    "runtime_version": "1.31.1",
}


def samples(middle_ns: int, processes: int = 3, calls: int = 101) -> tuple[tuple[int, ...], ...]:
    """Calls around `middle_ns`, the same each time."""
    random = np.random.default_rng(middle_ns)
    drawn = random.lognormal(np.log(middle_ns), 0.05, (processes, calls)).round().astype(int)
    return tuple(tuple(process) for process in drawn.tolist())


def latency(case: str, verdict: Verdict, ratio: float, width: float = 0.01, **fields: Any) -> Row:
    reference = 365_000
    given: dict[str, Any] = {
        **{"case": case, "seed": 0, "kind": "latency", "metric": "latency"},
        **{"verdict": verdict, "target": ONE, "batch_size": 1},
        "said": f"{100 * (ratio - 1):+.1f} % against a limit of +3 %.",
        **{"limit": 1.03, "value": ratio, "low": ratio * (1 - width), "high": ratio * (1 + width)},
        **{"new": ratio * reference, "reference": float(reference)},
        "samples_ns": samples(round(ratio * reference)),
        "reference_samples_ns": samples(reference),
    }
    return Row(**{**given, **fields})


def accuracy(case: str, verdict: Verdict, drop: float, half: float = 0.004, **fields: Any) -> Row:
    given: dict[str, Any] = {
        **{"case": case, "seed": 0, "kind": "score", "metric": "accuracy", "label": "accuracy", "unit": "fraction"},
        **{"verdict": verdict, "target": ONE},
        "said": f"{100 * drop:.2f} points lost, at most 1 is allowed.",
        **{"limit": 0.01, "value": drop, "low": drop - half, "high": drop + half},
        **{"new": 0.97 - drop, "reference": 0.97},
    }
    return Row(**{**given, **fields})


def size(case: str, verdict: Verdict, ratio: float, **fields: Any) -> Row:
    given: dict[str, Any] = {
        **{"case": case, "seed": 0, "kind": "size", "metric": "size"},
        **{"verdict": verdict, "said": "Exact.", "limit": 1.0},
        **{"value": ratio, "new": 12_900.0 * ratio, "reference": 12_900.0},
    }
    return Row(**{**given, **fields})


def checked(*rows: Row, **fields: Any) -> Checked:
    given: dict[str, Any] = {
        **{"suite": "quickstart", "new": "results/new", "reference": "baseline.zip", "rows": rows},
        **{"created_utc": "2026-11-21T19:20:05+00:00", "wall_ns": 65_000_000_000},
        "environments": {ONE: FACTS, TWO: {**FACTS, "runtime_version": "1.24.1"}},
    }
    return Checked(**{**given, **fields})


def every_verdict() -> Checked:
    """A row of each, the harmless ones first."""
    failed = {"value": None, "low": None, "high": None, "samples_ns": (), "reference_samples_ns": (), "new": None}
    return checked(
        latency("soft", Verdict.OK, 1.002),
        accuracy("soft", Verdict.OK, -0.003),
        size("soft", Verdict.OK, 1.0),
        latency("hard", Verdict.CANNOT_TELL, 1.02, 0.03, said="The 7 processes do not agree."),
        accuracy("hard", Verdict.CANNOT_TELL, 0.015, 0.025, seed=None),
        latency("int8", Verdict.ERRORED, 1, **failed, said="The measuring process was killed by SIGSEGV."),
        latency("pruned", Verdict.WRONG_PROVIDER, 1, **failed, target=TWO, said="Asked for OpenVINO, CPU ran it all."),
        size("pruned", Verdict.LARGER, 1.25, said="25 % larger, and no growth is allowed."),
        accuracy("int8", Verdict.LESS_ACCURATE, 0.031),
        latency("mixed", Verdict.SLOWER, 1.043, batch_size=32),
        latency("pruned", Verdict.SLOWER, 1.094),
    )


HOSTILE = "a|b <i>&\"'`]]> \x00\x1b[31m\ud800\ufffe\u202e [bold]x[/bold]\n# head\r\n--> \N{PILE OF POO} {{7*7}} =1+1"
