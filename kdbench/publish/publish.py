"""`kdbench publish`: writes a results folder into one file that can be given to anybody. Measures nothing."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from kdbench import __version__
from kdbench.errors import StoreError, UnknownName
from kdbench.files import sha256_of
from kdbench.measure.device.command import DEVICE, PRIVATE
from kdbench.measure.target_id import HERE
from kdbench.publish.devices import devices_of, free_name, moved_plan, moved_record, name_of_this
from kdbench.publish.private import Private
from kdbench.results import records
from kdbench.results.folder import Results, read_results
from kdbench.results.packed import Packing
from kdbench.results.plan_json import PLAN_FILE
from kdbench.results.records import SCHEMA, Environment, Failed, Record, Score, Size
from kdbench.results.task_json import TASK_FILE, KeptTask, read_task

PUBLISHED = Packing(
    noun="published file",
    format=1,
    wanted="a file of `kdbench publish`",
    maker="kdbench publish",
    fewer="ask for one without models",
)
RECORDS, SUITE = "records.jsonl", "suite.yaml"


@dataclass(frozen=True)
class Published:
    """The file that was written, and what is in it."""

    path: Path
    suite: str
    cases: tuple[str, ...]
    devices: tuple[str, ...]
    targets: tuple[str, ...]
    record_count: int
    digest_count: int
    """Models whose SHA-256 the records have."""
    answer_count: int
    """Files with what a model answered to each example, beside the true answers."""
    model_count: int
    byte_count: int
    warnings: tuple[str, ...]
    """Sentences on what may say whose machine it was."""


def publish(
    folder: Path,
    path: Path,
    device: str | None = None,
    models: bool = False,
    answers: bool = True,
    private: Private | None = None,
) -> Published:
    """Write a results folder's records, plan, suite and task into one file, without what says whose machine it was.

    device: what to call the machine of the run. answers: whether to add the answers by example, which intervals of
    differences are made of; they hold the true answers, too, but no inputs. private: what must not be told.

    Raises StoreError where the folder is not whole or the file cannot be written, UnknownName for a device's name that
    cannot be one or is another's here.
    """
    hidden = private or Private()
    results, task = read_results(folder), read_task(folder)
    names = _names(results, device)
    told = [_told(record, answers) for record in results.records]
    lines = [hidden.told(json.loads(records.to_line(moved_record(record, names)))) for record in told]
    carried = _models(results) if models else {}
    answered = _answers(results) if answers else {}
    targets = moved_plan(results, names)
    members: dict[str, bytes | Path] = {
        RECORDS: "".join(f"{json.dumps(line, separators=(',', ':'), allow_nan=False)}\n" for line in lines).encode(),
        PLAN_FILE: _json(hidden.told(_plan(results, targets))),
        TASK_FILE: _json(hidden.told(_task(task))),
        **({SUITE: _suite(folder, hidden)} if (folder / SUITE).is_file() else {}),
        **carried,
        **answered,
    }
    head = {
        "kdbench": __version__,
        "schema": SCHEMA,
        "suite": results.plan.suite,
        "devices": devices_of(targets),
        "dates": list(results.dates) if results.dates else None,
        "examples": _examples(results),
        "holds": {"answers": bool(answered), "models": bool(carried)},
    }
    PUBLISHED.write(path, head, members)
    return Published(
        path=path,
        suite=results.plan.suite,
        cases=tuple(results.plan.cases),
        devices=devices_of(targets),
        targets=tuple(targets),
        record_count=len(lines),
        digest_count=len({record.onnx_sha256 for record in results.of(Size)}),
        answer_count=len(answered),
        model_count=len(carried),
        byte_count=path.stat().st_size,
        warnings=tuple(_warnings({**carried, **answered}, hidden)),
    )


def _names(results: Results, device: str | None) -> dict[str, str]:
    """What the run's own machine is called; nothing where every target is of a named device already."""
    there = devices_of(results.targets)
    others = [name for name in there if name != HERE]
    if HERE not in there and results.targets:
        if device is not None:
            raise UnknownName(f"'{results.folder}' has targets of named devices alone; leave out --device {device}.")
        return {}
    if device is None:
        return {HERE: free_name(name_of_this(results), others)}
    if not DEVICE.fullmatch(device) or device == HERE:
        raise UnknownName(
            f"--device: '{device}' cannot be a device's name: up to 40 lower-case letters, digits and . _ -, and not "
            f"'{HERE}'."
        )
    if device in others:
        raise UnknownName(f"--device: '{device}' is another device of '{results.folder}' already; give another name.")
    return {HERE: device}


def _told(record: Record, answers: bool) -> Record:
    """The record without what stays at home."""
    if isinstance(record, Environment):
        return replace(record, also={name: value for name, value in record.also.items() if name not in PRIVATE})
    if isinstance(record, Failed):
        return replace(record, log_path=None)
    if isinstance(record, Score) and not answers:
        return replace(record, predictions_path=None, origin_predictions_path=None)
    return record


def _plan(results: Results, targets: dict[str, Any]) -> dict[str, Any]:
    plan = results.plan.model_copy(update={"targets": tuple(targets), "devices": targets, "measure": {}})
    return plan.model_dump(mode="json", exclude_none=True)


def _task(task: KeptTask) -> dict[str, Any]:
    """The task without the places of its inputs and companions."""
    kept = task.model_copy(update={"test_inputs_path": None, "sample_path": None, "companion_paths": {}})
    return kept.model_dump(mode="json")


def _suite(folder: Path, hidden: Private) -> bytes:
    try:
        return hidden.text((folder / SUITE).read_text(encoding="utf-8")).encode()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"cannot read '{folder / SUITE}' ({error}); run the suite again.") from None


def _json(data: dict[str, Any]) -> bytes:
    return json.dumps(data, indent=1, allow_nan=False).encode()


def _models(results: Results) -> dict[str, Path]:
    """Path -> file of every model. Raises StoreError where one is not there, or not the one that was measured."""
    found = {}
    for record in results.of(Size):
        path = results.file(record.onnx_path)
        if path is None or sha256_of(path) != record.onnx_sha256:
            raise StoreError(
                f"'{results.folder}' lacks '{record.onnx_path}' of {record.case}, seed {record.seed}, as it was "
                "measured; run the suite again, or publish without --models."
            )
        found[PurePosixPath(record.onnx_path).as_posix()] = path
    return found


def _answers(results: Results) -> dict[str, Path]:
    """Path -> file of all answers by example that the folder has."""
    scores = results.of(Score)
    named = [name for record in scores for name in (record.predictions_path, record.origin_predictions_path) if name]
    return {PurePosixPath(name).as_posix(): path for name in dict.fromkeys(named) if (path := results.file(name))}


def _examples(results: Results) -> dict[str, str]:
    """Split -> digest of its true answers, by which two files are known to be of the same data."""
    found = {}
    for record in results.scores():
        if record.split not in found and record.split_example_count is None:
            predictions = results.predictions(record)
            if predictions is not None:
                found[record.split] = predictions.examples
    return found


def _warnings(carried: dict[str, Path], hidden: Private) -> Iterator[str]:
    found: dict[str, list[str]] = {}
    for name, path in carried.items():
        words = hidden.found(path.read_bytes())
        if words is not None:
            found.setdefault(words, []).append(name)
    for words, names in found.items():
        yield f"{_few(names)}: a model is published byte for byte, and there is {words} in it."


def _few(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"
