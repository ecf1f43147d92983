"""The decision table's columns of a setting: latency, speed-ups, percentiles, int8 share, memory."""

from collections.abc import Callable

from kdbench import units
from kdbench.evidence import CaseView, Evidence, LatencyView, Setting
from kdbench.records import TEACHER
from kdbench.render.cells import Cell, Column, Footnotes, aligned_cells
from kdbench.render.words import baseline_name, explained, setting_name
from kdbench.stats import needed_samples

NOT_TIMED = "no latency was recorded"
NO_KERNELS = "the runtime did not say which kernels ran"


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
    return [*columns, *_memory(evidence, setting, place, notes)]


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
    few = f"a p{100 * fraction:.0f} needs {needed_samples(fraction)} samples or more"
    found: list[tuple[str, float] | Cell] = []
    for case in evidence.cases:
        view = case.latency.get(setting)
        value = None if view is None else view.p90_ns if fraction == 0.9 else view.p99_ns
        if value is not None:
            found.append((units.in_unit(value, unit), value))
        else:
            found.append(notes.missing(case.problems_on(setting[0]), few if view else NOT_TIMED))
    return aligned_cells(found)


def _speedups(evidence: Evidence, setting: Setting, role: str, notes: Footnotes) -> tuple[Cell, ...]:
    def made(case: CaseView, view: LatencyView) -> Cell:
        if case.teaches if role == TEACHER else case.name == case.baseline:
            return Cell(role, value=1.0)
        if ratio := view.speedup.get(role):
            return Cell(units.ratio(ratio.value, ratio.low, ratio.high), value=ratio.value)
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
