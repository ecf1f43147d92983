"""Writes the folder that is handed over: the model, its manifest and card, and a program that runs it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench import units
from kdbench.errors import StoreError
from kdbench.evidence import Results, read_results
from kdbench.files import sha256_of, slug, whole_folder
from kdbench.handover.card import CARD_FILE, card
from kdbench.handover.chosen import choose_file
from kdbench.handover.manifest import COMPANIONS, INPUTS_FILE, MANIFEST_FILE, MODEL_FILE, manifest
from kdbench.handover.program import START, sources
from kdbench.results.records import CallSize
from kdbench.results.task_json import KeptTask, read_task
from kdbench.results.trust import NOTHING, Confirmed
from kdbench.scale import ACCURACY, FRACTION, Scale


@dataclass(frozen=True)
class Handed:
    """The folder that was written, and its manifest."""

    folder: Path
    manifest: dict[str, Any]


def get(
    folder: Path,
    case: str,
    out: Path,
    seed: int | None = None,
    target: str | None = None,
    confirmed: Confirmed = NOTHING,
    license_id: str | None = None,
) -> Handed:
    """Write `out` from a results folder alone: the model, its manifest and card, predict.py and what it consists of,
    the task's companions (vocabulary, labels); inputs.npz unless data is images.

    confirmed: what the user says of how targets are measured, whose options predict.py gives to the provider.
    license_id: the license that the card names.
    Raises UnknownName for a case or target that there is none of, StoreError where the file is not there as recorded,
    more than one would fit, or `out` is not empty.
    """
    results, task = read_results(folder), read_task(folder)
    chosen = choose_file(results, case, seed, target)
    said = manifest(results, task, chosen, confirmed)
    inputs = _test_inputs(results, task)
    if inputs is not None:
        said["test_inputs"] = {"file": INPUTS_FILE, "sha256": sha256_of(inputs)}
    companions = {f"{COMPANIONS}/{slug(name)}": _kept(results, path) for name, path in task.companion_paths.items()}
    if companions:
        said["data"]["companions"] = {name: sha256_of(path) for name, path in companions.items()}
    _write(out, said, chosen.path, inputs, companions, card(said, license_id))
    return Handed(out, said)


def handed_text(handed: Handed) -> str:
    """A few lines on what was handed over, why this seed, and how to try it."""
    said, model = handed.manifest, handed.manifest["model"]
    lines = [f"{said['case']}: {said['chosen']}", f"{handed.folder / MODEL_FILE}: {units.size(model['bytes'])}"]
    lines += [_measured_text(entry) for entry in said["measured"]]
    origin = said["data"].get("origin")
    lines += [f"Data: {origin}"] if origin else []
    more = "" if "test_inputs" in said else " INPUT"
    return "\n".join([*lines, f"Try it: python {handed.folder / START}{more}"])


def _measured_text(entry: dict[str, Any]) -> str:
    test = entry["accuracy"]["test"]
    count = test.get("correct_count")
    scale = Scale(test.get("metric", ACCURACY), test.get("unit", FRACTION))
    right = f"{units.percent(test['value'])} % right on test ({count} of {test['example_count']})"
    if count is None:
        right = f"{scale.name} {scale.said(test['value'])} on test ({test['example_count']} examples)"
    timed = [
        f"p50 {units.latency(row['p50_ns'])} at batch {CallSize.of(row['batch_size'], row.get('lengths'))}"
        for row in entry["latency"]
    ]
    return f"  on {entry['target']}: {', '.join([right, *timed])}"


def _test_inputs(results: Results, task: KeptTask) -> Path | None:
    """The stored test inputs; None where the data lies as image files."""
    return None if task.test_inputs_path is None else _kept(results, task.test_inputs_path)


def _kept(results: Results, name: str) -> Path:
    """A file that task.json names. Raises StoreError where it is not there."""
    path = results.file(name)
    if path is None:
        place = results.folder / name
        raise StoreError(f"'{place}' is not there; run the suite again with -o '{results.folder}'.")
    return path


def _write(
    out: Path, said: dict[str, Any], model: Path, inputs: Path | None, companions: Mapping[str, Path], card_text: str
) -> None:
    try:
        with whole_folder(out) as scratch:
            shutil.copyfile(model, scratch / MODEL_FILE)
            if inputs is not None:
                shutil.copyfile(inputs, scratch / INPUTS_FILE)
            for name, path in companions.items():
                (scratch / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(path, scratch / name)
            for name, text in sources(said.get("reads")).items():
                (scratch / name).parent.mkdir(exist_ok=True)
                (scratch / name).write_bytes(text)
            listed = json.dumps(said, indent=1, ensure_ascii=False) + "\n"
            (scratch / MANIFEST_FILE).write_text(listed, encoding="utf-8")
            (scratch / CARD_FILE).write_text(card_text, encoding="utf-8")
    except FileExistsError:
        raise StoreError(f"'{out}' is not empty; name another folder with -o.") from None
    except OSError as error:
        raise StoreError(f"cannot write '{out}' ({error.strerror}); name another folder with -o.") from None
