"""A column as an object: what it shows of a case, in which form, and why that may be missing.

`fill` makes the cells of all cases at once, because they share a unit, a number of decimals and their alignment.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from kdbench import units
from kdbench.evidence import CaseView
from kdbench.evidence.differences import Difference
from kdbench.evidence.intervals import Estimate
from kdbench.render.tables.cells import Cell, Column, dash

V = TypeVar("V")
Form = Callable[[Sequence[V]], tuple[str, Sequence[str]]]
"""All numbers of a column -> the unit that fits them, and each as text."""


@dataclass(frozen=True)
class ColumnSpec(Generic[V]):
    """One column before it is filled. `title`, `topic`, `place`, `rank`, `later` and `targets` are as in Column."""

    key: str
    title: str
    of: Callable[[CaseView], V | Cell | None]
    """Gives a case's number, a ready cell if a word stands in its place, or None if it is missing."""
    form: Form[V]
    missing: str | Callable[[CaseView], str] = ""
    """Why a number is missing. A text is used where no failure on the first of `targets` explains it."""
    unit: str = ""
    """Text behind the form's unit."""
    topic: str = ""
    place: str = ""
    rank: int = 0
    later: int = 0
    targets: tuple[str, ...] = ()
    notes: Callable[[CaseView], Iterable[str]] | None = None
    """Sentences for footnotes at a case's number."""
    letters: Callable[[CaseView], str] | None = None
    """The groups that a case is in; shown at numbers and words, not at dashes."""
    is_optional: bool = False
    """Whether it is left out where no case has a number."""

    def fill(self, cases: Sequence[CaseView]) -> Column | None:
        """The column of these cases; None where it is optional and nobody has a number."""
        found = [self.of(case) for case in cases]
        numbers = [one for one in found if one is not None and not isinstance(one, Cell)]
        if self.is_optional and not numbers:
            return None
        unit, texts = self.form(numbers)
        rest = iter(texts)
        cells = [self._cell(case, one, rest) for case, one in zip(cases, found, strict=True)]
        return Column(
            self.key, self.title, " ".join(part for part in (unit, self.unit) if part), _padded(cells), self.topic,
            self.place, self.rank, self.later, self.targets,
        )  # fmt: skip

    def _cell(self, case: CaseView, found: V | Cell | None, texts: Iterable[str]) -> Cell:
        if found is None:
            return dash(self._reason(case))
        letters = self.letters(case) if self.letters else ""
        if isinstance(found, Cell):
            return found if found.text == units.MISSING else Cell(found.text, letters, found.notes, found.value)
        notes = tuple(dict.fromkeys(self.notes(case))) if self.notes else ()
        return Cell(next(iter(texts)), letters, notes, sorting(found))

    def _reason(self, case: CaseView) -> str:
        if callable(self.missing):
            return self.missing(case)
        return reason(
            case.problems_on(self.targets[0]) if self.targets else (*case.problems, *case.excluded), self.missing
        )


def filled(specs: Iterable[ColumnSpec[Any]], cases: Sequence[CaseView]) -> list[Column]:
    """Every column that has something to show."""
    return [column for spec in specs if (column := spec.fill(cases)) is not None]


def case_column(cases: Sequence[CaseView]) -> Column:
    """The first column of every table: the names of the cases, each on one line."""
    return Column("case", "Case", "", tuple(Cell(" ".join(case.name.split())) for case in cases))


def reason(problems: Iterable[str], otherwise: str) -> str:
    """Why something is missing: the failures, where there are any."""
    return "; ".join(dict.fromkeys(problems)) or otherwise


def sorting(found: object) -> float | None:
    """The number that a cell sorts by."""
    if isinstance(found, Estimate | Difference):
        return found.value
    return float(found) if isinstance(found, int | float) else None


def _padded(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Letters as wide as the widest, so that the numbers before them stay aligned."""
    widest = max((len(cell.letters) for cell in cells), default=0)
    return tuple(
        Cell(cell.text, cell.letters.ljust(widest, units.FIGURE_SPACE), cell.notes, cell.value, cell.stands_out)
        if widest and cell.text != units.MISSING
        else cell
        for cell in cells
    )


def plain(text: Callable[[V], str], unit: str = "") -> Form[V]:
    """Each number by itself, in a unit that does not depend on the others."""
    return lambda found: (unit, [text(one) for one in found])


def texts(unit: str = "") -> Form[str]:
    """Cells that are text already."""
    return plain(str, unit)


def scaled(scale: Sequence[units.Unit]) -> Form[float]:
    """Three digits in the unit that fits the smallest number, decimal points under each other."""
    return lambda found: _in(units.common_unit(found, scale), found)


def in_unit(unit: units.Unit) -> Form[float]:
    """Three digits in a given unit, decimal points under each other."""
    return lambda found: _in(unit, found)


def _in(unit: units.Unit, found: Sequence[float]) -> tuple[str, list[str]]:
    return unit.name, units.aligned([units.in_unit(one, unit) for one in found])


def middles(form: Form[float]) -> Form[Estimate]:
    """The estimates' values alone, their intervals left out."""
    return lambda found: form([one.value for one in found])


def spreads(scale: Sequence[units.Unit]) -> Form[Estimate]:
    """Each estimate with its two ends, in the unit that fits the smallest."""

    def form(found: Sequence[Estimate]) -> tuple[str, list[str]]:
        unit = units.common_unit([one.value for one in found], scale)
        return unit.name, [spread(one, unit) for one in found]

    return form


def spread(found: Estimate, unit: units.Unit) -> str:
    """61.2 (60.4 to 66.0): the value and its two ends; the value alone where it has none, or is of one number."""
    if found.n < 2 or found.low is None or found.high is None:
        return units.in_unit(found.value, unit)
    low, high = units.in_unit(found.low, unit), units.in_unit(found.high, unit)
    return f"{units.in_unit(found.value, unit)} ({low} to {high})"


def ratios(found: Sequence[Estimate]) -> tuple[str, list[str]]:
    """3.1x (2.9 to 3.3)."""
    return "", [units.ratio(one.value, one.low, one.high) for one in found]


def percents(decimals: int = 1) -> Form[float]:
    """Rates in per cent."""
    return plain(lambda rate: units.percent(rate, decimals), "%")
