"""A results folder as one file that a later check is held against: written, read again, unpacked. Measures nothing."""

import hashlib
import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kdbench import __version__
from kdbench.check.sides import Side
from kdbench.errors import StoreError
from kdbench.results.folder import Results, read_results
from kdbench.results.records import Accuracy, Size
from kdbench.results.task_json import TASK_FILE, read_task

FORMAT = 1
MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 16 * 2**20
MOST_BYTES = 16 * 2**30
"""Of everything in a file, unpacked."""
ALWAYS = ("records.jsonl", "plan.json", TASK_FILE, "suite.yaml")
CHUNK = 2**20


@dataclass(frozen=True)
class Saved:
    """What a baseline file says of itself."""

    path: Path
    suite: str
    cases: tuple[str, ...]
    seeds: tuple[int, ...]
    targets: tuple[str, ...]
    dates: tuple[str, str] | None
    kdbench: str
    files: dict[str, dict[str, Any]]
    """Path within the folder -> `sha256` and `bytes`."""

    @property
    def byte_count(self) -> int:
        return sum(int(entry["bytes"]) for entry in self.files.values())


def save(folder: Path, path: Path, allow_failed: bool = False) -> Saved:
    """Write a results folder's records, plan, ONNX files, test predictions and sample into one file.

    The same folder always gives the same bytes. Raises StoreError for a folder with failed rows (unless they are
    allowed: what failed is then not held against anybody), with a file missing, or where it cannot be written.
    """
    results = read_results(folder)
    failed = [record for record in results.records if record.status != "ok"]
    if failed and not allow_failed:
        record = failed[0]
        raise StoreError(
            f"'{folder}' has {len(failed)} failed or skipped records, the first of {record.case}, seed {record.seed} "
            f"({record.reason}); mend it and run the suite again, or save what there is with --allow-failed."
        )
    files = _files(results)
    manifest = _manifest(results, files)
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(unfinished, "w") as archive:
            archive.writestr(_member(MANIFEST), json.dumps(manifest, indent=1))
            for name in sorted(files):
                archive.writestr(_member(name), files[name].read_bytes())
        unfinished.replace(path)
    except OSError as error:
        raise StoreError(f"cannot write '{path}' ({error.strerror}); give another file with -o.") from None
    return _saved(path, manifest)


def _files(results: Results) -> dict[str, Path]:
    """Path within the folder -> the file; every ONNX file verified. Raises StoreError where one is not there."""
    side = Side(results, f"'{results.folder}'")
    for case, seed, target in side.sizes:
        side.file(case, seed, target)
    sample = read_task(results.folder).sample_path
    named = [record.onnx_path for record in results.of(Size)]
    named += [record.predictions_path for record in results.of(Accuracy)]
    named += [name for name in ALWAYS if (results.folder / name).is_file()]
    found = {}
    for name in dict.fromkeys([*named, sample]):
        path = results.file(name)
        if path is None and name is not None:
            raise StoreError(f"'{results.folder}' lacks '{name}', which its records name; run the suite again.")
        if name is not None and path is not None:
            found[PurePosixPath(name).as_posix()] = path
    return found


def _manifest(results: Results, files: dict[str, Path]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kdbench": __version__,
        "suite": results.plan.suite,
        "cases": [case for case in results.case_names if results.of(Size, case)],
        "seeds": list(results.plan.seeds),
        "targets": list(results.targets),
        "dates": list(results.dates) if results.dates else None,
        "files": {name: _entry(files[name]) for name in sorted(files)},
    }


def _entry(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)  # its default date is a constant, 1980
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    return member


def read_saved(path: Path) -> Saved:
    """What a baseline file says of itself. Raises StoreError where it is none, or a newer kdbench's."""
    with _archive(path) as archive:
        return _saved(path, _checked(path, archive))


