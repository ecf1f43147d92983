"""The measuring program's actions other than `time`: each makes a result that is JSON of a job."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any, Callable

from kdbench.errors import MeasureError
from kdbench.measure import energy, host
from kdbench.measure.conversion import Wishes
from kdbench.measure.inputs import Inputs, load_inputs
from kdbench.measure.jobs import File, Job
from kdbench.measure.predicted import predicted
from kdbench.measure.runtimes import describe_runtime, open_session, plugins, runtime_for
from kdbench.measure.session_spec import SessionSpec

GZIP_LEVEL = 6
"""gzip's default."""
MEMORY_CALL_COUNT = 3
"""The arena has its size after the first call; two more for what is allocated lazily."""


def describe(session: SessionSpec) -> dict[str, Any]:
    """The machine and the runtime here that a session asks for."""
    runtime = describe_runtime(session)
    brought = plugins.installed()
    facts = {**host.facts(runtime), **({"plugins": brought} if brought else {})}
    return {**runtime, "facts": facts, "also": host.also(), "fingerprint": host.fingerprint(facts)}


def prove(job: Job) -> dict[str, Any]:
    """Which kernels ran on which provider in one call of each file, at each batch size; never timed."""
    inputs, runtime = load_inputs(job.inputs), runtime_for(job.session)
    feeds = {size: inputs.feeds(size, 1, job.lengths)[0] for size in job.batch_sizes}
    return _each_file(job, lambda file: runtime.prove(file.verified_path(), job.session, feeds))


def predict(job: Job, out: Path) -> dict[str, Any]:
    """Every output that the inputs' form names, for every example: float32 (N, ...) in OUT/<digest>-<number>.npy.

    Where its axis 1 varies, an output is without padding, end to end, with its offsets beside it.
    """
    inputs = load_inputs(job.inputs)
    return _each_file(job, lambda file: _predict_file(job, file, inputs, out))


def _predict_file(job: Job, file: File, inputs: Inputs, out: Path) -> dict[str, Any]:
    from kdbench.ragged import save_array

    session = open_session(file.verified_path(), job.session)
    answered = predicted(session, inputs, job.batch_size)
    paths = [out / f"{file.digest}-{number}.npy" for number in range(len(answered))]
    for path, answers in zip(paths, answered):
        save_array(path, answers)
    names = [path.name for path in paths]
    return {"providers_got": session.providers_got, "example_count": inputs.example_count, "paths": names}


def converter(session: SessionSpec) -> dict[str, Any]:
    """The versions of what converts files for a session's runtime here. Raises MeasureError where it is not there."""
    return {"converter": runtime_for(session).converter_versions()}


def convert(job: Job, out: Path) -> dict[str, Any]:
    """The only file as OUT/model.ENDING in the form that the session's runtime reads, and facts on it."""
    (file,) = job.files
    runtime = runtime_for(job.session)
    wishes = Wishes(load_inputs(job.inputs), job.batch_sizes, job.lengths, job.technique)
    made = runtime.convert(file.verified_path(), out / f"model.{runtime.artefact}", wishes)
    return {
        "digest": file.digest,
        "path": made.path.name,
        "shipped_bytes": len(made.shipped),
        "shipped_gzip_bytes": len(gzip.compress(made.shipped, compresslevel=GZIP_LEVEL, mtime=0)),
        "weight_bytes_by_dtype": dict(made.weight_bytes_by_dtype),
        "quantized_weight_fraction": made.quantized_weight_fraction,
        "notes": list(made.notes),
    }


def measure_memory(job: Job) -> dict[str, Any]:
    """Peak resident memory before the only file's session exists, and after a few calls of it."""
    (file,) = job.files
    path = file.verified_path()
    runtime = runtime_for(job.session)
    if not runtime.in_process:
        raise MeasureError(f"runtime {runtime.name} runs in another process, whose memory is not measured.")
    (feed,) = load_inputs(job.inputs).feeds(job.batch_size, 1, job.lengths)
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
    (feed,) = load_inputs(job.inputs).feeds(job.batch_size, 1, job.lengths)
    begin = time.perf_counter_ns()
    describe_runtime(job.session)
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
    """The machine's energy counter over calls of the only file, and over a while without calls just before.

    Raises MeasureError where there is no counter of what the provider runs on.
    """
    (file,) = job.files
    source = energy.open_counter(job.session.provider, job.session.provider_options())
    session = open_session(file.verified_path(), job.session)
    bound = session.bind(load_inputs(job.inputs).feeds(job.batch_size, lengths=job.lengths))
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
