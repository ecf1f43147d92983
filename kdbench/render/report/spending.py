"""Where the time of a run went, and what each case's training cost beside what it gained."""

from collections.abc import Iterable
from dataclasses import dataclass

from kdbench import units
from kdbench.evidence import CaseView, Evidence
from kdbench.render.tables.cells import Table
from kdbench.results.records import Compression, Latency, Teaching, Training


@dataclass(frozen=True)
class Time:
    """One kind of work: how many stages (or timings), together how long, which share of all."""

    work: str
    count: int
    wall_ns: float
    share: float

    @property
    def duration(self) -> str:
        return units.duration(self.wall_ns)

    @property
    def percent(self) -> str:
        return units.percent(self.share, 0)


@dataclass(frozen=True)
class Spent:
    """One case that trained; `place` is its row in the decision table."""

    place: int
    case: CaseView
    wall: str
    cpu: str
    gain: str


def times(evidence: Evidence) -> list[Time]:
    """Kinds of work in the order they are done, a technique's training with it; what took no time is left out."""
    results = evidence.results
    trained = _longest(results.of(Training))
    teachers = _longest(record for name in results.plan.teachers for record in results.of(Training, name))
    techniques = {record.key: record.technique or "" for record in results.of(Compression)}
    compressed = _longest(results.of(Compression))
    students = {key: wall for key, wall in trained.items() if key not in teachers and key not in techniques}
    found = {
        "Training the teacher": teachers,
        "Storing the teacher's outputs": _longest(results.of(Teaching)),
        "Training on labels alone": students,
        **{
            name: {key: max(compressed[key], trained.get(key, 0)) for key, its in techniques.items() if its == name}
            for name in dict.fromkeys(techniques.values())
        },
        "Timed calls": _timed(results.of(Latency)),
    }
    total = sum(wall for stages in found.values() for wall in stages.values())
    return [
        Time(work, len(stages), sum(stages.values()), sum(stages.values()) / total)
        for work, stages in found.items()
        if sum(stages.values())
    ]


def _longest(records: Iterable[Training | Compression | Teaching]) -> dict[str, int]:
    """Wall time by stage: several cases may have a record of the same one."""
    found: dict[str, int] = {}
    for record in records:
        found[record.key] = max(found.get(record.key, 0), record.wall_ns or 0)
    return found


def _timed(records: Iterable[Latency]) -> dict[str, int]:
    """By file and batch size: its own calls, warm-up too. References are timed again beside every group of files."""
    return {
        f"{record.key} {record.batch_size}": sum(
            sum(process) for samples in (record.warmup_ns, record.samples_ns) for process in samples or ()
        )
        for record in records
    }


def costs(evidence: Evidence, table: Table) -> list[Spent]:
    """Every case that trained."""
    gains = next((column.cells for column in table.columns if column.key == "difference"), None)
    return [
        Spent(
            place,
            case,
            units.duration(case.cost.wall_ns),
            units.duration(case.cost.cpu_ns),
            gains[place].text if gains else units.MISSING,
        )
        for place, case in enumerate(evidence.cases)
        if case.cost
    ]
