"""A results folder as one file that a later check is held against: written, read again, unpacked. Measures nothing."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kdbench import __version__
from kdbench.check.sides import Side
from kdbench.errors import StoreError, Unreadable
from kdbench.files import Archive, sha256_of, within, write_archive
from kdbench.results.folder import Results, read_results
from kdbench.results.records import Size
from kdbench.results.task_json import TASK_FILE, read_task

FORMAT = 1
MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 16 * 2**20
MOST_BYTES = 16 * 2**30
"""The most that all files of a baseline may take together, unpacked."""
ENTRIES, ACCEPTED = "entries", "accepted.zip"
"""Within a history (`kdbench.check.history`): the folder of its entries, and the baseline that was accepted last."""
ALWAYS = ("records.jsonl", "plan.json", TASK_FILE, "suite.yaml")


@dataclass(frozen=True)
class Saved:
    """The manifest of a baseline file."""

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
    failed = results.failures()
    if failed and not allow_failed:
        record = failed[0]
        raise StoreError(
            f"'{folder}' has {len(failed)} failed or skipped records, the first of {record.case}, seed {record.seed} "
            f"({record.reason}); mend it and run the suite again, or save what there is with --allow-failed."
        )
    files = _files(results)
    manifest = _manifest(results, files)
    try:
        write_archive(path, {MANIFEST: json.dumps(manifest, indent=1).encode(), **files}, compressed=True)
    except OSError as error:
        raise StoreError(f"cannot write '{path}' ({error.strerror}); give another file with -o.") from None
    return _saved(path, manifest)


def _files(results: Results) -> dict[str, Path]:
    """Path within the folder -> the file, for everything that goes into the baseline.

    Raises StoreError where a file is missing, or an ONNX file is not the one that its record is about.
    """
    side = Side(results, f"'{results.folder}'")
    for case, seed, target in side.sizes:
        side.file(case, seed, target)
    sample = read_task(results.folder).sample_path
    named: list[str | None] = [record.onnx_path for record in results.of(Size)]
    named += [record.predictions_path for record in results.scores()]
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
        "files": {
            name: {"sha256": sha256_of(path), "bytes": path.stat().st_size} for name, path in sorted(files.items())
        },
    }


def read_saved(path: Path) -> Saved:
    """The manifest of a baseline file. Raises StoreError where it is none, or one of a newer kdbench."""
    with _archive(path) as archive:
        return _saved(path, _checked(path, archive))


def accepted(history: Path) -> Path:
    """The baseline file of the run that a history accepted last. Raises StoreError where it accepted none."""
    path = history / ACCEPTED
    if not path.is_file():
        raise StoreError(
            f"no run in the history '{history}' was accepted yet; add one with `kdbench history append RESULTS --to "
            f"{history} --accept`."
        )
    return path


@contextmanager
def opened(reference: Path) -> Iterator[Path]:
    """The results folder that `reference` is, or that it holds, unpacked for as long as the context lasts.

    Of a history, that is the run which was accepted last. Raises StoreError for a file that is no baseline, is damaged,
    or would write elsewhere or without end.
    """
    if (reference / ENTRIES).is_dir():
        reference = accepted(reference)
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
            archive.copy(name, within(folder, name), entry["bytes"], entry["sha256"])


@contextmanager
def _archive(path: Path) -> Iterator[Archive]:
    """The open file. Turns whatever is wrong with it into a StoreError."""
    if not path.exists():
        raise StoreError(f"there is no '{path}'; give a results folder or a file of `kdbench baseline save`.")
    try:
        archive = Archive(path)
    except Unreadable as error:
        raise StoreError(
            f"'{path}' is no baseline ({error}); give a results folder or a file of `kdbench baseline save`."
        ) from None
    with archive:
        try:
            yield archive
        except Unreadable as error:
            raise _damaged(path, str(error)) from None


def _checked(path: Path, archive: Archive) -> dict[str, Any]:
    """The manifest. Raises StoreError or Unreadable where it, or the list of members, is not what `save` writes."""
    manifest = _json(archive.read(MANIFEST, MOST_MANIFEST_BYTES))
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise Unreadable("its manifest lists no files")
    if manifest.get("format") != FORMAT:
        raise StoreError(
            f"'{path}' is a baseline of format {manifest.get('format')!r}, and this kdbench reads format {FORMAT}; "
            "save it again."
        )
    if archive.names != {MANIFEST, *manifest["files"]}:
        raise Unreadable("it does not hold the files that its manifest lists")
    for name, entry in manifest["files"].items():
        if not _is_entry(entry):
            raise Unreadable(f"its manifest does not say how large '{name}' is")
    return manifest


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"its manifest is not JSON: {error}") from None


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
