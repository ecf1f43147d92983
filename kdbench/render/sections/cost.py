"""Where the time of a run went, and what each case's training cost beside what it gained."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from kdbench import units
from kdbench.evidence import Evidence
from kdbench.evidence.training import Cost
from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Grid, Heading, Line, Prose, Report, Section, Share
from kdbench.render.words.words import baseline_name
from kdbench.results.records import Compression, Latency, Teaching, Training

WORK = (("Work", ""), ("Count", ""), ("Time", ""), ("Share", ""))
COSTS = (("Case", ""), ("Wall time", "a seed"), ("Processor time", "a seed"))
"""(title, unit) of each column."""


@dataclass(frozen=True)
class Time:
    """One kind of work: how many stages (or timings), together how long, which share of all."""

    work: str
    count: int
    wall_ns: float
    share: float


def times(evidence: Evidence) -> list[Time]:
    """Kinds of work in the order they are done, a technique's training with it; what took no time is left out."""
    results = evidence.results
    trained = _longest(results.of(Training))
    teachers = _longest(record for name in results.plan.teachers for record in results.of(Training, name))
    techniques = {record.key: record.technique for record in results.of(Compression)}
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
        found[record.key] = max(found.get(record.key, 0), record.wall_ns)
    return found


def _timed(records: Iterable[Latency]) -> dict[str, int]:
    """By file and batch size: its own calls, warm-up too. References are timed again beside every group of files."""
    found = {}
    for record in records:
        warm_up = sum(record.warmup_total_ns) or sum(map(sum, record.warmup_ns))
        found[f"{record.key} {record.call_size}"] = warm_up + sum(map(sum, record.samples_ns))
    return found


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    if spent := times(report.evidence):
        yield Prose(
            "Where the time of the run went. Each stage is counted once; several ran side by side, and what was reused "
            "cost nothing again."
        )
        lines = [(time.work, str(time.count), units.duration(time.wall_ns), _share(time)) for time in spent]
        yield Grid("Where the time of the run went", WORK, tuple(map(Line, lines)))
    gains = next((column.cells for column in report.table.columns if column.key == "difference"), None)
    costs = [
        Line((case.name, *_spent(case.cost), gains[row].text if gains else units.MISSING), case)
        for row, case in enumerate(report.evidence.cases)
        if case.cost
    ]
    if costs:
        yield Heading("Training cost beside what it gained")
        yield Prose("A case's cost counts every stage it rests on, shared ones too, for one seed.")
        scale = report.evidence.scale
        gained = (scale.heading, f"{scale.of_differences} against {baseline_name(report.evidence)}".strip())
        yield Grid("Training cost of each case beside what it gained", (*COSTS, gained), tuple(costs))
    else:
        yield Prose("No training was recorded.")


def _spent(cost: Cost) -> tuple[str, str]:
    return units.duration(cost.wall_ns), units.duration(cost.cpu_ns)


def _share(time: Time) -> Share:
    return Share(time.share, f"{units.percent(time.share, 0)} %")


COST = Section("cost", "Cost", _blocks)
