"""Which files of a results folder go into a bundle, for which rows, and beside which others they are timed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from kdbench.bundle.compose import own_targets
from kdbench.errors import StoreError, UnknownName, nearest
from kdbench.evidence import Results
from kdbench.files import sha256_of
from kdbench.results.records import Latency, Size

GROUP_FILES, GROUP_BYTES = 40, 512 * 2**20
"""The most files, and the most bytes of files, that stay loaded together in one process of the device."""


@dataclass(frozen=True)
class File:
    """One ONNX file of a results folder."""

    digest: str
    path: Path
    rows: tuple[tuple[str, int], ...]
    """(case, seed)."""
    references: tuple[str, ...]
    """Digests of the files it is compared with."""

    @property
    def name(self) -> str:
        """The file's first row, for messages."""
        return f"{self.rows[0][0]}, seed {self.rows[0][1]}"


def choose_target(results: Results, asked: str | None) -> str:
    """The target whose files are bundled. Raises UnknownName for one that the folder does not have."""
    own = own_targets(results)
    if asked is None:
        usable = [target for target in own if target not in results.reference_targets]
        if usable:
            return usable[0]
        raise StoreError(f"'{results.folder}' has no target of its own to bundle for; run the suite again.")
    if asked not in own:
        raise UnknownName(f"there is no target '{asked}'. {nearest(asked, own)}")
    return asked


def chosen_files(results: Results, target: str, cases: Sequence[str], seeds: Sequence[str]) -> list[File]:
    """The files of the rows asked for, and those that they are compared with, in the folder's order, each once.

    Raises UnknownName where no row is meant, StoreError where a file is not there as it was recorded.
    """
    sizes = [size for size in results.of(Size) if size.target in (target, None)]
    rows: dict[str, list[tuple[str, int]]] = {}
    for size in sizes:
        rows.setdefault(size.onnx_sha256, []).append((size.case, size.seed))
    references = _references(results, target)
    wanted = _wanted(results, sizes, cases, seeds)
    digests = dict.fromkeys(d for size in wanted for d in (size.onnx_sha256, *references.get(_row(size), ())))
    paths = {size.onnx_sha256: results.file(size.onnx_path) for size in sizes}
    return [
        File(
            digest,
            _verified(results.folder, paths.get(digest), digest),
            tuple(rows[digest]),
            tuple(dict.fromkeys(other for row in rows[digest] for other in references.get(row, ()))),
        )
        for digest in digests
    ]


def _row(record: Size | Latency) -> tuple[str, int]:
    return (record.case, record.seed)


def _references(results: Results, target: str) -> dict[tuple[str, int], tuple[str, ...]]:
    """Row -> digests of the files that it was timed beside."""
    return {_row(r): tuple(r.references.values()) for r in results.of(Latency) if r.target == target}


def _wanted(results: Results, sizes: Sequence[Size], cases: Sequence[str], seeds: Sequence[str]) -> list[Size]:
    """The sizes of the rows asked for, and of their baselines and teachers."""
    for pattern in cases:
        if not any(fnmatchcase(size.case, pattern) for size in sizes):
            raise UnknownName(f"no case matches '{pattern}'. {nearest(pattern, {size.case for size in sizes})}")
    for pattern in seeds:
        if not any(fnmatchcase(str(size.seed), pattern) for size in sizes):
            raise UnknownName(f"no seed matches '{pattern}'. {nearest(pattern, {str(size.seed) for size in sizes})}")
    if not sizes:
        raise StoreError(f"'{results.folder}' has no model on that target; run the suite again.")
    asked = {size.case for size in sizes if not cases or any(fnmatchcase(size.case, pattern) for pattern in cases)}
    plan = results.plan
    beside = {plan.baseline_of(plan.cases[case]) for case in asked if case in plan.cases}
    teachers = {results.teacher_of(case) for case in asked}
    return [
        size
        for size in sizes
        if size.case in teachers
        or (size.case in asked | beside and (not seeds or any(fnmatchcase(str(size.seed), p) for p in seeds)))
    ]


def _verified(folder: Path, path: Path | None, digest: str) -> Path:
    if path is None:
        raise StoreError(f"'{folder}' lacks a model that its records name ({digest[:16]}); run the suite again.")
    if sha256_of(path) != digest:
        raise StoreError(f"'{path}' is not the file that was measured; run the suite again with -o '{folder}'.")
    return path


def groups(files: Sequence[File]) -> list[list[str]]:
    """Digests of the files that are timed together, in groups; the references of each file are in its group."""
    return [list(group) for group in _groups({file.digest: file for file in files})]


def _groups(files: dict[str, File]) -> Iterator[dict[str, None]]:
    group: dict[str, None] = {}
    for file in files.values():
        together = dict.fromkeys([*file.references, file.digest])
        grown = {**group, **together}
        size = sum(files[digest].path.stat().st_size for digest in grown)
        if group and (len(grown) > GROUP_FILES or size > GROUP_BYTES):
            yield group
            grown = together
        group = grown
    yield group
