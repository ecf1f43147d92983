"""`kdbench merge FILE FILE ... -o FOLDER`: published files of several people and machines as one results folder."""

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kdbench.errors import KdbenchError, RecordError, StoreError, Unreadable
from kdbench.files import slug, whole_folder, within, write_whole
from kdbench.publish.devices import devices_of, free_name, moved_plan, moved_record
from kdbench.publish.fits import Part, check_fit
from kdbench.publish.publish import PUBLISHED, RECORDS, SUITE
from kdbench.results.folder import read_results
from kdbench.results.plan_json import RecordedCase, RecordedDevice, RecordedPlan
from kdbench.results.records import SCHEMA, Environment, Labelled, Record, Score, Size, to_lines
from kdbench.results.task_json import TASK_FILE, read_task

Names = dict[str, str]
"""The name of a device in a published file -> in the joined folder."""


@dataclass(frozen=True)
class Joined:
    """The folder that was written."""

    folder: Path
    suite: str
    targets: tuple[tuple[Path, str, int], ...]
    """For each file, its targets as they are called now, and the rows measured there."""
    notes: tuple[str, ...]


def join(paths: Sequence[Path], out: Path) -> Joined:
    """Write a results folder of everything that published files hold, by case, seed and target.

    Two machines under one name are told apart by a number. What belongs to no target, such as trainings, is that of
    the first file that has the row.

    Raises StoreError where a file is none, or `out` is not empty; RecordError where files do not belong together.
    """
    with tempfile.TemporaryDirectory(prefix="kdbench-merge-") as scratch:
        parts = [_part(path, Path(scratch) / str(number)) for number, path in enumerate(paths)]
        check_fit(parts)
        names, notes = _names(parts)
        try:
            with whole_folder(out) as folder:
                everything = _write(folder, parts, names)
        except FileExistsError:
            raise StoreError(f"'{out}' is not empty; name another folder with -o.") from None
        except OSError as error:
            raise StoreError(f"cannot write '{out}' ({error.strerror}); name another folder with -o.") from None
        rows: dict[str, set[tuple[str, int]]] = {}
        for record in everything:
            if isinstance(record, Labelled) and record.target:
                rows.setdefault(record.target, set()).add((record.case, record.seed))
        targets = [
            (part.path, target, len(rows.get(target, ())))
            for part, own in zip(parts, names, strict=True)
            for target in moved_plan(part.results, own)
        ]
        return Joined(out, parts[0].results.plan.suite, tuple(targets), (*notes, *_differences(parts)))


def _part(path: Path, folder: Path) -> Part:
    folder.mkdir()
    manifest = PUBLISHED.unpack(path, folder)
    schema = manifest.get("schema")
    if not isinstance(schema, int) or schema > SCHEMA:
        raise RecordError(
            f"'{path}' has records of schema {schema!r}, and this kdbench reads up to {SCHEMA}; use a newer kdbench."
        )
    if not isinstance(manifest.get("examples", {}), dict):
        raise PUBLISHED.damaged(path, "its manifest is not whole ('examples')")
    try:
        return Part(path, manifest, read_results(folder), read_task(folder))
    except KdbenchError as error:
        said = str(error).replace(f"{folder}/", "").partition(";")[0]  # what follows is a remedy for one's own run
        raise PUBLISHED.damaged(path, said.rstrip(".")) from None


def _names(parts: Sequence[Part]) -> tuple[list[Names], list[str]]:
    """For each file the names of its devices in the joined folder, and a sentence for each that had to change."""
    taken: list[str] = []
    found, notes = [], []
    for part in parts:
        own = {}
        for name in devices_of(part.results.targets):
            own[name] = free_name(name, taken)
            taken.append(own[name])
            if own[name] != name:
                notes.append(f"'{part.path}': its {name} is called {own[name]} here, as another file has a {name}.")
        found.append(own)
    return found, notes


def _differences(parts: Sequence[Part]) -> list[str]:
    """Sentences on what only the first file's word holds for."""
    first = parts[0]
    return [
        f"'{part.path}' has other limits than '{first.path}', whose limits are kept."
        for part in parts[1:]
        if part.results.plan.limits != first.results.plan.limits
    ]


def _write(folder: Path, parts: Sequence[Part], names: Sequence[Names]) -> list[Record]:
    everything: list[Record] = []
    rows: set[tuple[str, int]] = set()
    known: dict[str, str] = {}
    for part, own in zip(parts, names, strict=True):
        place = f"from/{slug(next(iter(own.values()), 'nobody'))}"
        everything += [
            _placed(folder, part, moved_record(record, own), place, known)
            for record in part.results.records
            if _is_new(record, rows, everything)
        ]
        rows |= {(record.case, record.seed) for record in part.results.labelled}
    write_whole(folder / RECORDS, to_lines(everything))
    _plan(parts, names).write(folder)
    for name in (TASK_FILE, SUITE):
        source = parts[0].results.folder / name
        if source.is_file():
            shutil.copyfile(source, folder / name)
    return everything


def _is_new(record: Record, rows: set[tuple[str, int]], everything: Sequence[Record]) -> bool:
    """Whether a record says something that no earlier file's does."""
    if isinstance(record, Environment):
        return not any(isinstance(other, Environment) and other.key == record.key for other in everything)
    return not isinstance(record, Labelled) or record.target is not None or (record.case, record.seed) not in rows


def _placed(folder: Path, part: Part, record: Record, place: str, known: dict[str, str]) -> Record:
    """The record with its files copied to `place`; a model lies once in the folder, whoever has it."""
    if isinstance(record, Size):
        if record.onnx_sha256 not in known:
            name = f"{place}/{record.onnx_path}"
            if not _copied(folder, part, record.onnx_path, name):
                return replace(record, onnx_path=name)
            known[record.onnx_sha256] = name
        return replace(record, onnx_path=known[record.onnx_sha256])
    if isinstance(record, Score):
        return replace(
            record,
            predictions_path=_answers(folder, part, record.predictions_path, place),
            origin_predictions_path=_answers(folder, part, record.origin_predictions_path, place),
        )
    return record


def _answers(folder: Path, part: Part, path: str | None, place: str) -> str | None:
    """Where the answers lie now that a record names; None where the file has none."""
    name = f"{place}/{path}"
    return name if path and _copied(folder, part, path, name) else None


def _copied(folder: Path, part: Part, path: str, name: str) -> bool:
    """Whether the part has the file that a record names; then it lies in the joined folder, too."""
    source = part.results.file(path)
    if source is None:
        return False
    try:
        target = within(folder, name)
    except Unreadable as error:
        raise PUBLISHED.damaged(part.path, str(error)) from None
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return True


def _plan(parts: Sequence[Part], names: Sequence[Names]) -> RecordedPlan:
    cases: dict[str, RecordedCase] = {}
    devices: dict[str, RecordedDevice] = {}
    plans = [part.results.plan for part in parts]
    for part, own in zip(parts, names, strict=True):
        cases = {**part.results.plan.cases, **cases}
        devices |= moved_plan(part.results, own)
    first = plans[0]
    ordered = {name: cases[name] for name in (*first.cases, *(name for name in cases if name not in first.cases))}
    return first.model_copy(
        update={
            "cases": ordered,
            "seeds": tuple(sorted({seed for plan in plans for seed in plan.seeds})),
            "teachers": tuple(dict.fromkeys(row for plan in plans for row in plan.teachers)),
            "targets": tuple(devices),
            "devices": devices,
            "joined": devices_of(devices),
            "measure": {},
            "warnings": tuple(dict.fromkeys(warning for plan in plans for warning in plan.warnings)),
        }
    )
