"""How a device's run stands in a results folder: in devices/, in records.jsonl, in plan.json."""

from collections.abc import Sequence
from pathlib import Path

from kdbench.files import write_whole
from kdbench.results import records
from kdbench.results.devices import FOLDER, DeviceRun, device_runs, with_devices
from kdbench.results.plan_json import read_plan
from kdbench.results.records import Environment, Labelled, Record, labelled


def keep(folder: Path, run: DeviceRun, lines: Sequence[Record]) -> None:
    """Write devices/ first, then the records and plan.json: a kill between them is mended by doing it again.

    Raises OSError.
    """
    place = folder / FOLDER / run.stem
    write_whole(place.with_name(f"{run.stem}.jsonl"), "".join(records.to_line(line) + "\n" for line in lines))
    write_whole(place.with_name(f"{run.stem}.json"), run.model_dump_json(indent=1))
    _put(folder, lines)
    plan = read_plan(folder)
    if plan is not None:
        with_devices(plan, device_runs(folder)).write(folder)


def _put(folder: Path, lines: Sequence[Record]) -> None:
    """The run's records at the end of the folder's, in place of an earlier state of the same run."""
    path = folder / "records.jsonl"
    replaced = {(line.target, line.key) for line in labelled(lines)}
    old = records.read(path)
    rest = [line for line in old if not isinstance(line, Labelled) or (line.target, line.key) not in replaced]
    known = {line.fingerprint for line in rest if isinstance(line, Environment)}
    new = [line for line in lines if not (isinstance(line, Environment) and line.fingerprint in known)]
    write_whole(path, "".join(records.to_line(line) + "\n" for line in (*rest, *new)))
