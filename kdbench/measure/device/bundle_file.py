"""A bundle as data: its manifest checked, its files verified and put by digest where asked; nothing of it is run."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdbench.errors import MeasureError, Unreadable
from kdbench.files import Archive
from kdbench.measure.decisions import KINDS
from kdbench.measure.device.answered import Carried

SCHEMA = 2
MANIFEST = "manifest.json"
FOLDER = "files/"
"""Where a bundle keeps what its manifest names, each under its SHA-256."""
MOST_MANIFEST_BYTES = 64 * 2**20
DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Model:
    """One ONNX file, once however many rows it has."""

    digest: str
    expected: str
    """Digest of its expected answers, .npz (`kdbench.measure.device.answered`)."""
    rows: tuple[tuple[str, int], ...]
    """(case, seed)."""

    @property
    def name(self) -> str:
        """Its first row, for people."""
        case, seed = self.rows[0]
        return f"{case}, seed {seed}"


@dataclass(frozen=True)
class Manifest:
    """The contents of a bundle, and the measurements that it asks for."""

    digest: str
    """SHA-256 of manifest.json; every other file's digest is in it, so it names the whole bundle."""
    suite: str
    models: tuple[Model, ...]
    groups: tuple[tuple[str, ...], ...]
    """Digests of the files that are timed together, what they are compared with among them."""
    inputs: str
    """Digest of the inputs, .npz by input name."""
    sample: str
    """Digest of the results folder's whole sample, of which the inputs are a part."""
    example_count: int
    prediction_batch_size: int
    outputs: tuple[Carried, ...]
    """The task's outputs, in the order of the files'."""
    session: dict[str, Any]
    """How files are run unless the command line says otherwise: the session fields of a job."""
    batch_sizes: tuple[int, ...]
    lengths: tuple[dict[str, int], ...]
    """What files are timed at: for each axis that varies a size. One, empty, where none does."""
    processes: int
    memory: bool
    start: tuple[str, ...]
    """Digests of the files whose start is timed."""
    rule: dict[str, int]
    """The timing fields of a job."""
    seconds: float
    """Time that the same timing took on the machine that the results are from."""
    program: dict[str, str]
    """File of the measuring program -> SHA-256."""
    file_bytes: dict[str, int]
    """Digest -> size of every file."""

    def model(self, digest: str) -> Model:
        return next(model for model in self.models if model.digest == digest)


class Bundle:
    """An open bundle. Raises MeasureError where it is none, of another version, or damaged."""

    def __init__(self, path: str, digest: str | None = None) -> None:
        """`digest`: what the manifest's must be, where that is known."""
        self.path = path
        try:
            self._archive = Archive(Path(path))
        except Unreadable as error:
            raise MeasureError(f"{path} is no bundle ({error}).") from None
        data = self._read(MANIFEST, MOST_MANIFEST_BYTES)
        found = hashlib.sha256(data).hexdigest()
        if digest is not None and found != digest:
            raise MeasureError(f"{path}: its manifest was changed after it was made; copy the bundle again.")
        self.manifest = _manifest(path, found, data)

    def verify_program(self) -> None:
        """Raises MeasureError where a file of the measuring program is not what the manifest says."""
        for name, digest in self.manifest.program.items():
            self._read(name, MOST_MANIFEST_BYTES, digest)

    def put(self, digest: str, path: Path) -> Path:
        """Write one file of the bundle to `path`, once its SHA-256 is its name."""
        path.write_bytes(self._read(FOLDER + digest, self.manifest.file_bytes[digest], digest))
        return path

    def _read(self, name: str, most_bytes: int, sha256: str | None = None) -> bytes:
        try:
            return self._archive.read(name, most_bytes, sha256)
        except Unreadable as error:
            raise MeasureError(f"{self.path} is damaged: {error}; copy the bundle again.") from None


def _manifest(path: str, digest: str, data: bytes) -> Manifest:
    """The manifest of its JSON text; of whatever does not fit, MeasureError says what."""
    try:
        said = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MeasureError(f"{path}: the manifest is not JSON ({error}).") from None
    schema = said.get("schema") if isinstance(said, dict) else None
    if schema != SCHEMA:
        raise MeasureError(f"{path} is a bundle of schema {schema!r}, this program reads schema {SCHEMA}.")
    try:
        manifest = _fields(digest, said)
        fault = _fault(manifest)
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise MeasureError(f"{path}: the manifest is damaged ({type(error).__name__}: {error}).") from None
    if fault:
        raise MeasureError(f"{path}: the manifest is damaged ({fault}).")
    return manifest


def _fields(digest: str, said: dict[str, Any]) -> Manifest:
    sample, measure = said["sample"], said["measure"]
    return Manifest(
        digest=digest,
        suite=str(said["suite"]),
        models=tuple(
            Model(entry["digest"], entry["expected"], tuple((str(case), int(seed)) for case, seed in entry["rows"]))
            for entry in said["models"]
        ),
        groups=tuple(tuple(group) for group in said["groups"]),
        inputs=sample["inputs"],
        sample=sample["digest"],
        example_count=int(sample["example_count"]),
        prediction_batch_size=int(sample["batch_size"]),
        outputs=tuple(
            Carried(str(one["name"]), str(one["kind"]), int(one["blank"]), bool(one["numbers"]))
            for one in said["outputs"]
        ),
        session=dict(said["session"]),
        batch_sizes=tuple(map(int, measure["batch_sizes"])),
        lengths=tuple({str(axis): int(size) for axis, size in sizes.items()} for sizes in measure["lengths"]),
        processes=int(measure["processes"]),
        memory=bool(measure["memory"]),
        start=tuple(measure["start"]),
        rule={name: int(value) for name, value in measure["rule"].items()},
        seconds=float(measure["seconds"]),
        program={str(name): str(found) for name, found in said["program"].items()},
        file_bytes={str(name): int(size) for name, size in said["files"].items()},
    )


def _fault(manifest: Manifest) -> str | None:
    """The fault of a manifest that has the right form; None where it has none. Its digests become names of files."""
    named = {manifest.inputs, *(name for model in manifest.models for name in (model.digest, model.expected))}
    if not all(isinstance(name, str) and DIGEST.fullmatch(name) for name in (*named, *manifest.file_bytes)):
        return "a name in it is no SHA-256"
    if named != manifest.file_bytes.keys():
        return "its list of files does not fit what it names"
    digests = [model.digest for model in manifest.models]
    if not digests or len(set(digests)) != len(digests) or not all(model.rows for model in manifest.models):
        return "its models are none, twice there or of no row"
    if not {*manifest.start, *(digest for group in manifest.groups for digest in group)} <= set(digests):
        return "a group names a model that is not there"
    if not isinstance(manifest.session.get("provider"), str):
        return "its session names no provider"
    if not manifest.outputs or not all(one.kind in KINDS for one in manifest.outputs):
        return "its outputs are none, or of no kind that is known"
    if not manifest.batch_sizes or not manifest.lengths:
        return "it says no size to measure at"
    sizes = (*manifest.batch_sizes, *(size for lengths in manifest.lengths for size in lengths.values()))
    if min((*sizes, manifest.processes, manifest.prediction_batch_size, manifest.example_count)) < 1:
        return "a count in it is less than one"
    return None
