"""LiteRT files of a results folder timed on an Android phone; the rows come into the same folder."""

import datetime
import hashlib
import itertools
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.bundle.adb import Phone, Timed, named
from kdbench.bundle.compose import Home, home
from kdbench.bundle.kept import keep
from kdbench.errors import StoreError, UnknownName, nearest
from kdbench.evidence import read_results
from kdbench.files import sha256_of
from kdbench.measure.device.command import device_target
from kdbench.measure.host import fingerprint
from kdbench.measure.provider import LITERT
from kdbench.measure.runtimes.litert_converter import ENDING
from kdbench.results.devices import DeviceRun
from kdbench.results.folder import Results
from kdbench.results.records import Environment, Latency, Record, Size
from kdbench.results.task_json import read_task

PROVIDER = "XNNPACK"
BUILT_IN = "LiteRT's own kernels"
NOTE = "benchmark_model on the phone, inputs of its own making: no accuracy was measured there; a sample is the mean of"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is asked of a phone."""

    program: Path
    """LiteRT's benchmark_model for the phone's processor."""
    target: str | None = None
    """The target whose files are carried; by default the only one of LiteRT."""
    device: str | None = None
    """What tables call the phone; by default its model."""
    threads: int | None = None
    processes: int = 5
    runs: int = 50
    """Calls in a process; the program tells their mean alone."""


def time_on_phone(folder: Path, phone: Phone, plan: Plan, say: Say = lambda what: None) -> str:
    """Time every file of a LiteRT target on the phone and keep the rows; the new target's id.

    Raises MeasureError where the phone fails, StoreError where the folder has no such files or cannot be written.
    """
    results = read_results(folder)
    target = _target(results, plan.target)
    said = results.plan.measured(target)
    threads: int = plan.threads or said["session"]["threads_intra"]
    session = {"provider": "litert", "threads_intra": threads, "threads_inter": 1, "precision": "fp32"}
    facts = {**phone.facts(), "runtime": LITERT, "program_sha256": sha256_of(plan.program)}
    device = plan.device or named(facts)
    sizes = {size.onnx_sha256: size for size in results.of(Size) if size.target == target and size.artefact == ENDING}
    batches = tuple(said["batch_sizes"])
    begun = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    run = DeviceRun(
        target=device_target(device, session),
        device=device,
        bundle=hashlib.sha256(json.dumps([sorted(sizes), facts, begun]).encode()).hexdigest(),
        fingerprint=fingerprint(facts),
        facts=facts,
        session=session,
        batch_sizes=batches,
        example_count=0,
        split_example_count=read_task(folder).description.example_counts["test"],
        record_sha256="",
    )
    timed = _Passage(phone, plan, threads, say).run(results, sizes, batches)
    suite, here = results.plan.suite, run.fingerprint
    machine = Environment(suite=suite, key=here, fingerprint=here, facts=facts, also={"begun": begun})
    lines = [machine, *_rows(home(results), results, target, run, timed, plan.runs)]
    try:
        keep(folder, run, lines)
    except OSError as error:
        raise StoreError(f"cannot write '{folder}' ({error.strerror}); make room, then time again.") from None
    return run.target


def _target(results: Results, asked: str | None) -> str:
    known = list(dict.fromkeys(size.target for size in results.of(Size) if size.artefact == ENDING and size.target))
    if asked is not None and asked not in known:
        raise UnknownName(f"there is no target '{asked}' with LiteRT files. {nearest(asked, known)}")
    if not known:
        raise StoreError(f"'{results.folder}' has no LiteRT files; measure with `provider: litert` in the suite first.")
    return asked or known[0]


Key = tuple[str, int]
"""(digest of a file, batch size)."""


@dataclass
class _Passage:
    """One pass: all files at all batch sizes, process after process, in turns."""

    phone: Phone
    plan: Plan
    threads: int
    say: Say

    def run(self, results: Results, sizes: Mapping[str, Size], batches: tuple[int, ...]) -> dict[Key, list[Timed]]:
        """The runs of the program by file and batch size, one a process."""
        program = self.phone.push(self.plan.program, "benchmark_model", executable=True)
        try:
            places = dict(self._pushed(results, sizes, batches))
            found: dict[Key, list[Timed]] = {key: [] for key in places}
            for process in range(self.plan.processes):
                order = list(places) if process % 2 == 0 else list(reversed(places))
                for key in order:
                    found[key].append(self.phone.benchmark(program, places[key], self.threads, self.plan.runs))
                self.say(f"[{process + 1}/{self.plan.processes}] {len(order)} files timed")
            return found
        finally:
            self.phone.clean()

    def _pushed(
        self, results: Results, sizes: Mapping[str, Size], batches: tuple[int, ...]
    ) -> Iterator[tuple[Key, str]]:
        with tempfile.TemporaryDirectory() as scratch:
            for (digest, size), batch in itertools.product(sizes.items(), batches):
                path = results.file(size.onnx_path)
                if path is None or sha256_of(path) != digest:
                    raise StoreError(f"'{results.folder}' lacks '{size.onnx_path}' as it was measured; run it again.")
                with zipfile.ZipFile(path) as archive:
                    inner = Path(archive.extract(f"batch-{batch}.tflite", scratch))
                yield (digest, batch), self.phone.push(inner, f"{digest[:16]}-{batch}.tflite")


def _rows(
    known: Home, results: Results, target: str, run: DeviceRun, timed: Mapping[Key, list[Timed]], runs: int
) -> Iterator[Record]:
    """A latency for each row of the target whose files were carried, beside those that it was timed beside at home."""
    for size in results.of(Size):
        if size.target != target or (size.onnx_sha256, run.batch_sizes[0]) not in timed:
            continue
        beside = known.references.get((size.case, size.seed), {})
        for batch in run.batch_sizes:
            own = timed[size.onnx_sha256, batch]
            references = {role: digest for role, digest in beside.items() if (digest, batch) in timed}
            yield Latency(
                **_labels(size, run),
                provider_asked=PROVIDER,
                providers_got=(PROVIDER,),
                node_count_by_provider=_nodes(own),
                execution_note=f"{NOTE} {runs} calls",
                runtime=LITERT,
                runtime_version=f"benchmark_model {run.facts['program_sha256'][:12]}",
                precision="fp32",
                batch_size=batch,
                threads_intra=run.session["threads_intra"],
                threads_inter=1,
                load_ns=tuple(round(1000 * one.init_us) for one in own),
                first_inference_ns=tuple(round(1000 * one.first_us) for one in own),
                samples_ns=_samples(own),
                reference_samples_ns={digest: _samples(timed[digest, batch]) for digest in references.values()},
                references=references,
            )


def _labels(size: Size, run: DeviceRun) -> dict[str, Any]:
    return {
        **{name: getattr(size, name) for name in ("suite", "case", "seed", "created_utc", "lineage", "steps")},
        **{"key": run.key, "target": run.target, "fingerprint": run.fingerprint},
    }


def _samples(timed: list[Timed]) -> tuple[tuple[int, ...], ...]:
    return tuple((round(1000 * one.mean_us),) for one in timed)


def _nodes(timed: list[Timed]) -> dict[str, int]:
    taken = next((one.delegated_nodes for one in timed if one.delegated_nodes is not None), None)
    if taken is None:
        return {}
    return {PROVIDER: taken[0], **({BUILT_IN: taken[1] - taken[0]} if taken[1] > taken[0] else {})}
