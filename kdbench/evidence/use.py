"""Cold start and energy: what starting with a file and running it cost, one number per process."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from kdbench.errors import RecordError
from kdbench.evidence.intervals import Estimate
from kdbench.results.records import Energy, Start


@dataclass(frozen=True)
class StartView:
    """Time from an empty process to the first answer, in ns: median, least and most over the processes of all seeds."""

    import_ns: Estimate
    load_ns: Estimate
    first_inference_ns: Estimate
    total_ns: Estimate
    """Import, load and first call together, summed process by process."""
    engine_build_ns: float | None
    """Median over seeds; None where no engine was built."""


@dataclass(frozen=True)
class EnergyView:
    """Energy per call in mJ: median, least and most over the processes of all seeds."""

    counter: str
    call_mj: Estimate
    """Includes what the machine takes while idle."""
    above_idle_mj: Estimate | None
    """Without the energy of an equally long idle time; None where a process did not measure that."""
    idle_watts: float | None
    """Power without calls; median over processes."""


def start_view(records: Sequence[Start]) -> StartView:
    """Combine the cold starts of one case, one record a seed.

    Raises RecordError where a record's lists differ in length.
    """
    processes = [
        parts
        for record in records
        for parts in _processes(record, "runtime_import_ns", "load_ns", "first_inference_ns")
    ]
    imports, loads, firsts = (_middle([parts[place] for parts in processes]) for place in range(3))
    built = [record.engine_build_ns for record in records if record.engine_build_ns is not None]
    total = _middle([sum(parts) for parts in processes])
    return StartView(imports, loads, firsts, total, float(np.median(built)) if built else None)


def energy_view(records: Sequence[Energy]) -> EnergyView:
    """Combine the energies of one case, one record a seed.

    Raises RecordError where a record's lists differ in length.
    """
    readings = [reading for record in records for reading in _readings(record)]
    above = [above for _, above, _ in readings if above is not None]
    idle = [watts for _, _, watts in readings if watts is not None]
    return EnergyView(
        counter=records[0].counter,
        call_mj=_middle([call for call, _, _ in readings]),
        above_idle_mj=_middle(above) if len(above) == len(readings) else None,
        idle_watts=float(np.median(idle)) if idle else None,
    )


def _readings(record: Energy) -> Iterator[tuple[float, float | None, float | None]]:
    """(mJ per call, mJ per call above idle, idle watts) of each process. A microjoule per nanosecond is a kilowatt."""
    if not record.idle_energy_uj or not record.idle_wall_ns:
        for count, energy, _ in _processes(record, "call_count", "energy_uj", "wall_ns"):
            yield energy / count / 1e3, None, None
        return
    names = ("call_count", "energy_uj", "wall_ns", "idle_energy_uj", "idle_wall_ns")
    for count, energy, wall, idle, idle_wall in _processes(record, *names):
        yield energy / count / 1e3, (energy - idle * wall / idle_wall) / count / 1e3, 1e3 * idle / idle_wall


def _processes(record: Start | Energy, *names: str) -> list[tuple[int, ...]]:
    """These fields, process by process. All must be above zero but energies: a short reading may be zero."""
    fields = [getattr(record, name) for name in names]
    positive = all(value > 0 for name, field in zip(names, fields, strict=True) if "_uj" not in name for value in field)
    if len(set(map(len, fields))) > 1 or not fields[0] or not positive:
        place = f"{record.case}, seed {record.seed}, {record.target}, batch {record.call_size}"
        raise RecordError(f"the {record.KIND} record of {place} has not one {', '.join(names)} above zero a process.")
    return list(zip(*fields, strict=True))


def _middle(values: Sequence[float]) -> Estimate:
    return Estimate(float(np.median(values)), float(min(values)), float(max(values)), tuple(map(float, values)))
