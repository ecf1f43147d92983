"""The decision table's columns of files: how big they are and what training them cost."""

from collections.abc import Callable, Sequence

from kdbench import units
from kdbench.evidence import CaseView, Evidence, SizeView
from kdbench.render.tables.accuracy_columns import LATER, SHOWN_TARGETS, distinct
from kdbench.render.tables.cells import Cell, Column, Footnotes, aligned_cells
from kdbench.render.words.words import baseline_name

NO_SIZE = "no size was recorded"
SIZES: tuple[tuple[str, str, int, tuple[units.Unit, ...], Callable[[SizeView], float | None]], ...] = (
    ("gzip", "gzip", 16, units.BYTES, lambda view: view.onnx_gzip_bytes),
    ("parameters", "Parameters", 13, units.COUNTS, lambda view: view.parameter_count),
    ("nonzero", "Not zero", 14, units.COUNTS, lambda view: view.nonzero_parameter_count),
    ("macs", "MACs", 12, units.COUNTS, lambda view: view.mac_count),
)
"""Key, title, rank, units and number of the columns that say more of a file than its bytes."""


def size_columns(evidence: Evidence, notes: Footnotes) -> list[Column]:
    """How big each file is, and how much smaller than its baseline's; again for targets whose files differ."""
    columns: list[Column] = []
    deployed = [target for target in evidence.targets if target not in evidence.results.reference_targets]
    for place, (target, named) in enumerate(distinct(evidence, _bytes, deployed)):
        group, later = f"Size{named}", LATER if place >= SHOWN_TARGETS else 0
        unit, cells = _sized(evidence, target, units.BYTES, lambda view: view.onnx_bytes, notes)
        columns += [
            Column("bytes", "File", unit, group, 3 + later, cells),
            Column("compression", "Smaller", f"x {baseline_name(evidence)}", group, 9 + later,
                   _compression(evidence, target, notes)),
        ]  # fmt: skip
        for key, title, rank, scale, of in SIZES:
            unit, cells = _sized(evidence, target, scale, of, notes)
            columns.append(Column(key, title, unit, group, rank + later, cells))
    return columns


def _bytes(case: CaseView, target: str) -> float | None:
    size = case.size.get(target)
    return size.onnx_bytes if size else None


def _compression(evidence: Evidence, target: str, notes: Footnotes) -> tuple[Cell, ...]:
    return aligned_cells([
        (units.three_digits(ratio), ratio)
        if (view := case.size.get(target)) and (ratio := view.compression_ratio.get("baseline"))
        else notes.missing(case.problems_on(target), NO_SIZE)
        for case in evidence.cases
    ])  # fmt: skip


def _sized(
    evidence: Evidence,
    target: str,
    scale: Sequence[units.Unit],
    of: Callable[[SizeView], float | None],
    notes: Footnotes,
) -> tuple[str, tuple[Cell, ...]]:
    """The unit that fits the smallest, and every cell in it."""
    sizes = {case.name: case.size[target] for case in evidence.cases if target in case.size}
    numbers = {name: number for name, size in sizes.items() if (number := of(size)) is not None}
    unit = units.common_unit(list(numbers.values()), scale)
    cells = aligned_cells([
        (units.in_unit(numbers[case.name], unit), numbers[case.name])
        if case.name in numbers
        else notes.missing(case.problems_on(target), sizes[case.name].mac_rule if case.name in sizes else NO_SIZE)
        for case in evidence.cases
    ])  # fmt: skip
    return unit.name, cells


def cost_column(evidence: Evidence, notes: Footnotes) -> Column:
    """What a case's training takes."""
    cells = tuple(
        Cell(units.duration(case.cost.wall_ns), value=case.cost.wall_ns)
        if case.cost
        else notes.missing(case.problems, "no training was recorded")
        for case in evidence.cases
    )
    return Column("training", "Training", "a seed", "Cost", 6, cells)
