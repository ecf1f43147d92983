"""The measure stage: files of one target go round together; each keeps its own and its references' times."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kdbench import stats
from kdbench.errors import KdbenchError, MeasureError
from kdbench.stages._inputs import write_inputs
from kdbench.stages._session import PROGRAM, ask, pack
from kdbench.stages._work import Fact, Work, read_description
from kdbench.stages.names import ONNX_FILE
from kdbench.store import sha256_of

REFERENCES = ("baseline", "teacher")
FILES_PER_PROCESS = 40
"""So many files stay loaded together; a longer list is timed in several groups, the references in each."""
ROUNDS = 20
"""Turns that each file gets; short enough that files compared lie milliseconds apart."""

Answer = dict[str, Any]


def measure(works: list[Work]) -> dict[str, list[Fact] | KdbenchError]:
    """The facts of each stage, or why it alone has none. All works have one target."""
    results: dict[str, list[Fact] | KdbenchError] = {}
    for group in _groups([_File(work) for work in works]):
        results |= _measure_group(group)
    return results


class _File:
    """One stage's file and its references, by digest."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.digest, self.path = _file(work, "model")
        self.references = {role: _file(work, role) for role in REFERENCES if role in work.spec.inputs}

    def paths(self) -> dict[str, Path]:
        """Digest -> path of all that must take part."""
        return {**dict(self.references.values()), self.digest: self.path}


def _file(work: Work, role: str) -> tuple[str, Path]:
    path = work.input(role) / ONNX_FILE
    return sha256_of(path), path


def _groups(files: list[_File]) -> Iterator[list[_File]]:
    for start in range(0, len(files), FILES_PER_PROCESS):
        yield files[start : start + FILES_PER_PROCESS]


def _measure_group(files: list[_File]) -> dict[str, list[Fact] | KdbenchError]:
    lead = files[0].work
    paths: dict[str, Path] = {}
    for file in files:
        paths |= file.paths()
    settings = lead.spec.settings
    task = read_description(lead.input("data"))
    count = 8 * max(settings["batch_sizes"])
    inputs = write_inputs(lead.input("data"), task, "test", lead.out / "inputs.npz", count)
    shared = {"inputs": str(inputs), "batch_sizes": settings["batch_sizes"]}
    named = [{"digest": digest, "path": str(path)} for digest, path in paths.items()]
    pack(lead)
    memory = _memory(lead, named, str(inputs)) if settings["memory"] else {}
    proof = _by_digest(ask(lead, "prove", lead.out / "prove", files=named, **shared))
    processes = [
        ask(lead, "time", lead.out / f"time-{number}", files=named, process=number, **shared, **_rule(settings))
        for number in range(settings["processes"])
    ]
    _clean(lead, inputs)
    return {file.work.spec.key: _facts(file, processes, proof, memory) for file in files}


