"""From what measuring processes answered to the facts of one file, or to why it has none. It starts no process."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kdbench.errors import KdbenchError, MeasureError
from kdbench.measure.answers import (
    Kernels,
    OrError,
    Peak,
    ProvedFile,
    Spent,
    Started,
    TimedFile,
    TimedProcess,
    Timing,
)
from kdbench.timing.one_file_alone import STARTS, At

MIN_AGREEMENT = 0.98
MAX_FLIPPED = 2
"""Most test examples whose class may differ between the timed and the evaluated session, where a smaller share agrees
than MIN_AGREEMENT. Two things flip a near tie. Sums in another order round differently. Dynamic quantization takes its
scales from the whole batch, and an evaluation has other batches: of 357 digits 0 to 2 flipped between batches of 64 and
of 1, 8 or 32 (ten small networks, 65 to 98 % right), 0.6 % at most. A session that computes something else is far
off."""

ASKED = ("precision", "threads_intra", "threads_inter", "graph_optimization")
STARTED = ("runtime_import_ns", "load_ns", "first_inference_ns")
SPENT = ("call_count", "energy_uj", "wall_ns", "idle_energy_uj", "idle_wall_ns")
GAUGED = ("load_average", "other_cpu_fraction", "steal_fraction")

Answer = TypeVar("Answer")
Fact = dict[str, Any]
"""A record without its labels: its kind and its own fields."""


@dataclass(frozen=True)
class Asked:
    """One file, and which facts of it are asked for."""

    digest: str
    references: Mapping[str, str]
    """Role ("baseline", "teacher", "origin") -> digest of the file that took turns with it."""
    session: Mapping[str, Any]
    """How it was run: the session fields of a job."""
    batch_sizes: Sequence[int]
    evaluated: NDArray[np.int32]
    """The class that the file's evaluation gave each test example, in order."""
    memory: bool = False
    start: bool = False
    energy: bool = False
    repeat: int = 0
    lengths: Mapping[str, int] = field(default_factory=dict)
    """For each axis that varies, the size that examples were cut or repeated to."""


@dataclass(frozen=True)
class Heard:
    """All answers of a group's processes."""

    processes: Sequence[TimedProcess]
    proof: Mapping[str, OrError[ProvedFile]]
    """By digest."""
    memory: Mapping[At, OrError[Peak]]
    start: Mapping[str, OrError[list[Started]]]
    energy: Mapping[At, OrError[list[Spent]]]
    round_call_count: int


def facts(asked: Asked, heard: Heard) -> list[Fact] | KdbenchError:
    """For each batch size a latency fact, and what was asked beside it of memory, start and energy."""
    try:
        for digest in asked.references.values():
            _timed_files(heard, digest)
        file = _File(asked, heard)
        found = []
        for batch_size in asked.batch_sizes:
            found.append(file.latency(batch_size))
            found += _memory(asked, heard, batch_size)
            found += _energy(asked, heard, batch_size)
        at = {"lengths": dict(asked.lengths)} if asked.lengths else {}
        return [{**fact, **at} for fact in (*found, *_start(asked, heard))]
    except MeasureError as error:
        return error


def _timed_files(heard: Heard, digest: str) -> list[TimedFile]:
    """A file in each process. Raises MeasureError where it failed in one of them, or its proof did."""
    _answered(heard.proof[digest])
    return [_answered(process.files[digest]) for process in heard.processes]


def _answered(answer: OrError[Answer]) -> Answer:
    """The answer. Raises the MeasureError that stands in its place."""
    if isinstance(answer, MeasureError):
        raise answer
    return answer


def _memory(asked: Asked, heard: Heard, batch_size: int) -> Iterator[Fact]:
    found = heard.memory.get((asked.digest, batch_size)) if asked.memory else None
    if found is not None:
        peak = _answered(found)
        sizes = {"peak_rss_bytes": peak.peak_rss_bytes, "import_rss_bytes": peak.import_rss_bytes}
        yield {"kind": "memory", "batch_size": batch_size, **sizes}


def _start(asked: Asked, heard: Heard) -> Iterator[Fact]:
    """Cold start from the last STARTS processes.

    An extra first process built the engine; what it took longer than the others is `engine_build_ns`.
    """
    found = heard.start.get(asked.digest) if asked.start else None
    if found is None:
        return
    starts = _answered(found)
    warm = starts[-STARTS:]
    times = {name: [getattr(start, name) for start in warm] for name in STARTED}
    fact: Fact = {"kind": "start", "batch_size": warm[0].batch_size, **times}
    if len(starts) > STARTS:
        ready_ns = [start.load_ns + start.first_inference_ns for start in starts]
        fact["engine_build_ns"] = max(0, round(ready_ns[0] - median(ready_ns[-STARTS:])))
    yield fact


