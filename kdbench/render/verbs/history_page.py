"""A history as one page: what stepped, the series by run, and a table of them."""

from collections.abc import Sequence

from markupsafe import Markup

from kdbench.check.history import Entry
from kdbench.check.steps import series_of
from kdbench.render.figures.canvas import style
from kdbench.render.figures.history import history_figures
from kdbench.render.figures.pictures import Sheet
from kdbench.render.report.html import body, framed
from kdbench.render.verbs.history import HEADINGS, sentences, span, table


def history_page(entries: Sequence[Entry]) -> str:
    """The page; it makes no request. The same entries give the same bytes."""
    found, sheet = series_of(entries), Sheet(())
    with style():
        figures = [(figure, Markup(sheet.inline(figure))) for figure in history_figures(entries, found)]
    accepted = [entry.commit[:10] for entry in entries if entry.accepted]
    facts = {"Entries": span(entries), "Accepted last": accepted[-1] if accepted else "none"}
    content = body(
        "history.html.j2",
        suite=entries[-1].suite,
        facts=list(facts.items()),
        sentences=sentences(found),
        figures=figures,
        headings=HEADINGS,
        rows=table(found),
    )
    return framed(f"{entries[-1].suite} over time", content, styles=sheet.css)
