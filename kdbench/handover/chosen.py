"""Finds the ONNX file to hand over: by case, seed and target. Writes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kdbench.errors import StoreError, UnknownName, nearest
from kdbench.evidence import Results
from kdbench.files import sha256_of
from kdbench.results.records import Size

Files = dict[int, dict[str, Size]]
"""Seed -> target -> what is known of the file; seeds rising, targets in the suite's order."""


@dataclass(frozen=True)
class Chosen:
    """One file, verified to be the one that was recorded."""

    size: Size
    """The size record of the first target; it names the case and the seed, too."""
    path: Path
    targets: tuple[str, ...]
    how: str
    """One sentence on why it is this seed."""


def choose_file(results: Results, case: str, seed: int | None = None, target: str | None = None) -> Chosen:
    """The file of a case: that of the seed asked for, else that of the best seed on validation. Targets that share the
    file are all named; where each has its own, one must be asked for.

    Raises UnknownName for a case or target that there is none of, StoreError where there is no such file (saying why),
    where targets have files of their own, or where the file is not the one recorded.
    """
    _known(results, case, target)
    files = _files(results, case, seed, target)
    if any(len({size.onnx_sha256 for size in by_target.values()}) > 1 for by_target in files.values()):
        named = ", ".join(f"--target {name}" for name in _targets(files))
        raise StoreError(f"{case} has a file of its own for each target; say for which: {named}.")
    best, how = (seed, f"Seed {seed}, as asked for.") if seed is not None else _best(results, case, files)
    sizes = files[best]
    first = next(iter(sizes.values()))
    return Chosen(first, _whole(results, first), tuple(sizes), how)


def _known(results: Results, case: str, target: str | None) -> None:
    if case not in results.case_names:
        raise UnknownName(f"'{results.folder}' has no case '{case}'. {nearest(case, results.case_names)}")
    if target is not None and target not in results.targets:
        raise UnknownName(f"'{results.folder}' has no target '{target}'. {nearest(target, results.targets)}")


def _files(results: Results, case: str, seed: int | None, target: str | None) -> Files:
    found: Files = {}
    order = {name: place for place, name in enumerate(results.targets)}
    for size in sorted(results.of(Size, case), key=lambda size: (size.seed, order.get(size.target or "", 0))):
        if seed in (None, size.seed) and target in (None, size.target):
            found.setdefault(size.seed, {})[size.target or ""] = size
    if not found:
        raise StoreError(_why_none(results, case, seed, target))
    return found


def _why_none(results: Results, case: str, seed: int | None, target: str | None) -> str:
    """Why a case has no file, with the recorded reason where there is one."""
    asked = [case, *([f"seed {seed}"] if seed is not None else []), *([f"on {target}"] if target is not None else [])]
    reasons = [
        f"{record.status}: {record.reason}"
        for record in results.failures(case)
        if seed in (None, record.seed) and target in (None, record.target or target)
    ]
    seeds = sorted({size.seed for size in results.of(Size, case)})
    there = f"it has one for {_seeds(seeds)}." if seeds else "it was never evaluated."
    return f"{', '.join(asked)} has no file; {reasons[0] if reasons else there}"


def _best(results: Results, case: str, files: Files) -> tuple[int, str]:
    """The seed with the best mean over the targets, the lowest of equals, and a sentence on how it was chosen."""
    if len(files) == 1:
        seed = next(iter(files))
        return seed, f"Seed {seed}, the only one with a file."
    split = "validation" if _rates(results, case, files, "validation") else "test"
    rates = _rates(results, case, files, split)
    if not rates:
        raise StoreError(
            f"{case} has no accuracy on record to choose a seed by; say which: --seed {next(iter(files))}."
        )
    scale = results.scale
    top = max(rates.values(), key=scale.goodness)
    level = [seed for seed, rate in rates.items() if rate == top]
    shared = f", level with {_seeds(level[1:])}" if level[1:] else ""
    how = f"Seed {level[0]}, the best of {_seeds(rates)} on {split} ({scale.said(top)}){shared}."
    if split == "test":
        how += " The suite has no validation split: the choice was made on test, so the accuracy there flatters."
    return level[0], how


def _rates(results: Results, case: str, files: Files, split: str) -> dict[int, float]:
    found: dict[int, list[float]] = {seed: [] for seed in files}
    for record in results.scores(case):
        if record.split == split and record.value is not None and record.target in files.get(record.seed, {}):
            found[record.seed].append(record.value)
    return {seed: float(np.mean(values)) for seed, values in found.items() if values}


def _whole(results: Results, size: Size) -> Path:
    """The path of the file. Raises StoreError where it is not the one that was evaluated and timed."""
    if size.artefact:
        raise StoreError(
            f"{size.case} on {size.target} is no ONNX file but {size.artefact}, which `get` does not hand over; "
            f"it lies at '{results.folder / size.onnx_path}'."
        )
    path = results.file(size.onnx_path)
    remedy = f"run the suite again with -o '{results.folder}': what is finished is reused."
    if path is None:
        named = results.folder / (size.onnx_path or f"models/{size.case}")
        raise StoreError(f"'{named}' is not there; {remedy}")
    if sha256_of(path) != size.onnx_sha256:
        raise StoreError(f"'{path}' is not the file that was measured (its SHA-256 differs); remove it and {remedy}")
    return path


def _targets(files: Files) -> tuple[str, ...]:
    return tuple(dict.fromkeys(target for by_target in files.values() for target in by_target))


def _seeds(seeds: Iterable[int]) -> str:
    numbers = [str(seed) for seed in seeds]
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