@contextmanager
def opened(reference: Path) -> Iterator[Path]:
    """The results folder that `reference` is, or that it holds, unpacked for as long as the context lasts.

    Raises StoreError for a file that is no baseline, is damaged, or would write elsewhere or without end.
    """
    if reference.is_dir():
        yield reference
        return
    with tempfile.TemporaryDirectory(prefix="kdbench-baseline-") as scratch:
        _unpack(reference, Path(scratch))
        yield Path(scratch)


def _unpack(path: Path, folder: Path) -> None:
    with _archive(path) as archive:
        saved = _saved(path, _checked(path, archive))
        free = shutil.disk_usage(folder).free
        if saved.byte_count > min(MOST_BYTES, free):
            raise StoreError(
                f"'{path}' unpacks to {saved.byte_count:,} bytes, more than there is room for; make room, or save a "
                "baseline of fewer cases."
            )
        for name, entry in saved.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            _copy(path, archive, name, entry, place)


def _copy(path: Path, archive: zipfile.ZipFile, name: str, entry: dict[str, Any], place: Path) -> None:
    """One member, no more bytes of it than it says, whose SHA-256 is what the manifest says."""
    digest, left = hashlib.sha256(), int(entry["bytes"])
    with archive.open(name) as source, open(place, "xb") as target:
        while chunk := source.read(min(CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            digest.update(chunk)
            target.write(chunk)
    if left != 0 or digest.hexdigest() != entry["sha256"]:
        raise _damaged(path, f"'{name}' is not what its manifest says")


@contextmanager
def _archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The open file; whatever is wrong with it becomes a sentence."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except FileNotFoundError:
        raise StoreError(f"there is no '{path}'; give a results folder or a file of `kdbench baseline save`.") from None
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StoreError(
            f"'{path}' is no baseline ({reason}); give a results folder or a file of `kdbench baseline save`."
        ) from None


def _checked(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest. Raises StoreError where it and the file's members are not what `save` writes."""
    members = {member.filename: member for member in archive.infolist()}
    if MANIFEST not in members or members[MANIFEST].file_size > MOST_MANIFEST_BYTES:
        raise _damaged(path, "it has no manifest")
    with archive.open(MANIFEST) as source:
        manifest = json.loads(source.read(MOST_MANIFEST_BYTES + 1))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise _damaged(path, "its manifest lists no files")
    if manifest.get("format") != FORMAT:
        raise StoreError(
            f"'{path}' is a baseline of format {manifest.get('format')!r}, and this kdbench reads format {FORMAT}; "
            "save it again."
        )
    if set(members) != {MANIFEST, *manifest["files"]} or len(members) != len(archive.infolist()):
        raise _damaged(path, "it does not hold the files that its manifest lists")
    for name, entry in manifest["files"].items():
        if not _is_plain(name) or not _is_entry(entry):
            raise _damaged(path, f"'{name}' is no file of a results folder")
    return manifest


def _is_plain(name: str) -> bool:
    """Whether a path stays within the folder, on every system."""
    parts = name.split("/")
    return bool(name) and not set(name) & set("\\:\0") and not {"", ".", ".."} & set(parts)


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        return False
    count = entry.get("bytes")
    return isinstance(count, int) and not isinstance(count, bool) and count >= 0


def _saved(path: Path, manifest: dict[str, Any]) -> Saved:
    try:
        dates = manifest["dates"]
        return Saved(
            path=path,
            suite=str(manifest["suite"]),
            cases=tuple(map(str, manifest["cases"])),
            seeds=tuple(map(int, manifest["seeds"])),
            targets=tuple(map(str, manifest["targets"])),
            dates=(str(dates[0]), str(dates[1])) if dates else None,
            kdbench=str(manifest["kdbench"]),
            files=manifest["files"],
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _damaged(path, f"its manifest is not whole ({error!r})") from None


def _damaged(path: Path, what: str) -> StoreError:
    return StoreError(f"'{path}' is damaged: {what}; save it again with `kdbench baseline save`.")
