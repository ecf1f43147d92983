"""`kdbench merge`: puts a device's record into a results folder, after checking that it belongs there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.bundle.answers import Answers, Header, Predicted
from kdbench.bundle.compose import Composer, Home, home
from kdbench.bundle.judged import Judge
from kdbench.bundle.kept import keep
from kdbench.errors import KdbenchError, RecordError, StoreError, Unreadable
from kdbench.evidence import read_results
from kdbench.files import npz_bytes, sha256_of, slug, write_whole
from kdbench.measure import jobs
from kdbench.measure.decisions import alike, differing
from kdbench.measure.device.command import DEVICE, device_target
from kdbench.measure.device.record_file import Recorded, read_record
from kdbench.measure.host import fingerprint
from kdbench.measure.target_id import HERE
from kdbench.protocols import TaskDescription
from kdbench.results import records
from kdbench.results.devices import FOLDER, DeviceRun, device_records, device_runs
from kdbench.results.records import Failed, Record, labelled
from kdbench.results.sample import Sample, read_sample
from kdbench.results.task_json import read_task

OF_THE_RUNTIME = ("runtime", "runtime_version", "runtime_build", "precision_flags")
"""Facts that depend on the runtime; all others are those of the machine, and tell machines apart."""


@dataclass(frozen=True)
class Merging:
    """The result of a merge."""

    target: str
    row_count: int
    failed_count: int
    """Rows of which something failed there."""
    changed: bool
    """False where exactly this record was merged before."""
    warnings: tuple[str, ...]


def merge(folder: Path, path: Path, device: str | None = None) -> Merging:
    """Add a record to a results folder; `device` renames it. Merging the same record again changes nothing.

    Raises RecordError where the record is damaged, of another version, another suite or other models, or its device's
    name already stands for something else; StoreError where the folder is not as its run left it.
    """
    results, task = read_results(folder), read_task(folder)
    recorded = read_record(path)
    answers = Answers(recorded, str(path))
    header = answers.header
    name = device or header.device
    _check_header(header, name, path)
    if header.suite != results.plan.suite:
        raise RecordError(f"{path} is of suite '{header.suite}', '{folder}' holds '{results.plan.suite}'.")
    sample = _sample(read_sample(results, task), header, folder, path)
    known = home(results)
    judge = Judge.of(results, task.description, sample)
    _check_files(known, answers, judge, path)
    run = _run(header, name, len(sample.index), task.description.example_counts["test"], path)
    others = device_runs(folder)
    _check_others(run, others)
    if run in others and _is_merged(folder, run):
        return Merging(run.target, *_counts(device_records(folder, run)), False, ())
    lines = _keep(folder, run, known, answers, judge)
    return Merging(run.target, *_counts(lines), True, _warnings(recorded, answers, known, judge.task))


def _check_header(header: Header, device: str, path: Path) -> None:
    """Check the header's consistency before any of its values names a file. Raises RecordError."""
    if fingerprint(header.facts) != header.fingerprint:
        raise RecordError(f"{path}:1: this record was changed after it was written: its fingerprint is another.")
    if not DEVICE.fullmatch(device) or device == HERE:
        raise RecordError(
            f"'{device}' cannot be a device's name: up to 40 lower-case letters, digits and . _ -, and not "
            f"'{HERE}'; give another with --device."
        )
    try:
        jobs.make_job({"schema": jobs.SCHEMA, "action": "describe", **header.session})
    except KdbenchError as error:
        raise RecordError(f"{path}:1: {error}") from None
    if header.target != device_target(header.device, header.session):
        raise RecordError(f"{path}:1: this record was changed after it was written: its target is another.")


def _sample(kept: Sample, header: Header, folder: Path, path: Path) -> Sample:
    """The examples that the device answered."""
    if header.sample.digest != kept.digest:
        raise RecordError(
            f"{path} comes from a bundle of other data than '{folder}' holds; merge it into the folder it was made of."
        )
    if header.sample.example_count > len(kept.index):
        raise RecordError(f"{path}:1: this record is damaged: it has more examples than the sample.")
    return kept.part(header.sample.example_count)


