"""`kdbench bundle`: packs models, inputs, expected outputs and the measuring program into one file. The same results
always give the same bytes."""

import dataclasses
import hashlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kdbench import __version__
from kdbench.bundle.expected import Entries, carried_outputs, check_answers
from kdbench.bundle.rows import File, choose_target, chosen_files, groups
from kdbench.errors import MeasureError, StoreError
from kdbench.evidence import Results, read_results
from kdbench.files import npz_bytes, write_archive
from kdbench.measure import program
from kdbench.measure.client import Client
from kdbench.measure.device.answered import Carried, expected_entries
from kdbench.measure.device.bundle_file import FOLDER, MANIFEST, SCHEMA
from kdbench.measure.device.run import STARTS
from kdbench.measure.form import ENTRY
from kdbench.protocols import TaskDescription
from kdbench.results.records import Latency
from kdbench.results.sample import Sample, read_sample
from kdbench.results.task_json import read_task
from kdbench.results.trust import NOTHING, Confirmed
from kdbench.stages.evaluate import PREDICTION_BATCH
from kdbench.stages.measure import rule as timing_rule
from kdbench.stats import median_of_process_medians
from kdbench.suite.form import MeasureEntry
from kdbench.tasks.examples import form, lengths_to_measure

MOST_BYTES = 2**31 - 2**26
"""The most that the models may take: zipfile writes archives over 2 GiB in a form that no Python before 3.13 starts
(python/cpython#89739)."""

SETTINGS = ("processes", "calls", "seconds", "memory", "start")
"""Fields of a suite's measure entry that hold on a device too."""

PLAIN = {"provider": "cpu", "threads_intra": 1, "threads_inter": 1, "graph_optimization": "all", "precision": "fp32"}
"""How expected outputs are computed, and how the device runs files where nothing else is asked."""

START = """import sys

if sys.version_info < (3, 9):
    sys.stderr.write("this bundle needs Python 3.9 or newer, this is %s.\\n" % sys.version.split()[0])
    sys.exit(2)

from kdbench.measure.device.command import main

sys.exit(main(sys.argv[0], sys.argv[1:], "{digest}"))
"""
"""The bundle's __main__.py, which any Python can read; the digest is the manifest's."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What to bundle of a results folder; by default everything."""

    cases: Sequence[str] = ()
    seeds: Sequence[str] = ()
    batch_sizes: Sequence[int] = ()
    lengths: Sequence[int] = ()
    target: str | None = None
    examples: int | None = None


@dataclass(frozen=True)
class Bundled:
    """A bundle that was written."""

    path: Path
    digest: str
    byte_count: int
    model_count: int
    row_count: int
    example_count: int
    process_count: int
    """How many fresh processes the device starts."""
    seconds: float
    """What timed calls take on a device as fast as this one; starting processes comes on top."""
    notes: tuple[str, ...]


def bundle(folder: Path, out: Path, asked: Asked | None = None, confirmed: Confirmed = NOTHING) -> Bundled:
    """Write `out` from a results folder alone; `confirmed` is what the user says of how its targets are measured.

    Raises UnknownName for cases, seeds and targets that it lacks, StoreError where its files are not as recorded or
    answer otherwise here, MeasureError where they do not run.
    """
    asked = asked or Asked()
    results, task = read_results(folder), read_task(folder)
    target = choose_target(results, asked.target)
    session = confirmed.session(target, results.plan.measured(target), str(folder)) or PLAIN
    if session.get("runtime"):
        raise StoreError(
            f"{target} runs files in {session['runtime']}, and a bundle carries onnxruntime's sessions only; name "
            "another target with --target."
        )
    files = chosen_files(results, target, asked.cases, asked.seeds)
    sample = read_sample(results, task).part(asked.examples)
    inputs = npz_bytes({**sample.inputs.entries(), ENTRY: form(task.description).array()})
    outputs = carried_outputs(task.description, len(sample.index))
    expected = _expected(files, inputs, outputs)
    notes = check_answers(results, target, files, sample, expected)
    lengths = _lengths(results, target, task.description, asked.lengths)
    if sum(file.path.stat().st_size for file in files) > MOST_BYTES:
        raise StoreError(
            "these models take more than the 2 GB that Python starts from one file; name fewer with --case."
        )
    wanted = {digest: npz_bytes(entries) for digest, entries in expected.items()}
    carried = {file.digest: file.path.read_bytes() for file in files}
    carried |= {_sha256(data): data for data in (inputs, *wanted.values())}
    said = {
        **_manifest(results, files, sample, session),
        "models": [{"digest": f.digest, "expected": _sha256(wanted[f.digest]), "rows": f.rows} for f in files],
        "outputs": [dataclasses.asdict(output) for output in outputs],
        "measure": _measure(results, target, files, asked.batch_sizes, lengths),
    }
    said["files"] = {digest: len(data) for digest, data in sorted(carried.items())}
    said["sample"]["inputs"] = _sha256(inputs)
    manifest = json.dumps(said, indent=1, sort_keys=True, allow_nan=False).encode()
    _write(out, manifest, carried)
    return Bundled(
        path=out,
        digest=_sha256(manifest),
        byte_count=out.stat().st_size,
        model_count=len(files),
        row_count=sum(len(file.rows) for file in files),
        example_count=len(sample.index),
        process_count=_process_count(said),
        seconds=said["measure"]["seconds"],
        notes=tuple(notes),
    )


