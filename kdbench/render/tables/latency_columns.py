"""The decision table's columns of a setting: latency, speed-ups, percentiles, what ran where, memory."""

from collections.abc import Callable, Sequence

from kdbench import units
from kdbench.evidence import CaseView, Evidence, ExecutionView, LatencyView, Setting
from kdbench.render.tables.cells import Cell, Column, Footnotes, aligned_cells
from kdbench.render.tables.throughput_columns import throughput_columns
from kdbench.render.tables.use_columns import energy_columns, start_columns
from kdbench.render.words.words import NOT_TIMED, UNRELIABLE_TAIL, baseline_name, explained, setting_name, target_place
from kdbench.results.records import TEACHER
from kdbench.stats import needed_samples

NO_KERNELS = "the runtime did not say which kernels ran"
TOO_SMALL = "n too small"
"""Instead of a percentile that the calls are too few for."""
AT_A_SETTING = frozenset({"p50", "speedup", "speedup_teacher", "throughput", "thread_speedup", "asked", "int8"})
"""Columns whose heading must say the setting, where nothing above them does."""


def latency_columns(evidence: Evidence, setting: Setting, notes: Footnotes) -> list[Column]:
    """Everything measured at one target and batch size; the first setting's columns rank higher."""
    values = [case.latency[setting].p50_ns.value for case in evidence.cases if setting in case.latency]
    unit = units.common_unit(values, units.NANOSECONDS)
    place = setting_name(evidence, setting)
    first = setting == evidence.settings[0]
    columns = [
        Column("p50", "p50", unit.name, place, 4 if first else 8, _p50(evidence, setting, unit, notes)),
        Column("p90", "p90", unit.name, place, 17, _percentile(evidence, setting, unit, 0.9, notes)),
        Column("p99", "p99", unit.name, place, 19, _percentile(evidence, setting, unit, 0.99, notes)),
        Column("speedup", "Faster", f"x {baseline_name(evidence)}", place, 5 if first else 7,
               _speedups(evidence, setting, "baseline", notes)),
        Column("speedup_teacher", "Faster", f"x {TEACHER}", place, 11 if first else 18,
               _speedups(evidence, setting, TEACHER, notes)),
        Column("int8", "In int8", "% of kernels", place, 20, _int8(evidence, setting, notes)),
    ]  # fmt: skip
    return [
        *columns,
        *throughput_columns(evidence, setting, place, notes),
        *start_columns(evidence, setting, place, notes),
        *_memory(evidence, setting, place, notes),
        *energy_columns(evidence, setting, place, notes),
    ]


def _timed(
    evidence: Evidence, setting: Setting, made: Callable[[CaseView, LatencyView], Cell], notes: Footnotes
) -> list[Cell]:
    """A cell for every case that was timed, a dash with its reason for the others."""
    return [
        made(case, view)
        if (view := case.latency.get(setting))
        else notes.missing(case.problems_on(setting[0]), NOT_TIMED)
        for case in evidence.cases
    ]


def _p50(evidence: Evidence, setting: Setting, unit: units.Unit, notes: Footnotes) -> tuple[Cell, ...]:
    views = [case.latency[setting] for case in evidence.cases if setting in case.latency]
    texts = iter(units.aligned([units.in_unit(view.p50_ns.value, unit) for view in views]))

    def made(case: CaseView, view: LatencyView) -> Cell:
        marks = tuple(notes.place(explained(word)) for word in view.warnings)
        return Cell(next(texts), notes=marks, value=view.p50_ns.value)

    return tuple(_timed(evidence, setting, made, notes))


def _percentile(
    evidence: Evidence, setting: Setting, unit: units.Unit, fraction: float, notes: Footnotes
) -> tuple[Cell, ...]:
    """A tail that neighbours on the machine made carries that warning; one of too few calls is not shown."""

    def of(view: LatencyView) -> float | None:
        return view.p90_ns if fraction == 0.9 else view.p99_ns

    known = [value for case in evidence.cases if (view := case.latency.get(setting)) and (value := of(view))]
    texts = iter(units.aligned([units.in_unit(value, unit) for value in known]))

    def made(case: CaseView, view: LatencyView) -> Cell:
        value = of(view)
        if value is None:
            return _too_small(view, fraction, notes)
        marks = tuple(notes.place(explained(word)) for word in view.warnings if word in UNRELIABLE_TAIL)
        return Cell(next(texts), notes=marks, value=value)

    return tuple(_timed(evidence, setting, made, notes))