def _check_files(known: Home, answers: Answers, judge: Judge, path: Path) -> None:
    unknown = sorted(answers.digests - known.sizes.keys())
    if unknown:
        raise RecordError(
            f"{path}: the model {unknown[0][:16]} is none of this folder's{_others(unknown)}; the suite was run again "
            "since: bundle it anew and run that on the device."
        )
    for digest, predicted in answers.predicted.items():
        if not isinstance(predicted, Predicted):
            continue
        try:
            fault = judge.fault(predicted)
        except Unreadable as error:
            fault = f"has answers that cannot be read ({error})"
        if fault is not None:
            raise RecordError(f"{path}: this record is damaged: the model {digest[:16]} {fault}.")
    if not answers.predicted:
        raise RecordError(f"{path} holds no answer yet; let the bundle run on.")


def _others(unknown: Sequence[str]) -> str:
    return f", nor are {len(unknown) - 1} more" if len(unknown) > 1 else ""


def _run(header: Header, device: str, examples: int, of: int, path: Path) -> DeviceRun:
    return DeviceRun(
        target=device_target(device, header.session),
        device=device,
        bundle=header.bundle,
        fingerprint=header.fingerprint,
        facts=header.facts,
        session=header.session,
        batch_sizes=header.measure.batch_sizes,
        example_count=examples,
        split_example_count=of,
        record_sha256=sha256_of(path),
    )


def _check_others(run: DeviceRun, others: Sequence[DeviceRun]) -> None:
    """Raise RecordError where the device's name is another machine's here, or its target was measured otherwise."""
    for other in others:
        if other.device == run.device and _machine(other.facts) != _machine(run.facts):
            raise RecordError(
                f"the device '{run.device}' is another machine here already ({other.facts.get('cpu')}); name this one "
                "with --device."
            )
        if other.target != run.target:
            continue
        differing = [
            words
            for words, name in (("runtime", "fingerprint"), ("session", "session"), ("examples", "example_count"))
            if getattr(other, name) != getattr(run, name)
        ]
        if differing:
            raise RecordError(
                f"{run.target} is here already with another {' and '.join(differing)}; name this one with --device, or "
                f"remove {FOLDER}/{other.stem}.json and run the suite again to replace it."
            )


def _machine(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name not in OF_THE_RUNTIME}


def _is_merged(folder: Path, run: DeviceRun) -> bool:
    """Whether the folder's records hold this run already."""
    found = records.read(folder / "records.jsonl")
    return any((record.target, record.key) == (run.target, run.key) for record in labelled(found))


def _keep(folder: Path, run: DeviceRun, known: Home, answers: Answers, judge: Judge) -> list[Record]:
    """Write the predictions, then what `kept.keep` writes: a kill between them is mended by merging again."""
    found = {digest: each for digest, each in answers.predicted.items() if isinstance(each, Predicted)}
    paths = {digest: f"{FOLDER}/{run.stem}/{slug(digest[:16])}.npz" for digest in found}
    composer = Composer(
        home=known,
        answers=answers,
        target=run.target,
        key=run.key,
        judge=judge,
        split_example_count=run.split_example_count,
        predictions={digest: judge.predictions(predicted) for digest, predicted in found.items()},
        paths=paths,
    )
    lines = composer.records()
    try:
        for digest, kept in composer.predictions.items():
            write_whole(folder / paths[digest], npz_bytes(kept))
        keep(folder, run, lines)
    except OSError as error:
        raise StoreError(f"cannot write '{folder}' ({error.strerror}); make room, then merge again.") from None
    return lines


def _counts(lines: Sequence[Record]) -> tuple[int, int]:
    """Rows, and those of them of which something failed."""
    rows = {(line.case, line.seed) for line in labelled(lines)}
    failed = {(line.case, line.seed) for line in labelled(lines) if isinstance(line, Failed)}
    return len(rows), len(failed)


def _warnings(recorded: Recorded, answers: Answers, known: Home, task: TaskDescription) -> tuple[str, ...]:
    """Sentences for the reader of the merged table: an unfinished run, answers that differ from those at home."""
    found = []
    if not recorded.finished:
        found.append("the run was stopped before its end; what was finished is merged.")
    for digest, predicted in answers.predicted.items():
        size = known.sizes[digest][0]
        compared = predicted.outputs if isinstance(predicted, Predicted) else ()
        for number, (output, near) in enumerate(zip(task.outputs, compared, strict=False)):
            if not alike(output.kind, near.agreement_fraction):
                found.append(
                    f"{size.case}, seed {size.seed}, {differing(output.kind, near.agreement_fraction)} there than here"
                    f"{f' ({output.name})' if number else ''} (largest difference of an output "
                    f"{near.max_abs_difference:.2g})."
                )
    return tuple(found)