def _energy(asked: Asked, heard: Heard, batch_size: int) -> Iterator[Fact]:
    found = heard.energy.get((asked.digest, batch_size)) if asked.energy else None
    if found is not None:
        read = _answered(found)
        spent = {name: [getattr(process, name) for process in read] for name in SPENT}
        yield {"kind": "energy", "counter": read[0].counter, "batch_size": batch_size, **spent}


class _File:
    """One file and the references that took turns with it, in every process."""

    def __init__(self, asked: Asked, heard: Heard) -> None:
        """Raises MeasureError where the file failed in a process."""
        self.asked, self.heard = asked, heard
        self.files = _timed_files(heard, asked.digest)

    def latency(self, batch_size: int) -> Fact:
        """Raises MeasureError where the provider did not run it, or the timed calls gave other answers."""
        first, process = self.files[0], self.heard.processes[0]
        own = [file.by_batch[batch_size] for file in self.files]
        fact = {
            "kind": "latency",
            "provider_asked": first.provider_asked,
            "providers_got": first.providers_got,
            "provider_options": first.provider_options,
            **self._execution(first.provider_asked, batch_size),
            "runtime": process.runtime,
            "runtime_version": process.runtime_version,
            **{name: self.asked.session.get(name) for name in ASKED},
            "answers_agreement_fraction": self._agreement(own, batch_size),
            "batch_size": batch_size,
            "input_shapes": own[0].input_shapes,
            "load_ns": [file.load_ns for file in self.files],
            "first_inference_ns": [timing.first_inference_ns for timing in own],
            "warmup_ns": [timing.warmup_ns for timing in own],
            "warmup_total_ns": [timing.warmup_total_ns or sum(timing.warmup_ns) for timing in own],
            **self._times(own, batch_size),
            "repeat": self.asked.repeat,
            **{name: self._gauged(name) for name in GAUGED},
            "affinity": process.affinity,
            "warnings": list(dict.fromkeys(word for timing in own for word in timing.warnings)),
        }
        return {name: value for name, value in fact.items() if value is not None}

    def _execution(self, provider: str, batch_size: int) -> Fact:
        kernels: Kernels = _answered(self.heard.proof[self.asked.digest]).by_batch[batch_size]
        if provider not in kernels.node_count_by_provider:
            raise MeasureError(f"asked for {provider}, which ran none of the file's nodes at batch {batch_size}.")
        return vars(kernels)

    def _agreement(self, own: Sequence[Timing], batch_size: int) -> float:
        """How far the timed calls decided as the evaluation did, over all processes.

        For classes the share of examples; for others, and where examples are cut or repeated to a length, how far
        they decided as calls that were not timed.
        """
        classes = [timing.classes for timing in own if timing.classes is not None]
        if len(classes) < len(own):
            worst = min(timing.agreement_fraction or 0.0 for timing in own if timing.classes is None)
            if worst < MIN_AGREEMENT:
                raise MeasureError(
                    f"the timed sessions decide otherwise than plain calls of them (agreement {worst:.2f}) at batch "
                    f"{batch_size}; such times do not count."
                )
            return worst
        fewest = min(map(len, classes))
        timed = np.array([np.concatenate(batches[:fewest]) for batches in classes])
        places = np.arange(timed.shape[1]) % len(self.asked.evaluated)
        same = timed == self.asked.evaluated[places]
        agreement, flipped = float(same.mean()), int((~same.all(0)).sum())
        if agreement < MIN_AGREEMENT and flipped > MAX_FLIPPED:
            raise MeasureError(
                f"the timed sessions gave another class than the evaluated one for {flipped} of {timed.shape[1]} test "
                f"examples at batch {batch_size}; such times do not count."
            )
        return agreement

    def _times(self, own: Sequence[Timing], batch_size: int) -> Fact:
        """Raw samples and thread times, the file's own and its references'."""
        references = {
            digest: [file.by_batch[batch_size] for file in _timed_files(self.heard, digest)]
            for digest in self.asked.references.values()
        }
        cpu = _thread_times(own)
        return {
            "samples_ns": _samples(own),
            "round_call_count": self.heard.round_call_count,
            "reference_samples_ns": {digest: _samples(timings) for digest, timings in references.items()},
            "references": dict(self.asked.references),
            "thread_cpu_ns": cpu,
            "reference_thread_cpu_ns": cpu and {digest: _thread_times(found) for digest, found in references.items()},
        }

    def _gauged(self, name: str) -> list[float]:
        """One value a process, where the system tells it."""
        return [value for process in self.heard.processes if (value := getattr(process, name)) is not None]


def _samples(timings: Sequence[Timing]) -> list[Sequence[int]]:
    return [timing.samples_ns for timing in timings]


def _thread_times(timings: Sequence[Timing]) -> list[Sequence[int]] | None:
    return [timing.thread_cpu_ns for timing in timings if timing.thread_cpu_ns] or None
