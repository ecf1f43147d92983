"""A results folder as one file that a later check is held against: written, read again, unpacked. Measures nothing."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kdbench import __version__
from kdbench.check.sides import Side
from kdbench.errors import StoreError
from kdbench.results.folder import Results, read_results
from kdbench.results.packed import Packing
from kdbench.results.records import Size
from kdbench.results.task_json import TASK_FILE, read_task

BASELINE = Packing(
    noun="baseline",
    format=1,
    wanted="a results folder or a file of `kdbench baseline save`",
    maker="kdbench baseline save",
    fewer="save a baseline of fewer cases",
)
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
    return _saved(path, BASELINE.write(path, _head(results), files))


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


def _head(results: Results) -> dict[str, Any]:
    return {
        "kdbench": __version__,
        "suite": results.plan.suite,
        "cases": [case for case in results.case_names if results.of(Size, case)],
        "seeds": list(results.plan.seeds),
        "targets": list(results.targets),
        "dates": list(results.dates) if results.dates else None,
    }


def read_saved(path: Path) -> Saved:
    """The manifest of a baseline file. Raises StoreError where it is none, or one of a newer kdbench."""
    return _saved(path, BASELINE.manifest(path))


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
        read_saved(reference)
        BASELINE.unpack(reference, Path(scratch))
        yield Path(scratch)


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
        raise BASELINE.damaged(path, f"its manifest is not whole ({error!r})") from None
