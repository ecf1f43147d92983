"""The decision table's columns of what it costs to begin with a file and to run it: cold start and energy."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kdbench import units
from kdbench.evidence import CaseView, EnergyView, Evidence, Setting, StartView
from kdbench.evidence.intervals import Estimate
from kdbench.render.tables.cells import Cell, Column, Footnotes, aligned_cells
from kdbench.render.words.words import listed, target_place

RANK = 22
"""Behind everything else, for whoever opens them."""
NO_START, NO_ENERGY = "no cold start was recorded", "no energy was recorded"
NO_ENGINE = "no engine was built"
NO_IDLE = "the counter was not read without calls"
COUNTERS = {"nvml": "the whole GPU", "rapl": "the whole processor package"}
"""What a counter counts."""
MILLIJOULES = (units.Unit("mJ", 1.0),)


@dataclass(frozen=True)
class _Made:
    """One column's numbers, by case; of an estimate the least and the most process stand beside it."""

    key: str
    title: str
    numbers: Mapping[str, Estimate | float]
    scale: Sequence[units.Unit]
    per: str
    """Behind the unit."""
    missing: Callable[[CaseView], str]


def start_columns(evidence: Evidence, setting: Setting, place: str, notes: Footnotes) -> list[Column]:
    """From nothing to the first answer, its parts and the engine build; none that no case has."""
    views = {case.name: case.start[setting] for case in evidence.cases if setting in case.start}

    def made(key: str, title: str, of: Callable[[StartView], Estimate | float | None], missing: str) -> _Made:
        numbers = {name: number for name, view in views.items() if (number := of(view)) is not None}
        return _Made(
            key, title, numbers, units.NANOSECONDS, "", lambda case: missing if case.name in views else NO_START
        )

    columns = [
        made("start", "Cold start", lambda view: view.total_ns, NO_START),
        made("start_import", "Import", lambda view: view.import_ns.value, NO_START),
        made("start_load", "Load", lambda view: view.load_ns.value, NO_START),
        made("start_first", "First call", lambda view: view.first_inference_ns.value, NO_START),
        made("start_engine", "Engine build", lambda view: view.engine_build_ns, NO_ENGINE),
    ]
    return [_column(evidence, setting, one, place, notes) for one in columns if one.numbers]


def energy_columns(evidence: Evidence, setting: Setting, place: str, notes: Footnotes) -> list[Column]:
    """Energy a call, the same above idle, and an example of a batch; none that no case has."""
    views = {case.name: case.energy[setting] for case in evidence.cases if setting in case.energy}
    counter = listed(list(dict.fromkeys(view.counter for view in views.values())))

    def made(key: str, title: str, of: Callable[[EnergyView], Estimate | float | None], per: str) -> _Made:
        numbers = {name: number for name, view in views.items() if (number := of(view)) is not None}
        return _Made(key, title, numbers, MILLIJOULES, per, lambda case: NO_IDLE if case.name in views else NO_ENERGY)

    columns = [made("energy", f"Energy ({counter})", lambda view: view.call_mj, "a call")]
    if setting[1] > 1:
        one = setting[1]
        columns.append(
            made("energy_example", f"Energy ({counter})", lambda view: view.call_mj.value / one, "an example")
        )
    columns.append(made("energy_above", "Above idle", lambda view: view.above_idle_mj, "a call"))
    return [_column(evidence, setting, one, place, notes) for one in columns if one.numbers]


def _column(evidence: Evidence, setting: Setting, made: _Made, place: str, notes: Footnotes) -> Column:
    values = {name: n.value if isinstance(n, Estimate) else n for name, n in made.numbers.items()}
    unit = units.common_unit(list(values.values()), made.scale)
    found: list[tuple[str, float] | Cell] = []
    for case in evidence.cases:
        number = made.numbers.get(case.name)
        if number is None:
            found.append(notes.missing(case.problems_on(setting[0]), made.missing(case)))
        elif isinstance(number, Estimate):
            found.append(Cell(spread(number, unit), value=number.value))
        else:
            found.append((units.in_unit(number, unit), number))
    return Column(made.key, made.title, f"{unit.name} {made.per}".strip(), place, RANK, aligned_cells(found))


def spread(found: Estimate, unit: units.Unit) -> str:
    """61.2 (60.4 to 66.0): the median, the least and the most; one process has no spread."""
    if found.n < 2 or found.low is None or found.high is None:
        return units.in_unit(found.value, unit)
    low, high = units.in_unit(found.low, unit), units.in_unit(found.high, unit)
    return f"{units.in_unit(found.value, unit)} ({low} to {high})"


def use_legend(evidence: Evidence) -> Iterator[str]:
    """How to read these columns; nothing where there are none."""
    starts = [view for case in evidence.cases for view in case.start.values()]
    if starts:
        yield (
            "Cold start is importing the runtime, loading the file and the first call, in fresh processes of its own "
            f"({max(view.total_ns.n for view in starts)} a case): the median, with the least and the most of them."
        )
    if any(view.engine_build_ns is not None for view in starts):
        yield "Engine build is what the first process of all took longer, as it found no engine from before."
    for target in evidence.targets:
        views = [view for case in evidence.cases for (where, _), view in case.energy.items() if where == target]
        if views:
            yield _energy_words(target, views)


def _energy_words(target: str, views: Sequence[EnergyView]) -> str:
    counter = views[0].counter
    counted = f" ({COUNTERS[counter]})" if counter in COUNTERS else ""
    text = f"Energy on {target_place(target)} is what {counter}{counted} read over the calls, idle power included"
    idle = sorted(view.idle_watts for view in views if view.idle_watts is not None)
    if not idle:
        return f"{text}; how much that is was not read."
    return f"{text}: {units.three_digits(idle[len(idle) // 2])} W without calls, which above idle is less."
