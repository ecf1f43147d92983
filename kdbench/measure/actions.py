"""What the measuring program does beside timing, each action from a job to a result that is JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Callable

from kdbench.errors import MeasureError
from kdbench.measure import host
from kdbench.measure.inputs import Inputs, load_inputs
from kdbench.measure.jobs import File, Job
from kdbench.measure.proof import kernels_of_calls, summary
from kdbench.measure.sessions import OnnxruntimeSession, describe_runtime

MEMORY_CALL_COUNT = 3
"""The arena has its size after the first call; two more for what is allocated lazily."""


def describe() -> dict[str, Any]:
    """The machine and the runtime here."""
    runtime = describe_runtime()
    facts = host.facts(runtime)
    return {**runtime, "facts": facts, "also": host.also(), "fingerprint": host.fingerprint(facts)}


def prove(job: Job) -> dict[str, Any]:
    """Which kernels ran on which provider in one call of each file, at each batch size; never timed."""
    inputs = load_inputs(job.inputs)
    return _each_file(job, lambda file: _prove_file(job, file, inputs))


def _prove_file(job: Job, file: File, inputs: Inputs) -> dict[str, Any]:
    path = file.verified_path()
    with tempfile.TemporaryDirectory() as folder:
        session = OnnxruntimeSession(path, job.session, profile_prefix=str(Path(folder) / "profile"))
        for batch_size in job.batch_sizes:
            (feed,) = inputs.feeds(batch_size, most=1)
            session.run(feed)  # the first call of a shape may still build or tune its kernels
            session.run_checked(feed)
        calls = kernels_of_calls(json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")))
    return {
        "providers_got": session.providers_got,
        "assigned_node_count_by_provider": session.assigned_node_count_by_provider(),
        "by_batch": {str(size): summary(kernels) for size, kernels in zip(job.batch_sizes, calls[1::2])},
    }


def predict(job: Job, out: Path) -> dict[str, Any]:
    """Every example's first output as float32, shape (N, C), in OUT/<digest>.npy."""
    inputs = load_inputs(job.inputs)
    return _each_file(job, lambda file: _predict_file(job, file, inputs, out / f"{file.digest}.npy"))


def _predict_file(job: Job, file: File, inputs: Inputs, place: Path) -> dict[str, Any]:
    import numpy

    session = OnnxruntimeSession(file.verified_path(), job.session)
    parts = [session.run_checked(feed)[0] for feed in inputs.in_order(job.batch_size)]
    numpy.save(place, numpy.concatenate(parts).astype(numpy.float32))
    return {"providers_got": session.providers_got, "example_count": inputs.example_count, "path": place.name}


def measure_memory(job: Job) -> dict[str, Any]:
    """Peak resident memory before the only file's session exists, and after a few calls of it."""
    (file,) = job.files
    path = file.verified_path()
    (feed,) = load_inputs(job.inputs).feeds(job.batch_size, most=1)
    host.reset_peak_rss()  # else the whole .npz, read a moment ago, would hide the session
    import_rss_bytes = host.peak_rss_bytes()
    session = OnnxruntimeSession(path, job.session)
    for _ in range(MEMORY_CALL_COUNT):
        session.run(feed)
    return {
        "digest": file.digest,
        "providers_got": session.providers_got,
        "batch_size": job.batch_size,
        "import_rss_bytes": import_rss_bytes,
        "peak_rss_bytes": host.peak_rss_bytes(),
    }


def _each_file(job: Job, work: Callable[[File], dict[str, Any]]) -> dict[str, Any]:
    """Every file's result, or the sentence that says why it has none."""
    entries = []
    for file in job.files:
        try:
            entries.append({"digest": file.digest, **work(file)})
        except MeasureError as error:
            entries.append({"digest": file.digest, "error": str(error)})
    return {"files": entries}
