"""Whether published files belong together: one suite, one task, the same models by name. Changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import RecordError
from kdbench.publish.devices import device
from kdbench.results.folder import Results
from kdbench.results.records import Latency, Size
from kdbench.results.task_json import KeptTask

SHORT = 16
"""Characters of a digest that are shown."""


@dataclass(frozen=True)
class Part:
    """One published file, unpacked."""

    path: Path
    manifest: dict[str, Any]
    results: Results
    task: KeptTask


def check_fit(parts: Sequence[Part]) -> None:
    """Raise RecordError with the first thing that keeps published files apart."""
    first, *others = parts
    for part in others:
        fault = next(_of_another_suite(part, first), None)
        if fault is not None:
            raise RecordError(f"'{part.path}' {fault}.")
    _check_files(parts)
    _check_once(parts)


def _of_another_suite(part: Part, first: Part) -> Iterator[str]:
    """What is wrong, in words that go on after the file's name."""
    mine, its = part.results.plan, first.results.plan
    if mine.suite != its.suite:
        yield f"is of suite '{mine.suite}', '{first.path}' of '{its.suite}'"
    if mine.baseline != its.baseline:
        yield f"compares with the case '{mine.baseline}', '{first.path}' with '{its.baseline}'"
    if _data(part.task) != _data(first.task):
        yield f"is of other data than '{first.path}': its task has other inputs, outputs or numbers of examples"
    for split, digest in part.manifest.get("examples", {}).items():
        if digest != first.manifest.get("examples", {}).get(split, digest):
            yield f"is of other data than '{first.path}': the {split} split has other true answers"
    for name in mine.cases.keys() & its.cases.keys():
        one, other = mine.cases[name], its.cases[name]
        if (one.steps, one.student, one.teacher) != (other.steps, other.student, other.teacher):
            yield f"has another case under the name {name} than '{first.path}': its steps or models differ"


def _data(task: KeptTask) -> dict[str, Any]:
    return task.description.model_dump(exclude={"notes", "settings", "companions"})


def _check_files(parts: Sequence[Part]) -> None:
    """Raise RecordError where two files have another model under one name, or no model in common at all.

    A target may have a file of its own, so models are compared where the rest of the target's name is the same, or
    where the same stage made them.
    """
    known: dict[tuple[str, int, str], tuple[str, Part]] = {}
    digests: set[str] = set()
    for part in parts:
        own = part.results.of(Size)
        for record in own:
            target = record.target or ""
            for place in (target[len(device(target)) :], record.onnx_path):
                digest, whose = known.setdefault((record.case, record.seed, place), (record.onnx_sha256, part))
                if digest != record.onnx_sha256:
                    raise RecordError(
                        f"'{part.path}' has another model as {record.case}, seed {record.seed} "
                        f"({record.onnx_sha256[:SHORT]}), than '{whose.path}' ({digest[:SHORT]}): training the suite "
                        "again elsewhere gives other weights. Measure the same files on both, with `kdbench bundle`."
                    )
        if digests and not digests & {record.onnx_sha256 for record in own}:
            raise RecordError(f"'{part.path}' has no model in common with '{parts[0].path}'; nothing joins them.")
        digests |= {record.onnx_sha256 for record in own}


def _check_once(parts: Sequence[Part]) -> None:
    """Raise RecordError where a measurement is in two files: one machine would look like two."""
    known: dict[Any, Part] = {}
    for part in parts:
        for record in part.results.of(Latency):
            its = (record.case, record.seed, record.call_size, record.samples_ns)
            other = known.setdefault(its, part)
            if other is not part:
                raise RecordError(
                    f"'{part.path}' has measurements that '{other.path}' has, too ({record.case}, seed {record.seed}, "
                    f"on {record.target}); give the newer one of the two alone."
                )
