"""The report as one self-contained page. Everything that came from a suite or a record is escaped by the template."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from kdbench.evidence import CaseView, Evidence, Setting
from kdbench.render.figures.canvas import Figure
from kdbench.render.figures.pictures import Sheet
from kdbench.render.report.html import filled, parts
from kdbench.render.report.provenance import facts, links, machine, models, suite_text
from kdbench.render.report.spending import costs, times
from kdbench.render.tables.cells import Column, Table
from kdbench.render.tables.compression import compression_tables
from kdbench.render.tables.execution import execution_tables
from kdbench.render.tables.table import build_table, shown_places
from kdbench.render.tables.target_table import TargetTable
from kdbench.render.tables.throughput import throughput_tables
from kdbench.render.words.sentences import Sentence, sentences
from kdbench.render.words.words import baseline_name, explained, listed, setting_place

SWEEP = "sweep"
"""Id of the section that holds tables beside its figure."""
SECTIONS = (
    ("tradeoff", "Trade-off", ("accuracy-latency", "accuracy-size", "orders", "grids")),
    ("latency", "Latency", ("latency",)),
    (SWEEP, "Batch sizes and threads", ("batch-sizes",)),
    ("training", "Training", ("training", "terms")),
)
"""Id, heading and figures of the sections between table and cost."""
Section = tuple[str, str, list[tuple[Figure, Markup]]]


@dataclass(frozen=True)
class ColumnGroup:
    """Columns under one heading, each with its place in the table."""

    name: str
    columns: tuple[tuple[int, Column], ...]


def page(
    evidence: Evidence,
    figures: Sequence[Figure],
    out: Path,
    written: Sequence[Path],
    choice: Sequence[Sentence] = (),
) -> str:
    """The page that will lie in `out`, linking the files `written` beside it; `choice` stands at its head."""
    table = build_table(evidence)
    sheet = Sheet(case.name for case in evidence.cases)
    swept = _told(throughput_tables(evidence))
    sections = _sections(figures, sheet, {SWEEP} if swept else set())
    compressed, executed = _told(compression_tables(evidence)), _told(execution_tables(evidence))
    return filled(
        "page.html.j2",
        evidence.results.plan.suite,
        styles=f"{_column_styles(table)}\n{sheet.css}",
        script="page.js",
        plan=evidence.results.plan,
        facts=facts(evidence),
        contents=_contents(sections, bool(choice), bool(compressed), bool(executed)),
        choice=[parts(sentence, table) for sentence in choice],
        sentences=[parts(sentence, table) for sentence in sentences(evidence)],
        table=table,
        column_groups=_groups(table),
        shown=shown_places(table),
        firsts={columns.columns[0][0] for columns in _groups(table)},
        most_notes=[max((len(cell.notes) for cell in column.cells), default=0) for column in table.columns],
        compressed=compressed,
        sections=sections,
        swept=swept,
        sweep=SWEEP,
        executed=executed,
        times=times(evidence),
        costs=costs(evidence, table),
        baseline=baseline_name(evidence),
        problems=_problems(evidence),
        notices=_notices(evidence),
        suite_text=suite_text(evidence),
        machine=machine(evidence),
        models=models(evidence, out),
        links=links(evidence, out, written),
    )


def _told(tables: Sequence[TargetTable]) -> list[tuple[TargetTable, list[list[tuple[str, str]]]]]:
    """Each with its sentences as parts."""
    return [(one, [parts(sentence) for sentence in one.sentences]) for one in tables]


def _contents(sections: Sequence[Section], choice: bool, compressed: bool, executed: bool) -> list[tuple[str, str]]:
    first = [("choice", "Choice")] if choice else []
    second = [("compression", "Compression")] if compressed else []
    middle = [(id_, heading) for id_, heading, _ in sections]
    proof = [("execution", "What ran where")] if executed else []
    return [
        *first, ("answer", "Answer"), ("table", "Table"), *second, *middle, *proof,
        ("cost", "Cost"), ("wrong", "What went wrong"), ("again", "How to get it again"),
    ]  # fmt: skip


def _sections(figures: Sequence[Figure], sheet: Sheet, told: Collection[str]) -> list[Section]:
    """Those with a figure, and those `told` in tables."""
    found: list[Section] = []
    for id_, heading, names in SECTIONS:
        drawn = [(figure, Markup(sheet.inline(figure))) for figure in figures if figure.name in names]
        if drawn or id_ in told:
            found.append((id_, heading, drawn))
    return found


def _groups(table: Table) -> list[ColumnGroup]:
    """The columns that can be chosen, by their group."""
    found: dict[str, list[tuple[int, Column]]] = {}
    for place, column in enumerate(table.columns):
        if column.group:
            found.setdefault(column.group, []).append((place, column))
    return [ColumnGroup(name, tuple(columns)) for name, columns in found.items()]


def _column_styles(table: Table) -> str:
    """A column shows while its box is ticked: without a script."""
    return "\n".join(
        f"#decision:not(:has(#column-{place}:checked)) #cases :is(th, td):nth-child({place + 1}) {{ display: none; }}"
        for place, column in enumerate(table.columns)
        if column.group
    )


def _problems(evidence: Evidence) -> list[tuple[str, str]]:
    """(what went wrong, with which cases): the same trouble is told once."""
    found: dict[str, list[str]] = {}
    for case in evidence.cases:
        for problem in case.problems:
            found.setdefault(problem, []).append(case.name)
    return [(problem, listed(names)) for problem, names in found.items()]


def _notices(evidence: Evidence) -> list[str]:
    """The plan's warnings, then what is to be said of single latencies."""
    named: dict[tuple[Setting, str], list[str]] = {}
    for setting in evidence.settings:
        for case in evidence.cases:
            for word in case.latency[setting].warnings if setting in case.latency else ():
                named.setdefault((setting, word), []).append(case.name)
    timed = [
        f"{setting_place(setting)}: {explained(word)} ({_who(_timed(evidence, setting), names)})."
        for (setting, word), names in named.items()
    ]
    return [*evidence.results.plan.warnings, *timed]


def _timed(evidence: Evidence, setting: Setting) -> list[CaseView]:
    return [case for case in evidence.cases if setting in case.latency]


def _who(timed: Sequence[CaseView], names: Sequence[str]) -> str:
    return "every case" if len(names) == len(timed) > 2 else listed(names)
