"""devices/ of a results folder: what records of other devices brought, put back whenever the folder is rewritten."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from kdbench.errors import StoreError
from kdbench.files import slug
from kdbench.measure.device.command import RESERVED
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
    """Of the sample that accuracy was taken on."""
    split_example_count: int
    """Of the whole split."""
    record_sha256: str
    """Of the file that was merged."""

    @property
    def stem(self) -> str:
        """How its files in devices/ are called."""
        return slug(f"{self.target}-{self.bundle[:8]}")

    @property
    def key(self) -> str:
        """Of its records."""
        return self.bundle[:32]


def device_runs(folder: Path) -> list[DeviceRun]:
    """What was merged into a results folder. Raises StoreError where it was damaged since."""
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            found.append(DeviceRun.model_validate_json(path.read_bytes()))
        except (OSError, ValidationError):
            raise StoreError(f"'{path}' is damaged; remove it and merge that device's record again.") from None
    return found


def device_records(folder: Path, run: DeviceRun) -> list[Record]:
    """The records of a run. Raises StoreError where they are not there, RecordError where they are damaged."""
    path = folder / FOLDER / f"{run.stem}.jsonl"
    if not path.is_file():
        raise StoreError(f"'{path}' is not there; remove '{path.with_suffix('.json')}' or merge that record again.")
    return records.read(path)


class KeptDevices:
    """What was merged into a folder, for whoever writes its records anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lost: dict[str, list[Row]] = {}
        self._given: set[Hashable] = set()

    def again(self, written: Sequence[Record]) -> list[Record]:
        """The devices' records of files that the folder has by now, each row once however often this is asked."""
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
        """A sentence for each device of which rows are missing, as of the last `again`."""
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
    """Of a run's records those whose files are the folder's, and the rows of which they are not.

    `digests`: row -> SHA-256 of its files. A row counts with all it was compared with: times beside another baseline
    say nothing of this one.
    """
    known = {digest for files in digests.values() for digest in files}
    gone = dict.fromkeys(row for row, needed, own in _files(found) if own not in digests.get(row, ()) or needed - known)
    lost = [record for record in found if isinstance(record, Labelled) and (record.case, record.seed) in gone]
    kept = [record for record in found if not any(record is other for other in lost)]
    if all(isinstance(record, Environment) for record in kept):
        return [], list(gone)
    return kept, list(gone)


def _files(found: Sequence[Record]) -> Iterator[tuple[Row, set[str], str]]:
    """(row, digests it was timed beside, its own digest)."""
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
    """Whether a folder's own run measured a target, and no other device."""
    return target.startswith(f"{RESERVED}-")


def _measured(run: DeviceRun) -> RecordedDevice:
    return RecordedDevice(
        session=run.session,
        batch_sizes=run.batch_sizes,
        device=run.device,
        example_count=run.example_count,
        split_example_count=run.split_example_count,
    )
