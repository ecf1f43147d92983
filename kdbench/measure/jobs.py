"""A job, one question to the measuring program: read from JSON and checked before any runtime is loaded."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError, nearest
from kdbench.measure.clock import Rule
from kdbench.measure.session_spec import SessionSpec

SCHEMA = 1

NEEDS: dict[str, tuple[str, ...]] = {
    "describe": (),
    "diagnose": (),
    "try": (),
    "time": ("files", "inputs", "batch_sizes"),
    "prove": ("files", "inputs", "batch_sizes"),
    "predict": ("files", "inputs", "batch_size"),
    "converter": (),
    "convert": ("files", "inputs", "batch_sizes"),
    **dict.fromkeys(("memory", "start", "energy"), ("files", "inputs", "batch_size")),
}
"""Action -> the fields it cannot do without."""

ALONE = ("convert", "memory", "start", "energy")
"""Actions whose process has one file to itself."""

SESSION_FIELDS = tuple(field.name for field in dataclasses.fields(SessionSpec))
ROUND_FIELDS = ("round_call_count", "min_calls", "min_ns", "max_ns")

FIELDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("action", "inputs", "provider", "graph_optimization", "precision"), (str,)),
    **dict.fromkeys(("plugin", "search", "engine_cache", "runtime"), (str,)),
    **dict.fromkeys(("files", "batch_sizes"), (list,)),
    **dict.fromkeys(("options", "warmup", "lengths", "technique"), (dict,)),
    **dict.fromkeys(("schema", "batch_size", "process", "threads_intra", "threads_inter", *ROUND_FIELDS), (int, float)),
    "idle_ns": (int, float),
    **dict.fromkeys(("graphs", "exit_with_parent"), (bool,)),
}
"""Every field of a job -> what JSON may give for it."""

WORDS = {str: "a text", list: "a list", dict: "an object", int: "a number", bool: "true or false"}


@dataclass(frozen=True)
class File:
    """An ONNX file and the SHA-256 it must have."""

    digest: str
    path: str

    def verified_path(self) -> str:
        """The path, once the file's SHA-256 is the digest. Raises MeasureError where it is not, or cannot be read."""
        try:
            found = hashlib.sha256(Path(self.path).read_bytes()).hexdigest()
        except OSError as error:
            raise MeasureError(f"cannot read {self.path} ({error.strerror}).") from None
        if found != self.digest:
            raise MeasureError(f"{self.path} is another file than asked for: its SHA-256 is {found}.")
        return self.path


@dataclass(frozen=True)
class Job:
    """One action of one process."""

    action: str
    session: SessionSpec
    rule: Rule
    files: tuple[File, ...] = ()
    """In the order to go round."""
    inputs: str = ""
    """An .npz whose arrays are named by the model's inputs, each of shape (N, ...); where an axis varies, end to end
    (`kdbench.measure.inputs.Inputs`)."""
    batch_sizes: tuple[int, ...] = ()
    batch_size: int = 1
    lengths: dict[str, int] = dataclasses.field(default_factory=dict)
    """For each axis that varies, the size that examples are cut or repeated to; not named: their median."""
    technique: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The fields of the runtime's own technique that a conversion goes by."""
    process: int = 0
    """Which of several like processes this is; those of odd number go round backward first."""
    idle_ns: int = 1_000_000_000
    """How long energy is read without calls, before it is read over `min_ns` of them."""
    exit_with_parent: bool = False


def read_job(path: str) -> Job:
    """The job in a JSON file. Raises MeasureError (UnknownName for a provider) saying what is wrong with it."""
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise MeasureError(f"cannot read the job {path} ({error.strerror}).") from None
    except ValueError as error:
        raise MeasureError(f"{path} is not JSON: {error}.") from None
    if not isinstance(data, dict):
        raise MeasureError(f"{path}: a job is a JSON object.")
    return make_job(data)


def make_job(data: dict[str, Any]) -> Job:
    """The job of a JSON object; strict: an unknown field is an error, and so is one that its action lacks."""
    _check_fields(data)
    return Job(
        action=data["action"],
        session=SessionSpec(**_session_fields(data)),
        rule=_rule(data),
        files=_files(data.get("files", [])),
        inputs=data.get("inputs", ""),
        batch_sizes=tuple(_whole("batch_sizes", size, 1) for size in data.get("batch_sizes", [])),
        batch_size=_whole("batch_size", data.get("batch_size", 1), 1),
        lengths={name: _whole(f"lengths.{name}", size, 1) for name, size in data.get("lengths", {}).items()},
        technique=data.get("technique", {}),
        process=_whole("process", data.get("process", 0), 0),
        idle_ns=_whole("idle_ns", data.get("idle_ns", Job.idle_ns), 1),
        exit_with_parent=data.get("exit_with_parent", False),
    )


def _check_fields(data: dict[str, Any]) -> None:
    if data.get("schema") != SCHEMA:
        raise MeasureError(f"this measuring program does jobs of schema {SCHEMA}, got {data.get('schema')!r}.")
    for name, value in data.items():
        if name not in FIELDS:
            raise MeasureError(f"a job has no field '{name}'. {nearest(name, FIELDS)}")
        if not isinstance(value, FIELDS[name]):
            raise MeasureError(f"{name} must be {WORDS[FIELDS[name][0]]}, got {value!r}.")
    action = data.get("action", "")
    if action not in NEEDS:
        raise MeasureError(f"there is no action '{action}'. {nearest(action, NEEDS)}")
    for name in NEEDS[action]:
        if not data.get(name):
            raise MeasureError(f"action {action} needs '{name}'.")
    if action in ALONE and len(data["files"]) != 1:
        raise MeasureError(f"action {action} takes one file a process, got {len(data['files'])}.")


def _session_fields(data: dict[str, Any]) -> dict[str, Any]:
    given = {name: data[name] for name in SESSION_FIELDS if name in data}
    threads: dict[str, Any] = {
        name: _whole(name, given[name], 1) for name in ("threads_intra", "threads_inter") if name in given
    }
    options = {name: str(value) for name, value in given.get("options", {}).items()}
    return {**given, **threads, "options": options}


def _rule(data: dict[str, Any]) -> Rule:
    given = {name: data[name] for name in ROUND_FIELDS if name in data}
    given.update({f"warmup_{name}": value for name, value in data.get("warmup", {}).items()})
    known = [field.name for field in dataclasses.fields(Rule)]
    for name in given:
        if name not in known:
            raise MeasureError(f"warmup has min_calls and min_ns, got '{name[len('warmup_') :]}'.")
    least = {"round_call_count": 1, "min_calls": 1, "max_ns": 1}
    return Rule(**{name: _whole(name, value, least.get(name, 0)) for name, value in given.items()})


def _files(entries: list[Any]) -> tuple[File, ...]:
    files = tuple(map(_file, entries))
    digests = [file.digest for file in files]
    twice = [digest for digest in digests if digests.count(digest) > 1]
    if twice:
        raise MeasureError(f"the file {twice[0]} is given twice.")
    return files


def _file(entry: Any) -> File:
    names = isinstance(entry, dict) and sorted(entry)
    if names != ["digest", "path"] or not all(isinstance(value, str) for value in entry.values()):
        raise MeasureError(f"an entry of files is {{digest, path}}, two texts, got {json.dumps(entry)}.")
    return File(**entry)


def _whole(name: str, value: Any, least: int) -> int:
    """A whole number, also when JSON spelled it 2e8."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not is_number or not float(value).is_integer() or value < least:
        raise MeasureError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    return int(value)
