"""One session in fresh processes: it makes a latency of the measuring program's answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from kdbench import stats
from kdbench.errors import MeasureError
from kdbench.files import sha256_of
from kdbench.measure.answers import OrError
from kdbench.measure.client import Client
from kdbench.timing.latency import Latency, Ratio

ROUND_CALL_COUNT = 20
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Work:
    """One session and batch size, and how long each process times."""

    client: Client
    inputs: Path
    batch_size: int
    calls: int
    seconds: float

    def alone(self, path: Path, processes: int) -> Latency:
        """The file timed by itself. Raises MeasureError."""
        proven = self._proven(path)
        rule = {
            **{"round_call_count": ROUND_CALL_COUNT, "min_calls": self.calls},
            "min_ns": round(self.seconds * 1e9),
        }
        files, sizes = {sha256_of(path): path}, [self.batch_size]
        answers = [self.client.time(files, self.inputs, sizes, number, rule) for number in range(processes)]
        timings = [_only(answer.files).by_batch[self.batch_size] for answer in answers]
        samples = tuple(tuple(timing.samples_ns) for timing in timings)
        said = stats.instability(
            samples,
            [answer.other_cpu_fraction for answer in answers if answer.other_cpu_fraction is not None],
            [timing.thread_cpu_ns for timing in timings if timing.thread_cpu_ns],
            [answer.steal_fraction for answer in answers if answer.steal_fraction is not None],
        )
        own = [word for timing in timings for word in timing.warnings]
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
        (found,) = duel([pair], self.client, self.inputs, self.batch_size, effort=effort)
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
        proof = _only(self.client.prove({sha256_of(path): path}, self.inputs, [self.batch_size]))
        kernels = proof.by_batch[self.batch_size]
        return Latency(
            model=str(path),
            provider_asked=proof.provider_asked,
            providers_got=tuple(proof.providers_got),
            kernel_ns_by_provider=dict(kernels.kernel_ns_by_provider or {}),
            runtime=f"{proof.runtime} {proof.runtime_version}",
            target="{provider}-{threads_intra}t-{precision}".format(**self.client.session),
            effective_precision=kernels.effective_precision,
            batch_size=self.batch_size,
            samples_ns=(),
            warnings=(),
        )


def _only(files: Mapping[str, OrError[Answer]]) -> Answer:
    """The answer about the only file. Raises MeasureError where it failed."""
    (found,) = files.values()
    if isinstance(found, MeasureError):
        raise found
    return found