def _rule(settings: dict[str, Any]) -> dict[str, int]:
    calls = settings["calls"]
    return {"round_call_count": max(1, calls // ROUNDS), "min_calls": calls, "min_ns": round(settings["seconds"] * 1e9)}


def _memory(work: Work, files: list[dict[str, str]], inputs: str) -> dict[tuple[str, int], Answer | MeasureError]:
    """(digest, batch size) -> the answer of a process of its own; several at a time, as nothing is timed."""

    def peak(job: tuple[dict[str, str], int]) -> Answer | MeasureError:
        file, batch_size = job
        folder = work.out / f"memory-{file['digest'][:16]}-{batch_size}"
        try:
            return ask(work, "memory", folder, files=[file], inputs=inputs, batch_size=batch_size)
        except MeasureError as error:
            return error

    jobs = [(file, batch_size) for file in files for batch_size in work.spec.settings["batch_sizes"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {(file["digest"], size): answer for (file, size), answer in zip(jobs, pool.map(peak, jobs), strict=True)}


def _by_digest(answer: Answer) -> dict[str, Answer]:
    return {entry["digest"]: entry for entry in answer["files"]}


def _clean(work: Work, inputs: Path) -> None:
    """Remove what the processes wrote; all of it is in the facts."""
    for folder in work.out.iterdir():
        if folder.is_dir():
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
    work.remove([inputs.name, PROGRAM])


def _facts(
    file: _File,
    processes: list[Answer],
    proof: dict[str, Answer],
    memory: dict[tuple[str, int], Answer | MeasureError],
) -> list[Fact] | KdbenchError:
    """A latency fact for each batch size, and a memory fact where memory was asked for."""
    answers = [_by_digest(process) for process in processes]
    needed = [proof, *answers]
    for digest in file.paths():
        for answer in needed:
            if "error" in answer[digest]:
                return MeasureError(answer[digest]["error"])
    asked = answers[0][file.digest]["provider_asked"]
    facts: list[Fact] = []
    for batch_size in file.work.spec.settings["batch_sizes"]:
        if asked not in proof[file.digest]["by_batch"][str(batch_size)]["node_count_by_provider"]:
            return MeasureError(f"asked for {asked}, which ran none of the file's nodes at batch {batch_size}.")
        facts.append(_latency(file, batch_size, processes, answers, proof[file.digest]))
        peak = memory.get((file.digest, batch_size))
        if isinstance(peak, MeasureError):
            return peak
        if peak is not None:
            kept = {name: peak[name] for name in ("peak_rss_bytes", "import_rss_bytes")}
            facts.append({"kind": "memory", "batch_size": batch_size, **kept})
    return facts


def _latency(
    file: _File, batch_size: int, processes: list[Answer], answers: list[dict[str, Answer]], proof: Answer
) -> Fact:
    settings = file.work.spec.settings
    own = [answer[file.digest]["by_batch"][str(batch_size)] for answer in answers]
    samples = [timing["samples_ns"] for timing in own]
    cpu = [timing["thread_cpu_ns"] for timing in own if timing["thread_cpu_ns"]]
    others = [process["other_cpu_fraction"] for process in processes if "other_cpu_fraction" in process]
    said = [word for timing in own for word in timing["warnings"]]
    kernels = proof["by_batch"][str(batch_size)]
    first = answers[0][file.digest]
    fact = {
        "kind": "latency",
        "provider_asked": first["provider_asked"],
        "providers_got": first["providers_got"],
        "node_count_by_provider": kernels["node_count_by_provider"],
        "kernel_ns_by_provider": kernels["kernel_ns_by_provider"],
        "int8_kernel_fraction": kernels["int8_kernel_fraction"],
        "runtime": processes[0]["runtime"],
        "runtime_version": processes[0]["runtime_version"],
        "precision": settings["target"]["session"]["precision"],
        "batch_size": batch_size,
        "input_shapes": own[0]["input_shapes"],
        "threads_intra": settings["target"]["session"]["threads_intra"],
        "threads_inter": settings["target"]["session"]["threads_inter"],
        "graph_optimization": settings["target"]["session"]["graph_optimization"],
        "load_ns": [answer[file.digest]["load_ns"] for answer in answers],
        "first_inference_ns": [timing["first_inference_ns"] for timing in own],
        "warmup_ns": [timing["warmup_ns"] for timing in own],
        "samples_ns": samples,
        "round_call_count": _rule(settings)["round_call_count"],
        "reference_samples_ns": {
            digest: [answer[digest]["by_batch"][str(batch_size)]["samples_ns"] for answer in answers]
            for digest, _ in file.references.values()
        },
        "references": {role: digest for role, (digest, _) in file.references.items()},
        "thread_cpu_ns": cpu or None,
        "repeat": settings["repeat"],
        "load_average": [process["load_average"] for process in processes if "load_average" in process],
        "other_cpu_fraction": others,
        "affinity": processes[0].get("affinity"),
        "warnings": list(dict.fromkeys([*said, *stats.instability(samples, others, cpu)])),
    }
    return {name: value for name, value in fact.items() if value is not None}
