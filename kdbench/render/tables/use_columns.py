"""The decision table's columns of what it costs to start with a file and to run it: cold start and energy."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kdbench import units
from kdbench.evidence import CaseView, EnergyView, Evidence, Setting, StartView
from kdbench.evidence.intervals import Estimate
from kdbench.render.tables.columns import ColumnSpec, reason, scaled, spreads
from kdbench.render.words.words import listed, target_place

RANK = 22
"""After all other columns; a reader has to open them."""
NO_START, NO_ENERGY = "no cold start was recorded", "no energy was recorded"
NO_ENGINE = "no engine was built"
NO_IDLE = "the counter was not read without calls"
COUNTERS = {"nvml": "the whole GPU", "rapl": "the whole processor package"}
"""The part of the machine whose energy a counter counts."""
MILLIJOULES = (units.Unit("mJ", 1.0),)


def start_columns(setting: Setting, where: dict[str, Any]) -> Iterator[ColumnSpec[Any]]:
    """From nothing to the first answer, its parts and the engine build; columns that no case has are left out."""

    def part(key: str, title: str, of: Callable[[StartView], float | None]) -> ColumnSpec[float]:
        return ColumnSpec(
            key, title, lambda case: of(view) if (view := case.start.get(setting)) else None,
            scaled(units.NANOSECONDS), missing, rank=RANK, is_optional=True, **where,
        )  # fmt: skip

    def total(case: CaseView) -> Estimate | None:
        return view.total_ns if (view := case.start.get(setting)) else None

    def missing(case: CaseView) -> str:
        return reason(case.problems_on(setting[0]), NO_ENGINE if setting in case.start else NO_START)

    yield ColumnSpec("start", "Cold start", total, spreads(units.NANOSECONDS), NO_START, rank=RANK, is_optional=True,
                     **where)  # fmt: skip
    yield part("start_import", "Import", lambda view: view.import_ns.value)
    yield part("start_load", "Load", lambda view: view.load_ns.value)
    yield part("start_first", "First call", lambda view: view.first_inference_ns.value)
    yield part("start_engine", "Engine build", lambda view: view.engine_build_ns)


def energy_columns(evidence: Evidence, setting: Setting, where: dict[str, Any]) -> Iterator[ColumnSpec[Any]]:
    """Energy a call, the same above idle, and energy an example of a batch; columns that no case has are left out."""
    views = [case.energy[setting] for case in evidence.cases if setting in case.energy]
    title = f"Energy ({listed(list(dict.fromkeys(view.counter for view in views)))})" if views else ""

    def missing(case: CaseView) -> str:
        return reason(case.problems_on(setting[0]), NO_IDLE if setting in case.energy else NO_ENERGY)

    def made(key: str, title: str, of: Callable[[EnergyView], Any], form: Any, per: str) -> ColumnSpec[Any]:
        def number(case: CaseView) -> Any:
            return of(view) if (view := case.energy.get(setting)) else None

        return ColumnSpec(key, title, number, form, missing, per, rank=RANK, is_optional=True, **where)

    yield made("energy", title, lambda view: view.call_mj, spreads(MILLIJOULES), "a call")
    if (batch := setting[1].batch_size) > 1:
        yield made("energy_example", title, lambda view: view.call_mj.value / batch, scaled(MILLIJOULES), "an example")
    yield made("energy_above", "Above idle", lambda view: view.above_idle_mj, spreads(MILLIJOULES), "a call")


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
