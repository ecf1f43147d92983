"""What is measured of one file in processes of its own: peak memory, start, energy. It makes no fact of it."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError
from kdbench.measure import energy as counters
from kdbench.measure.providers import TABLE
from kdbench.stages._session import Answer, ask
from kdbench.stages.work import Work

STARTS = 3
"""Fresh processes that time one file's start, as few as an interval can be made of."""
ENERGY_PROCESSES = 3
ENERGY_NS = 2_000_000_000
"""Of calls in each: NVML's counter steps about ten times a second, which is 5 % of two."""
IDLE_NS = 1_000_000_000

File = dict[str, str]
"""A job's entry: digest and path."""
Several = list[Answer] | MeasureError
"""The answers of a file's processes, or why there are none."""


def memory(work: Work, files: list[File], inputs: str) -> dict[tuple[str, int], Answer | MeasureError]:
    """(digest, batch size) -> the answer of a process of its own; several at a time, as nothing is timed."""

    def peak(job: tuple[File, int]) -> Answer | MeasureError:
        file, batch_size = job
        folder = work.out / f"memory-{file['digest'][:16]}-{batch_size}"
        try:
            return ask(work, "memory", folder, files=[file], inputs=inputs, batch_size=batch_size)
        except MeasureError as error:
            return error

    jobs = [(file, batch_size) for file in files for batch_size in work.spec.settings["batch_sizes"]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return {(file["digest"], size): answer for (file, size), answer in zip(jobs, pool.map(peak, jobs), strict=True)}


def start(work: Work, files: list[File], inputs: str) -> dict[str, Several]:
    """Digest -> the answers of STARTS processes at the first batch size, one process at a time.

    Where the provider builds engines there is one process more, the first: it found no engine of this file.
    """
    batch_size = work.spec.settings["batch_sizes"][0]
    cached = _keeps_engines(work.spec.settings["target"]["session"])
    found: dict[str, Several] = {}
    for file in files:
        folder = work.out / f"start-{file['digest'][:16]}"
        fields: dict[str, Any] = {"files": [file], "inputs": inputs, "batch_size": batch_size}
        if cached:
            engines = work.out / f"engine-{file['digest'][:16]}"
            engines.mkdir()
            fields["engine_cache"] = str(engines)
        found[file["digest"]] = _repeated(work, "start", folder, STARTS + cached, fields)
    return found


def energy(work: Work, files: list[File], inputs: str) -> dict[tuple[str, int], Several]:
    """(digest, batch size) -> the answers of ENERGY_PROCESSES processes, one at a time; empty without a counter."""
    provider = work.spec.settings["target"]["session"]["provider"]
    name, reason = counters.counter(provider)
    if name is None and files:
        work.log.info("no energy is measured: %s", reason)
    found: dict[tuple[str, int], Several] = {}
    for file in files if name is not None else ():
        for batch_size in work.spec.settings["batch_sizes"]:
            folder = work.out / f"energy-{file['digest'][:16]}-{batch_size}"
            fields = {"files": [file], "inputs": inputs, "batch_size": batch_size}
            window = {"min_ns": ENERGY_NS, "idle_ns": IDLE_NS}
            answers = _repeated(work, "energy", folder, ENERGY_PROCESSES, {**fields, **window})
            found[file["digest"], batch_size] = answers
    return found


def _repeated(work: Work, action: str, folder: Path, count: int, fields: dict[str, Any]) -> Several:
    try:
        return [ask(work, action, folder, **fields) for _ in range(count)]
    except MeasureError as error:
        return error


def _keeps_engines(session: dict[str, Any]) -> bool:
    """Whether the provider builds an engine of a file and can keep it, and the suite did not say itself where."""
    provider = TABLE.get(session["provider"])
    options = provider.engine_cache if provider else {}
    return bool(options) and not options.keys() & session.get("options", {}).keys()
