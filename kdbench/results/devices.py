"""devices/ of a results folder: records that were measured on other devices and merged.

A run rewrites records.jsonl and plan.json, and puts back what lies here.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from kdbench.errors import StoreError
from kdbench.files import regular, slug
from kdbench.measure.target_id import HERE
from kdbench.results import records
from kdbench.results.plan_json import RecordedDevice, RecordedPlan
from kdbench.results.records import Environment, Labelled, Latency, Record, Size

FOLDER = "devices"
Row = tuple[str, int]
"""(case, seed)."""


class DeviceRun(BaseModel):
    """One bundle's run on one target of a device, as it was merged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    device: str
    bundle: str
    """Digest of the bundle's manifest."""
    fingerprint: str
    facts: dict[str, Any]
    session: dict[str, Any]
    batch_sizes: tuple[int, ...]
    example_count: int
    """How many examples the device answered."""
    split_example_count: int
    """How many examples the whole split has."""
    record_sha256: str
    """The digest of the file that was merged."""

    @property
    def stem(self) -> str:
        """The name of its files in devices/, without their endings."""
        return slug(f"{self.target}-{self.bundle[:8]}")

    @property
    def key(self) -> str:
        """The key that its records have."""
        return self.bundle[:32]


def device_runs(folder: Path) -> list[DeviceRun]:
    """Every run that was merged into a results folder. Raises StoreError where one was damaged since."""
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            found.append(DeviceRun.model_validate_json(regular(path).read_bytes()))
        except (OSError, ValidationError):
            raise StoreError(f"'{path}' is damaged; remove it and merge that device's record again.") from None
    return found


def device_records(folder: Path, run: DeviceRun) -> list[Record]:
    """A run's records. Raises StoreError where they are missing, RecordError where they are damaged."""
    path = folder / FOLDER / f"{run.stem}.jsonl"
    if not path.is_file():
        raise StoreError(f"'{path}' is not there; remove '{path.with_suffix('.json')}' or merge that record again.")
    return records.read(path)


class KeptDevices:
    """The merged runs of a folder whose records are being rewritten."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lost: dict[str, list[Row]] = {}
        self._given: set[Hashable] = set()

    def again(self, written: Sequence[Record]) -> list[Record]:
        """The devices' records whose files are among those written, each row once however often this is asked."""
        digests: dict[Row, set[str]] = {}
        for record in written:
            if isinstance(record, Size):
                digests.setdefault((record.case, record.seed), set()).add(record.onnx_sha256)
        new: list[Record] = []
        for run in device_runs(self._folder):
            kept, self._lost[run.target] = still_true(device_records(self._folder, run), digests)
            new += [record for record in kept if _row_of(record) not in self._given]
        self._given |= set(map(_row_of, new))
        return new

    def notes(self) -> list[str]:
        """A sentence for each device whose files the last `again` did not find."""
        return [
            f"{target}: what was measured there of {', '.join(dict.fromkeys(case for case, _ in rows))} is of files "
            "that this folder no longer has; bundle them and run them there again."
            for target, rows in self._lost.items()
            if rows
        ]


def _row_of(record: Record) -> Hashable:
    """The row that a record belongs to; an environment belongs to none, and is told by its fingerprint."""
    return (record.target, record.case, record.seed) if isinstance(record, Labelled) else record.key


def still_true(found: Sequence[Record], digests: Mapping[Row, set[str]]) -> tuple[list[Record], list[Row]]:
    """Split a device's records into those whose files this folder still has, and the rows that are outdated.

    `digests`: row -> SHA-256 of its files. A row is outdated, too, where a file that it was timed beside is gone: times
    beside another baseline say nothing about this one.
    """
    known = {digest for files in digests.values() for digest in files}
    gone = dict.fromkeys(row for row, needed, own in _files(found) if own not in digests.get(row, ()) or needed - known)
    lost = [record for record in found if isinstance(record, Labelled) and (record.case, record.seed) in gone]
    kept = [record for record in found if not any(record is other for other in lost)]
    if all(isinstance(record, Environment) for record in kept):
        return [], list(gone)
    return kept, list(gone)


def _files(found: Sequence[Record]) -> Iterator[tuple[Row, set[str], str]]:
    """For each row: the row, the digests it was timed beside, its own digest."""
    beside: dict[Row, set[str]] = {}
    for record in found:
        if isinstance(record, Latency):
            beside.setdefault((record.case, record.seed), set()).update(record.references.values())
    for record in found:
        if isinstance(record, Size):
            row = (record.case, record.seed)
            yield row, beside.get(row, set()), record.onnx_sha256


def with_devices(plan: RecordedPlan, runs: Sequence[DeviceRun]) -> RecordedPlan:
    """The plan with the targets of devices; they are not under `measure`, as nobody can measure them again here."""
    own = [target for target in plan.targets if is_own(target)]
    devices = {run.target: _measured(run) for run in runs}
    return plan.model_copy(update={"targets": (*own, *devices), "devices": devices})


def is_own(target: str) -> bool:
    """Whether the run itself measured a target, rather than another device."""
    return target.startswith(f"{HERE}-")


def _measured(run: DeviceRun) -> RecordedDevice:
    return RecordedDevice(
        session=run.session,
        batch_sizes=run.batch_sizes,
        device=run.device,
        example_count=run.example_count,
        split_example_count=run.split_example_count,
    )
