"""How files are run here: the measuring program's answers, made a latency."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kdbench import stats
from kdbench.errors import MeasureError
from kdbench.files import sha256_of
from kdbench.measure import client, jobs
from kdbench.timing import Latency, Ratio

ROUND_CALL_COUNT = 20
PROGRAM = "measure.pyz"
Answer = dict[str, Any]


@dataclass(frozen=True)
class Work:
    """One session and batch size, and how long each process times."""

    scratch: Path
    inputs: Path
    session: dict[str, Any]
    batch_size: int
    python: str | None
    calls: int
    seconds: float

    def __post_init__(self) -> None:
        client.pack(self.scratch / PROGRAM)

    def alone(self, path: Path, processes: int) -> Latency:
        """The file timed by itself. Raises MeasureError."""
        proven = self._proven(path)
        rule = {
            **{"round_call_count": ROUND_CALL_COUNT, "min_calls": self.calls},
            "min_ns": round(self.seconds * 1e9),
        }
        answers = [self._ask("time", path, process=number, **rule) for number in range(processes)]
        timings = [answer["files"][0]["by_batch"][str(self.batch_size)] for answer in answers]
        samples = tuple(tuple(timing["samples_ns"]) for timing in timings)
        said = stats.instability(
            samples,
            [answer["other_cpu_fraction"] for answer in answers if "other_cpu_fraction" in answer],
            [timing["thread_cpu_ns"] for timing in timings if timing["thread_cpu_ns"]],
            [answer["steal_fraction"] for answer in answers if "steal_fraction" in answer],
        )
        own = [word for timing in timings for word in timing["warnings"]]
        return replace(proven, samples_ns=samples, warnings=tuple(dict.fromkeys([*own, *said])))

    def against(self, path: Path, reference: Path, max_ratio: float) -> Latency:
        """The file and another in turns, by the gate's rule; the same bytes are the same speed. Raises MeasureError."""
        from kdbench.timing.duel import USUAL, Pair, duel

        pair = Pair(path.name, path, reference, max_ratio)
        if sha256_of(path) == sha256_of(reference):
            same = Ratio(value=1.0, low=1.0, high=1.0, verdict="ok", max_ratio=max_ratio)
            return replace(self.alone(path, stats.MIN_PROCESSES), ratio=same)
        self._proven(reference)
        proven = self._proven(path)
        effort = replace(USUAL, calls=self.calls, seconds=self.seconds)
        (found,) = duel([pair], self.inputs, self.session, self.batch_size, self.python, self.scratch, effort=effort)
        if found.verdict is None or found.ratio is None or found.low is None or found.high is None:
            raise MeasureError(found.error or f"{path} and {reference} could not be compared.")
        ratio = Ratio(
            value=found.ratio,
            low=found.low,
            high=found.high,
            verdict=found.verdict,
            max_ratio=max_ratio,
            reference_samples_ns=found.reference_samples_ns,
        )
        return replace(proven, samples_ns=found.samples_ns, warnings=found.warnings, ratio=ratio)

    def _proven(self, path: Path) -> Latency:
        """All but the times. Raises MeasureError where the provider that was asked for did not run the file."""
        answer = self._ask("prove", path)
        (proof,) = answer["files"]
        kernels = proof["by_batch"][str(self.batch_size)]
        return Latency(
            model=str(path),
            provider_asked=proof["provider_asked"],
            providers_got=tuple(proof["providers_got"]),
            kernel_ns_by_provider=kernels["kernel_ns_by_provider"],
            runtime=f"{answer['runtime']} {answer['runtime_version']}",
            target="{provider}-{threads_intra}t-{precision}".format(**self.session),
            effective_precision=kernels["effective_precision"],
            batch_size=self.batch_size,
            samples_ns=(),
            warnings=(),
        )

    def _ask(self, action: str, path: Path, **fields: Any) -> Answer:
        """Run one action on one file in a fresh process. Raises MeasureError."""
        files = [{"digest": sha256_of(path), "path": str(path)}]
        job = {
            **{"schema": jobs.SCHEMA, "action": action, **self.session, "files": files, **fields},
            **{"inputs": str(self.inputs), "batch_sizes": [self.batch_size]},
        }
        answer = client.run_job(job, self.scratch, self.scratch / PROGRAM, self.python or sys.executable)
        if answer["modules"]:
            raise MeasureError(f"the process had loaded {', '.join(answer['modules'])}; its times do not count.")
        return answer
