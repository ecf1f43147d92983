"""What the measuring program does beside timing, each action from a job to a result that is JSON."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

from kdbench.errors import MeasureError
from kdbench.measure import energy, host
from kdbench.measure.execution_proof import (
    Kernel,
    effective_precision,
    kernels_of_calls,
    least_disturbed,
    refusal,
    summary,
)
from kdbench.measure.inputs import Inputs, load_inputs
from kdbench.measure.jobs import File, Job
from kdbench.measure.runtimes import open_session, plugins, session_class
from kdbench.measure.runtimes.onnxruntime import OnnxruntimeSession, describe_runtime

PROOF_CALL_COUNT = 4
"""Of one shape: the first may still build or tune kernels, and of the others the least disturbed one is the proof."""

MEMORY_CALL_COUNT = 3
"""The arena has its size after the first call; two more for what is allocated lazily."""


def describe(provider: str = "cpu") -> dict[str, Any]:
    """The machine and the runtime here that has a provider."""
    runtime = describe_runtime(provider)
    brought = plugins.installed()
    facts = {**host.facts(runtime), **({"plugins": brought} if brought else {})}
    return {**runtime, "facts": facts, "also": host.also(), "fingerprint": host.fingerprint(facts)}


def prove(job: Job) -> dict[str, Any]:
    """Which kernels ran on which provider in one call of each file, at each batch size; never timed."""
    inputs = load_inputs(job.inputs)
    return _each_file(job, lambda file: _prove_file(job, file, inputs))


def _prove_file(job: Job, file: File, inputs: Inputs) -> dict[str, Any]:
    path = file.verified_path()
    if session_class(job.session.provider) is not OnnxruntimeSession:
        return _prove_for_reference(job, path, inputs)
    with tempfile.TemporaryDirectory() as folder:
        session = OnnxruntimeSession(path, job.session, profile_prefix=str(Path(folder) / "profile"))
        for batch_size in job.batch_sizes:
            (feed,) = inputs.feeds(batch_size, most=1)
            for _ in range(PROOF_CALL_COUNT):
                session.run_checked(feed)
        calls = kernels_of_calls(json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")))
    by_batch = {}
    for number, size in enumerate(job.batch_sizes):
        later = calls[number * PROOF_CALL_COUNT + 1 : (number + 1) * PROOF_CALL_COUNT]
        by_batch[str(size)] = _proof(session, least_disturbed(later), size)
    return {
        "provider_asked": session.provider_asked,
        "provider_options": job.session.provider_options(),
        "providers_got": session.providers_got,
        "assigned_node_count_by_provider": session.assigned_node_count_by_provider(),
        "by_batch": by_batch,
    }


def _prove_for_reference(job: Job, path: str, inputs: Inputs) -> dict[str, Any]:
    """In another runtime a file is run whole or not at all: there is no second provider, and no profile of any."""
    session = session_class(job.session.provider)(path, job.session)
    feeds = {size: inputs.feeds(size, most=1)[0] for size in job.batch_sizes}
    return {
        "provider_asked": session.provider_asked,
        "provider_options": job.session.provider_options(),
        "providers_got": session.providers_got,
        "by_batch": {str(size): session.prove(feed) for size, feed in feeds.items()},
    }


def _proof(session: OnnxruntimeSession, kernels: list[Kernel], batch_size: int) -> dict[str, Any]:
    """One call's proof. Raises MeasureError where the asked provider did not do the work."""
    assigned = session.assigned_operators()
    reason = refusal(session.asked, kernels, assigned)
    if reason is not None:
        raise MeasureError(f"{reason} (batch size {batch_size}).")
    return {
        **summary(kernels),
        "assigned_node_count_by_provider": session.assigned_node_count_by_provider(),
        "effective_precision": effective_precision(session.asked, kernels, assigned),
    }


def predict(job: Job, out: Path) -> dict[str, Any]:
    """Every example's first output as float32, shape (N, C), in OUT/<digest>.npy."""
    inputs = load_inputs(job.inputs)
    return _each_file(job, lambda file: _predict_file(job, file, inputs, out / f"{file.digest}.npy"))


def _predict_file(job: Job, file: File, inputs: Inputs, place: Path) -> dict[str, Any]:
    import numpy

    session = open_session(file.verified_path(), job.session)
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
    session = open_session(path, job.session)
    for _ in range(MEMORY_CALL_COUNT):
        session.run(feed)
    return {
        "digest": file.digest,
        "providers_got": session.providers_got,
        "batch_size": job.batch_size,
        "import_rss_bytes": import_rss_bytes,
        "peak_rss_bytes": host.peak_rss_bytes(),
    }


def time_start(job: Job) -> dict[str, Any]:
    """From an interpreter with numpy to the first answer of the only file: the runtime's import, the load, one call.

    The file was read once just before, so its bytes come from the system's cache.
    """
    (file,) = job.files
    path = file.verified_path()
    (feed,) = load_inputs(job.inputs).feeds(job.batch_size, most=1)
    begin = time.perf_counter_ns()
    describe_runtime(job.session.provider)
    imported = time.perf_counter_ns()
    session = open_session(path, job.session)
    loaded = time.perf_counter_ns()
    session.run(feed)
    answered = time.perf_counter_ns()
    return {
        "digest": file.digest,
        "providers_got": session.providers_got,
        "batch_size": job.batch_size,
        "runtime_import_ns": imported - begin,
        "load_ns": loaded - imported,
        "first_inference_ns": answered - loaded,
    }


def measure_energy(job: Job) -> dict[str, Any]:
    """What the machine's counter read over calls of the only file, and over a while without calls just before.

    Raises MeasureError where there is no counter of what the provider runs on.
    """
    (file,) = job.files
    source = energy.open_counter(job.session.provider, job.session.provider_options())
    session = open_session(file.verified_path(), job.session)
    bound = session.bind(load_inputs(job.inputs).feeds(job.batch_size))
    spent = energy.spend(bound, source, job.rule, job.idle_ns)
    return {"digest": file.digest, "counter": source.name, "batch_size": job.batch_size, **spent}


def _each_file(job: Job, work: Callable[[File], dict[str, Any]]) -> dict[str, Any]:
    """Every file's result, or the sentence that says why it has none."""
    entries = []
    for file in job.files:
        try:
            entries.append({"digest": file.digest, **work(file)})
        except MeasureError as error:
            entries.append({"digest": file.digest, "error": str(error)})
    return {"files": entries}
