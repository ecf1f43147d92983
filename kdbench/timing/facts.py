"""From what measuring processes answered to the facts of one file, or to why it has none. It starts no process."""

from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench import stats
from kdbench.errors import KdbenchError, MeasureError
from kdbench.stages._session import Answer
from kdbench.stages.work import Fact
from kdbench.timing.one_file_alone import STARTS, Several

MIN_AGREEMENT = 0.98
MAX_FLIPPED = 2
"""Test examples whose class may differ between the timed and the evaluated session, where fewer agree than the share
above. Sums of another order round differently, so a near tie flips; and dynamic quantization takes its scales from
the whole batch, which in an evaluation is another one: of 357 digits 0 to 2 flipped between batches of 64 and of 1, 8
or 32 (ten small networks, 65 to 98 % right), 0.6 % at most. A session that computes something else is far off."""

EXECUTION = (
    *("node_count_by_provider", "assigned_node_count_by_provider", "kernel_ns_by_provider"),
    *("int8_kernel_fraction", "effective_precision"),
)
ASKED = ("precision", "threads_intra", "threads_inter", "graph_optimization")
STARTED = ("runtime_import_ns", "load_ns", "first_inference_ns")
SPENT = ("call_count", "energy_uj", "wall_ns", "idle_energy_uj", "idle_wall_ns")


@dataclass(frozen=True)
class Asked:
    """What one stage asked for."""

    digest: str
    references: dict[str, str]
    """Role -> digest."""
    settings: dict[str, Any]
    evaluated: NDArray[np.int32]
    """The class that the file's evaluation gave each test example, in order."""


@dataclass(frozen=True)
class Heard:
    """What the processes of a group answered."""

    processes: list[Answer]
    """Of action `time`."""
    proof: dict[str, Answer]
    memory: dict[tuple[str, int], Answer | MeasureError]
    start: dict[str, Several]
    energy: dict[tuple[str, int], Several]
    round_call_count: int


def by_digest(answer: Answer) -> dict[str, Answer]:
    """An answer's entries of files."""
    return {entry["digest"]: entry for entry in answer["files"]}


def facts(asked: Asked, heard: Heard) -> list[Fact] | KdbenchError:
    """For each batch size a latency fact, and what was asked beside it of memory, start and energy."""
    timed = [by_digest(process) for process in heard.processes]
    try:
        for digest in (*asked.references.values(), asked.digest):
            for answer in (heard.proof, *timed):
                if "error" in answer[digest]:
                    raise MeasureError(answer[digest]["error"])
        found = []
        for batch_size in asked.settings["batch_sizes"]:
            found.append(_Latency(asked, heard, timed, batch_size).fact())
            found += _memory(asked, heard, batch_size)
            found += _energy(asked, heard, batch_size)
        return [*found, *_start(asked, heard)]
    except MeasureError as error:
        return error


def _memory(asked: Asked, heard: Heard, batch_size: int) -> list[Fact]:
    peak = heard.memory.get((asked.digest, batch_size)) if asked.settings["memory"] else None
    if isinstance(peak, MeasureError):
        raise peak
    kept = {name: peak[name] for name in ("peak_rss_bytes", "import_rss_bytes")} if peak else {}
    return [{"kind": "memory", "batch_size": batch_size, **kept}] if kept else []


def _start(asked: Asked, heard: Heard) -> list[Fact]:
    """The last STARTS processes; one before them found no engine, and took so much longer for building it."""
    answers = heard.start.get(asked.digest) if asked.settings["start"] else None
    if answers is None:
        return []
    if isinstance(answers, MeasureError):
        raise answers
    warm = answers[-STARTS:]
    fact = {"kind": "start", "batch_size": warm[0]["batch_size"]}
    fact |= {name: [answer[name] for answer in warm] for name in STARTED}
    if len(answers) > STARTS:
        built = _ready_ns(answers[0]) - median(map(_ready_ns, warm))
        fact["engine_build_ns"] = max(0, round(built))
    return [fact]


def _ready_ns(answer: Answer) -> int:
    return int(answer["load_ns"] + answer["first_inference_ns"])


def _energy(asked: Asked, heard: Heard, batch_size: int) -> list[Fact]:
    answers = heard.energy.get((asked.digest, batch_size)) if asked.settings["energy"] else None
    if answers is None:
        return []
    if isinstance(answers, MeasureError):
        raise answers
    spent = {name: [answer[name] for answer in answers] for name in SPENT}
    return [{"kind": "energy", "counter": answers[0]["counter"], "batch_size": batch_size, **spent}]


