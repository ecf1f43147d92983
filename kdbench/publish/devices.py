"""The devices that targets are of, and targets under other names of their devices. Reads no file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from kdbench.measure.device.command import DEVICE, device_of
from kdbench.measure.target_id import HERE, target_name
from kdbench.results.folder import Results
from kdbench.results.plan_json import RecordedDevice
from kdbench.results.records import Environment, Labelled, Latency, Record

LONGEST = 40
"""Characters of a device's name."""
UNKNOWN = "machine"
"""The name of a device of which no record says the processor."""


def device(target: str) -> str:
    """The device of a target's name."""
    name = target_name(target)
    return name.device if name else target.partition("-")[0]


def devices_of(targets: Iterable[str]) -> tuple[str, ...]:
    """Every device that targets are of, once each."""
    return tuple(dict.fromkeys(map(device, targets)))


def moved(target: str, names: Mapping[str, str]) -> str:
    """The target with its device's other name, where it has one."""
    own = device(target)
    return f"{names.get(own, own)}{target[len(own) :]}"


def moved_record(record: Record, names: Mapping[str, str]) -> Record:
    """The record, of the target with its device's other name."""
    if not isinstance(record, Labelled) or record.target is None:
        return record
    return replace(record, target=moved(record.target, names))


def moved_plan(results: Results, names: Mapping[str, str]) -> dict[str, RecordedDevice]:
    """Every target of a folder by its other name, as a target of a device: nobody measures it again elsewhere."""
    return {moved(target, names): _device(results, target, names) for target in results.targets}


def _device(results: Results, target: str, names: Mapping[str, str]) -> RecordedDevice:
    plan, name = results.plan, names.get(device(target), device(target))
    known = plan.devices.get(target)
    if known is not None:
        return known.model_copy(update={"device": name})
    counts = [record.example_count for record in results.scores() if (record.target, record.split) == (target, "test")]
    sizes = sorted({record.batch_size for record in results.of(Latency) if record.target == target})
    return RecordedDevice(
        session=plan.measured(target).get("session", {}),
        batch_sizes=tuple(sizes),
        device=name,
        example_count=max(counts, default=0),
        split_example_count=max(counts, default=0),
    )


def name_of_this(results: Results) -> str:
    """What to call the machine that the folder's run was on: after its processor, never after its host."""
    timed = {record.fingerprint for record in results.of(Latency) if record.target and device(record.target) == HERE}
    for record in results.of(Environment):
        if record.fingerprint in timed or not timed:
            found = device_of(str(record.facts.get("cpu", "")))
            if DEVICE.fullmatch(found) and found != HERE:
                return found
    return UNKNOWN


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with a number behind it where it is taken."""
    number, free = 1, name
    while free in taken:
        number += 1
        end = f"-{number}"
        free = f"{name[: LONGEST - len(end)]}{end}"
    return free
