"""Columns as objects: one unit for all cells, a reason for every dash, letters and notes where they belong."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdbench import units
from kdbench.evidence import CaseView, evidence
from kdbench.evidence.intervals import Estimate
from kdbench.render.tables.cells import Cell, Column, Table, dash, footnotes_of, marks_of, numbers_of
from kdbench.render.tables.columns import ColumnSpec, filled, plain, scaled, spreads

SIZES = {"teacher": 2048.0, "from-scratch": 1_048_576.0, "soft": None}


@pytest.fixture(scope="module")
def cases(quickstart: Path) -> tuple[CaseView, ...]:
    """Three cases; the last one failed on a target."""
    found = {case.name: case for case in evidence(quickstart).cases}
    return found["teacher"], found["from-scratch"], replace(found["soft"], troubles={"local": ("failed: no memory.",)})


def size(case: CaseView) -> float | None:
    return SIZES[case.name]


def column(spec: ColumnSpec[float], cases: tuple[CaseView, ...]) -> Column:
    found = spec.fill(cases)
    assert found is not None
    return found


def test_all_cells_share_the_unit_that_fits_the_smallest(cases: tuple[CaseView, ...]) -> None:
    """2,048 bytes are 2 KiB and a mebibyte is 1,024 KiB."""
    found = column(ColumnSpec("bytes", "File", size, scaled(units.BYTES), "not recorded"), cases)
    assert found.unit == "KiB"
    assert [cell.text.strip() for cell in found.cells] == ["2.00", "1,020", units.MISSING]
    assert [cell.value for cell in found.cells] == [2048.0, 1_048_576.0, None]


def test_a_dash_says_why_by_the_failure_on_its_target_or_else_by_the_column(cases: tuple[CaseView, ...]) -> None:
    spec = ColumnSpec("bytes", "File", size, scaled(units.BYTES), "not recorded", targets=("local",))
    assert column(spec, cases).cells[2].notes == ("failed: no memory.",)
    assert column(replace(spec, targets=("board",)), cases).cells[2].notes == ("not recorded",)


def test_a_word_can_stand_in_a_numbers_place(cases: tuple[CaseView, ...]) -> None:
    def number(case: CaseView) -> float | Cell:
        return Cell("itself", value=1.0) if case.teaches else 0.25

    found = column(ColumnSpec("a", "Agrees", number, plain(lambda rate: units.percent(rate), "%")), cases)
    assert [cell.text for cell in found.cells] == ["itself", "25.0", "25.0"]


def test_letters_are_padded_to_the_widest_and_a_dash_has_none(cases: tuple[CaseView, ...]) -> None:
    letters = {"teacher": "a", "from-scratch": "abc", "soft": "b"}
    spec = ColumnSpec("x", "X", size, scaled(units.BYTES), "why", letters=lambda case: letters[case.name])
    assert [cell.letters for cell in column(spec, cases).cells] == [f"a{2 * units.FIGURE_SPACE}", "abc", ""]


def test_an_optional_column_without_numbers_is_left_out(cases: tuple[CaseView, ...]) -> None:
    spec: ColumnSpec[float] = ColumnSpec("x", "X", lambda case: None, scaled(units.BYTES), "why", is_optional=True)
    (found,) = filled([spec, replace(spec, is_optional=False)], cases[:2])
    assert found.cells == (dash("why"),) * 2


def test_estimates_show_their_ends_in_one_unit() -> None:
    found = [Estimate(2e6, 1.5e6, 3e6, (1.5e6, 3e6)), Estimate(40e6, None, None, (40e6,))]
    assert spreads(units.NANOSECONDS)(found) == ("ms", ["2.00 (1.50 to 3.00)", "40.0"])


def test_tables_of_a_section_number_each_note_once_and_their_signs_stand_apart(cases: tuple[CaseView, ...]) -> None:
    one, other = Cell("1", notes=("b", "a")), Cell("2", notes=("c", "a"))
    tables = [Table(cases[:1], (Column("k", "K", "", (cell,)),), ()) for cell in (one, other)]
    notes = footnotes_of(tables)
    assert notes == ("b", "a", "c")
    assert numbers_of(other, notes) == [2, 3]
    assert marks_of(other, notes) == "² ³"