class _Latency:
    """One file at one batch size."""

    def __init__(self, asked: Asked, heard: Heard, timed: list[dict[str, Answer]], batch_size: int) -> None:
        self.asked, self.heard, self.timed, self.batch_size = asked, heard, timed, batch_size
        self.own = self._timings(asked.digest)

    def _timings(self, digest: str) -> list[Answer]:
        return [answer[digest]["by_batch"][str(self.batch_size)] for answer in self.timed]

    def fact(self) -> Fact:
        """Raises MeasureError where the provider did not run it, or the timed calls gave other answers."""
        session = self.asked.settings["target"]["session"]
        first = self.timed[0][self.asked.digest]
        fact = {
            "kind": "latency",
            **{name: first[name] for name in ("provider_asked", "providers_got")},
            **self._execution(first["provider_asked"]),
            **{name: self.heard.processes[0][name] for name in ("runtime", "runtime_version")},
            **{name: session.get(name) for name in ASKED},
            "answers_agreement_fraction": self._agreement(),
            "batch_size": self.batch_size,
            "input_shapes": self.own[0]["input_shapes"],
            "load_ns": [answer[self.asked.digest]["load_ns"] for answer in self.timed],
            **{name: [timing[name] for timing in self.own] for name in ("first_inference_ns", "warmup_ns")},
            **self._times(),
            "repeat": self.asked.settings["repeat"],
            **self._machine(),
        }
        return {name: value for name, value in fact.items() if value is not None}

    def _execution(self, provider: str) -> Fact:
        kernels = self.heard.proof[self.asked.digest]["by_batch"][str(self.batch_size)]
        if provider not in kernels["node_count_by_provider"]:
            raise MeasureError(f"asked for {provider}, which ran none of the file's nodes at batch {self.batch_size}.")
        options = self.timed[0][self.asked.digest].get("provider_options")
        return {**{name: kernels.get(name) for name in EXECUTION}, "provider_options": options}

    def _agreement(self) -> float:
        """Share of the timed examples with the class of the evaluation, over all processes."""
        fewest = min(len(timing["classes"]) for timing in self.own)
        timed = np.array([np.concatenate(timing["classes"][:fewest]) for timing in self.own])
        places = np.arange(timed.shape[1]) % len(self.asked.evaluated)
        same = timed == self.asked.evaluated[places]
        agreement, flipped = float(same.mean()), int((~same.all(0)).sum())
        if agreement < MIN_AGREEMENT and flipped > MAX_FLIPPED:
            raise MeasureError(
                f"the timed sessions gave another class than the evaluated one for {flipped} of {timed.shape[1]} test "
                f"examples at batch {self.batch_size}; such times do not count."
            )
        return agreement

    def _times(self) -> Fact:
        """Raw samples and thread times, its own and its references'."""
        references = {digest: self._timings(digest) for digest in self.asked.references.values()}
        cpu = _thread_times(self.own)
        return {
            "samples_ns": _samples(self.own),
            "round_call_count": self.heard.round_call_count,
            "reference_samples_ns": {digest: _samples(timings) for digest, timings in references.items()},
            "references": self.asked.references,
            "thread_cpu_ns": cpu,
            "reference_thread_cpu_ns": cpu and {digest: _thread_times(found) for digest, found in references.items()},
        }

    def _machine(self) -> Fact:
        """Who else used it, and the words for what is wrong with the samples."""
        others, steal = self._gauged("other_cpu_fraction"), self._gauged("steal_fraction")
        said = [word for timing in self.own for word in timing["warnings"]]
        words = stats.instability(_samples(self.own), others, _thread_times(self.own) or (), steal)
        return {
            "load_average": self._gauged("load_average"),
            "other_cpu_fraction": others,
            "steal_fraction": steal,
            "affinity": self.heard.processes[0].get("affinity"),
            "warnings": list(dict.fromkeys([*said, *words])),
        }

    def _gauged(self, name: str) -> list[float]:
        """One a process, where the system tells it."""
        return [process[name] for process in self.heard.processes if name in process]


def _samples(timings: list[Answer]) -> list[list[int]]:
    return [timing["samples_ns"] for timing in timings]


def _thread_times(timings: list[Answer]) -> list[list[int]] | None:
    return [timing["thread_cpu_ns"] for timing in timings if timing["thread_cpu_ns"]] or None