def _process_count(said: Json) -> int:
    measure, models = said["measure"], len(said["models"])
    memory = models * len(measure["batch_sizes"]) if measure["memory"] else 0
    processes: int = measure["processes"]
    timed = memory + len(said["groups"]) * (1 + processes)
    return models + STARTS * len(measure["start"]) + len(measure["lengths"]) * timed


def _expected(files: Sequence[File], inputs: bytes, outputs: Sequence[Carried]) -> dict[str, Entries]:
    """Digest -> answers as onnxruntime's CPU provider gives them here, in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        (place / "inputs.npz").write_bytes(inputs)
        paths = {file.digest: file.path for file in files}
        answers = Client(place, PLAIN).predict(paths, place / "inputs.npz", PREDICTION_BATCH)
        found: dict[str, Entries] = {}
        for digest, answer in answers.items():
            if isinstance(answer, MeasureError):
                raise answer
            found[digest] = expected_entries(outputs, answer.outputs())
        return found


def _lengths(results: Results, target: str, task: TaskDescription, asked: Sequence[int]) -> list[dict[str, int]]:
    """The lengths that the device measures at: those asked for, else those of the target's own timings."""
    timed = [dict(record.lengths) for record in results.of(Latency) if record.target == target]
    known = [lengths for place, lengths in enumerate(timed) if lengths not in timed[:place]]
    return lengths_to_measure(task, asked) if asked or not known or not task.axes else known


def _manifest(results: Results, files: Sequence[File], sample: Sample, session: Json) -> Json:
    """What the manifest says beside the digests of its files and what is measured."""
    return {
        "schema": SCHEMA,
        "kdbench": __version__,
        "suite": results.plan.suite,
        "groups": groups(files),
        "sample": {"digest": sample.digest, "example_count": len(sample.index), "batch_size": PREDICTION_BATCH},
        "session": session,
        "program": {name: _sha256(data) for name, data in program.sources().items()},
    }


def _measure(
    results: Results,
    target: str,
    files: Sequence[File],
    batch_sizes: Sequence[int],
    lengths: Sequence[dict[str, int]],
) -> Json:
    """What is measured, as the target's entry in the suite says it."""
    entry = results.plan.measured(target)
    default = MeasureEntry(provider="cpu")
    sizes = list(batch_sizes or entry.get("batch_sizes") or default.batch_sizes)
    settings = {name: entry.get(name, getattr(default, name)) for name in SETTINGS}
    rule, processes = timing_rule(settings), settings["processes"]
    return {
        "batch_sizes": sizes,
        "lengths": list(lengths),
        "processes": processes,
        "memory": settings["memory"],
        "start": _first_of_cases(files) if settings["start"] else [],
        "rule": rule,
        "seconds": processes * len(files) * len(sizes) * len(lengths) * _seconds(results, target, sizes, rule),
    }


def _first_of_cases(files: Sequence[File]) -> list[str]:
    """One file a case, that of its first seed: seeds differ in weights, which do not change how long a start takes."""
    first: dict[str, tuple[int, str]] = {}
    for file in files:
        for case, seed in file.rows:
            first[case] = min(first.get(case, (seed, file.digest)), (seed, file.digest))
    return list(dict.fromkeys(digest for _, digest in first.values()))


def _seconds(results: Results, target: str, sizes: Sequence[int], rule: dict[str, int]) -> float:
    """Seconds that a process here takes to time one file at one batch size, on average; at least what the rule asks."""
    timed = [r for r in results.of(Latency) if r.target == target and r.batch_size in sizes and r.samples_ns]
    medians = [median_of_process_medians(record.samples_ns) for record in timed]
    per_call = float(np.mean(medians)) if medians else 0.0
    return max(rule["min_calls"] * per_call, rule["min_ns"]) / 1e9


def _write(out: Path, manifest: bytes, carried: dict[str, bytes]) -> None:
    """The archive: everything stored, sorted and dated 1980, so that equal content is equal bytes."""
    members = {**program.sources(), MANIFEST: manifest, **{FOLDER + name: data for name, data in carried.items()}}
    members["__main__.py"] = START.replace("{digest}", _sha256(manifest)).encode()
    try:
        write_archive(out, members)
    except OSError as error:
        raise StoreError(f"cannot write '{out}' ({error.strerror}); name another file with -o.") from None


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
