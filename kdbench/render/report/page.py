"""The report as one self-contained page. Everything that came from a suite or a record is escaped by the template."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from kdbench.evidence import Evidence
from kdbench.render.figures.canvas import Figure
from kdbench.render.figures.pictures import Sheet
from kdbench.render.report.blocks import Drawer, Report
from kdbench.render.report.columns_shown import choice
from kdbench.render.report.html import body, framed
from kdbench.render.report.provenance import facts
from kdbench.render.sections import SECTIONS

NARROW = "narrow-"
"""Begins the ids of a figure that is drawn for a narrow screen."""


def page(
    evidence: Evidence,
    figures: Mapping[Drawer, Figure],
    out: Path,
    written: Sequence[Path],
    narrow: Mapping[Drawer, Figure] | None = None,
) -> str:
    """The page that will lie in the folder `out`, with `figures`, linking the files `written` beside it.

    `narrow` are the same figures for a phone's screen; without them a phone shows the others, which it has to scroll.
    """
    report = Report(evidence, out, figures, written)
    sheet = Sheet(case.name for case in evidence.cases)
    slim = {figure.name: figure for figure in (narrow or {}).values()}
    chosen = choice(evidence, report.table)
    content = body(
        "page.html.j2",
        plan=evidence.results.plan,
        facts=facts(evidence),
        sections=[(section, blocks) for section in SECTIONS if (blocks := section.content(report))],
        choice=chosen,
        footnotes=report.table.footnotes,
        rows={case.name: row for row, case in enumerate(evidence.cases)},
        inline=lambda figure: Markup(sheet.inline(figure)),
        inline_narrow=lambda figure: Markup(sheet.inline(slim[figure.name], NARROW)) if figure.name in slim else "",
    )
    return framed(evidence.results.plan.suite, content, f"{chosen.styles}\n{sheet.css}", "page.js")