def _too_small(view: LatencyView, fraction: float, notes: Footnotes) -> Cell:
    calls = sum(map(len, view.processes))
    why = f"{TOO_SMALL}: a p{100 * fraction:.0f} needs {needed_samples(fraction)} calls or more, here were {calls}"
    return Cell(TOO_SMALL, notes=(notes.place(why),))


def asked_columns(evidence: Evidence, notes: Footnotes) -> list[Column]:
    """How much the asked provider did, for each target where that was not everything for every case."""
    found = []
    for target in evidence.targets:
        views = {case.name: _proven(case, target) for case in evidence.cases}
        if any(view.elsewhere for several in views.values() for view in several):
            cells = tuple(_asked(case, views[case.name], target, notes) for case in evidence.cases)
            found.append(Column("asked", "As asked", "% of the work", target_place(target), 6, cells))
    return found


def _proven(case: CaseView, target: str) -> list[ExecutionView]:
    return [view for (where, _), view in case.execution.items() if where == target and view.is_known]


def _asked(case: CaseView, views: Sequence[ExecutionView], target: str, notes: Footnotes) -> Cell:
    """The least of all batch sizes."""
    shares = [share for view in views if (share := view.asked_share) is not None]
    if not shares:
        timed = any(where == target for where, _ in case.latency)
        return notes.missing(case.problems_on(target), NO_KERNELS if timed else NOT_TIMED)
    return Cell(share_text(min(shares)), value=min(shares))


def share_text(share: float) -> str:
    """A share in per cent; only the whole is 100, only nothing 0."""
    text = units.percent(share, 0)
    if text == "100" and share < 1:
        return "> 99"
    return "< 1" if text == "0" and share > 0 else text


def _speedups(evidence: Evidence, setting: Setting, role: str, notes: Footnotes) -> tuple[Cell, ...]:
    """With letters where they are ratios to the baseline, for those rest on them."""
    views = [case.latency[setting] for case in evidence.cases if setting in case.latency]
    widest = max((len(view.letters) for view in views), default=0) if role == "baseline" else 0

    def made(case: CaseView, view: LatencyView) -> Cell:
        letters = view.letters.ljust(widest, units.FIGURE_SPACE) if widest else ""
        if case.teaches if role == TEACHER else case.name == case.baseline:
            return Cell(role, letters, value=1.0)
        if ratio := view.speedup.get(role):
            return Cell(units.ratio(ratio.value, ratio.low, ratio.high), letters, value=ratio.value)
        return notes.missing(case.problems_on(setting[0]), f"it was not timed beside the {role}")

    return tuple(_timed(evidence, setting, made, notes))


def _int8(evidence: Evidence, setting: Setting, notes: Footnotes) -> tuple[Cell, ...]:
    def made(case: CaseView, view: LatencyView) -> Cell:
        share = view.int8_kernel_fraction
        if share is None:
            return notes.missing((), NO_KERNELS)
        return Cell(units.percent(share, 0), value=share)

    return tuple(_timed(evidence, setting, made, notes))


def _memory(evidence: Evidence, setting: Setting, place: str, notes: Footnotes) -> list[Column]:
    """Peak memory, where any case has it."""
    known = {case.name: case.memory_bytes[setting] for case in evidence.cases if setting in case.memory_bytes}
    if not known:
        return []
    unit = units.common_unit(list(known.values()), units.BYTES)
    cells = aligned_cells([
        (units.in_unit(known[case.name], unit), known[case.name])
        if case.name in known
        else notes.missing(case.problems_on(setting[0]), "no memory was recorded")
        for case in evidence.cases
    ])  # fmt: skip
    return [Column("memory", "Memory", unit.name, place, 21, cells)]
