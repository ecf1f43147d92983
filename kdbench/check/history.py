"""Results over time: a folder with a small file for each run, which CI keeps. Written and read here; judges nothing.

An entry holds medians and values, no raw samples and no model. The last run that was accepted is kept whole beside
them, as a baseline file: that is what `check --against` a history folder uses.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from kdbench import __version__, stats
from kdbench.check.baseline import ACCEPTED, ENTRIES, save
from kdbench.check.compare import tolerances_of
from kdbench.check.sides import SPLIT, Side
from kdbench.errors import StoreError
from kdbench.files import slug, write_whole
from kdbench.results.folder import read_results
from kdbench.results.records import Latency

SCHEMA = 1
SHORT = 12
"""Characters of a commit that a file's name bears."""
Metric = Literal["latency", "size", "score"]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One value of one run."""

    case: str
    metric: Metric
    target: str
    batch_size: int | None = None
    value: float
    """Nanoseconds (the median of the processes' medians), bytes, or the mean score over seeds."""
    each: tuple[float, ...] = ()
    """Latency: each process's median, in nanoseconds: the run's own noise. Score: each seed's."""
    limit: float
    """The tolerance then, the suite's or the metric's own: the largest ratio, or the largest loss of a score."""
    label: str = ""
    """What the score is called."""
    direction: str = "lower"
    """Whether higher or lower values are better."""
    unit: str = ""
    """The unit of a score: "fraction" is shown in per cent."""
    fingerprint: str = ""
    """The machine and the runtime; values of different ones are not compared."""
    file_sha256: str = ""
    """The file that was timed."""

    @property
    def series(self) -> tuple[str, str, str, int]:
        """What it is a value of."""
        return self.case, self.metric, self.target, self.batch_size or 0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run."""

    suite: str
    commit: str
    dirty: bool
    """Whether the checked-out files differed from the commit."""
    created_utc: str
    """When its last record was made."""
    kdbench: str
    accepted: bool
    points: tuple[Point, ...] = ()

    @property
    def file_name(self) -> str:
        """Sorts by time; the same run has the same name, so that appending it again replaces it."""
        when = "".join(sign for sign in self.created_utc[:19] if sign.isdigit())
        return f"{when}-{slug(self.commit[:SHORT])}.jsonl"


def append(results: Path, folder: Path, commit: Mapping[str, Any], accept: bool = False) -> tuple[Entry, Path]:
    """Add a results folder to a history; with `accept` it also becomes what later results are checked against.

    commit: `id` and `dirty` of the commit that was run. Raises StoreError where the folder has another suite's history,
    has failed rows and is to be accepted, or cannot be written.
    """
    entry = _entry(results, commit, accept)
    others = {earlier.suite for earlier in read_history(folder)} if (folder / ENTRIES).is_dir() else set()
    if others - {entry.suite}:
        raise StoreError(f"'{folder}' is the history of suite {', '.join(others)}, not of {entry.suite}; name another.")
    if accept:
        folder.mkdir(parents=True, exist_ok=True)
        save(results, folder / ACCEPTED)
    head = {"schema": SCHEMA, "kind": "entry", **{k: v for k, v in asdict(entry).items() if k != "points"}}
    lines = [head, *({"kind": "point", **_told(point)} for point in entry.points)]
    path = folder / ENTRIES / entry.file_name
    try:
        write_whole(path, "".join(f"{json.dumps(line, allow_nan=False)}\n" for line in lines))
    except OSError as error:
        raise StoreError(f"cannot write '{path}' ({error.strerror}); give another folder with --to.") from None
    return entry, path


def read_history(folder: Path) -> list[Entry]:
    """The entries of a history, oldest first. Raises StoreError where there is none, or one is damaged."""
    if not (folder / ENTRIES).is_dir():
        raise StoreError(f"'{folder}' is no history; `kdbench history append RESULTS --to FOLDER` makes one.")
    entries = [_read(path) for path in sorted((folder / ENTRIES).glob("*.jsonl"))]
    return sorted(entries, key=lambda entry: entry.created_utc)


def history_with_entries(folder: Path) -> list[Entry]:
    """As `read_history`. Raises StoreError, too, where the history has no entry yet."""
    entries = read_history(folder)
    if not entries:
        raise StoreError(f"the history '{folder}' has no entries yet; add one with `kdbench history append`.")
    return entries


def _entry(folder: Path, commit: Mapping[str, Any], accept: bool) -> Entry:
    results = read_results(folder)
    side = Side(results, str(folder))
    return Entry(
        suite=results.plan.suite,
        commit=str(commit["id"]),
        dirty=bool(commit["dirty"]),
        created_utc=results.dates[1] if results.dates else "",
        kdbench=__version__,
        accepted=accept,
        points=(*_latencies(side), *_sizes(side), *_scores(side)),
    )


def _latencies(side: Side) -> Iterator[Point]:
    """One for each case, target and batch size, of its first seed."""
    tolerances = tolerances_of(side.results, side.name)
    found: dict[tuple[str, str | None, int], Latency] = {}
    for record in sorted(side.results.of(Latency), key=lambda record: record.seed):
        found.setdefault((record.case, record.target, record.batch_size), record)
    for record in found.values():
        size = side.sizes.get((record.case, record.seed, record.target))
        yield Point(
            case=record.case,
            metric="latency",
            target=record.target or "",
            batch_size=record.batch_size,
            value=stats.median_of_process_medians(record.samples_ns),
            each=tuple(stats.median_of_process_medians([process]) for process in record.samples_ns if process),
            limit=tolerances.at(record.case).latency.max_ratio,
            fingerprint=record.fingerprint or "",
            file_sha256=size.onnx_sha256 if size else "",
        )


def _sizes(side: Side) -> Iterator[Point]:
    """One for each case and target: the largest file of its seeds."""
    tolerances = tolerances_of(side.results, side.name)
    found: dict[tuple[str, str], int] = {}
    for (case, _, target), record in side.sizes.items():
        found[case, target or ""] = max(record.file_bytes, found.get((case, target or ""), 0))
    for (case, target), count in found.items():
        limit = tolerances.at(case).size.max_ratio
        yield Point(case=case, metric="size", target=target, value=float(count), limit=limit)


def _scores(side: Side) -> Iterator[Point]:
    """One for each case and target, over its seeds, of the metric that decides, on the test split."""
    tolerances = tolerances_of(side.results, side.name)
    found: dict[tuple[str, str], list[float]] = {}
    kinds = {}
    for record in side.results.scores():
        if record.split == SPLIT and record.value is not None:
            place = record.case, record.target or ""
            found.setdefault(place, []).append(record.value)
            kinds[place] = {"label": record.label or record.metric, "direction": record.direction, "unit": record.unit}
    metric = side.results.metric
    for (case, target), values in found.items():
        value = math.fsum(values) / len(values)
        allowed = tolerances.at(case).loss(side.results.metric_name, metric)
        yield Point(
            case=case,
            metric="score",
            target=target,
            value=value,
            each=tuple(values),
            limit=allowed.amount * abs(value) if allowed.is_share else allowed.amount,
            **kinds[case, target],  # type: ignore[arg-type]  # texts all, under the names of texts
        )


def _told(point: Point) -> dict[str, Any]:
    return {name: value for name, value in asdict(point).items() if value not in (None, "", ())}


def _read(path: Path) -> Entry:
    try:
        head, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if head["schema"] != SCHEMA:
            raise StoreError(
                f"'{path}' is of schema {head['schema']}, and this kdbench reads {SCHEMA}; update kdbench."
            )
        points = tuple(_point(line) for line in lines)
        named = {name: head[name] for name in ("suite", "commit", "dirty", "created_utc", "kdbench", "accepted")}
        return Entry(**named, points=points)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"the history's '{path}' is damaged ({error}); delete it, or restore it.") from None


def _point(line: Mapping[str, Any]) -> Point:
    given = {name: value for name, value in line.items() if name != "kind"}
    return Point(**{**given, "each": tuple(given.get("each", ()))})
