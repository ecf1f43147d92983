"""How the order of techniques changes accuracy and file size: a row for each chain of the same techniques."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Paper
from matplotlib.ticker import FuncFormatter

from kdbench import units
from kdbench.evidence import CaseView, Evidence
from kdbench.evidence.intervals import Estimate
from kdbench.render.figures.canvas import (
    GRID,
    MOST_NAMED,
    MUTED,
    PAGE_WIDTH,
    Figure,
    colored,
    family_legend,
    log_axis,
    marker,
    owned,
    short,
    text_colored,
)
from kdbench.render.tables.score_columns import distinct, rates
from kdbench.render.words.words import quoted, seeds_name
from kdbench.scale import Scale

FEWEST_ORDERS = 3
"""Chains of the same techniques in different orders below which a table says it all."""
WIDE = 5.0
"""Inches from which a chain stands in one line."""
FONT = 6.5
"""Points, of a row's text."""
LINE, GAP, BELOW = 0.125, 0.08, 0.8
"""Inches: of a line of a row's text, between rows, and below all of them."""
THEN, WITH = " › ", " + "
"""Between two steps, and between a step and the distillation in it."""


@dataclass(frozen=True)
class Chain:
    """One case and its chain; a step that distils by itself is "technique + distillation"."""

    case: CaseView
    steps: tuple[str, ...]
    techniques: tuple[str, ...]
    """All that are in the chain, whatever their order."""
    score: Estimate
    size: float
    """Bytes of the file."""


@dataclass(frozen=True)
class Row:
    """Where a chain stands: its text, and inches from the top to the row's upper and lower edge."""

    chain: Chain
    text: str
    top: float
    bottom: float
    shaded: bool

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def orders(evidence: Evidence, inches: float = PAGE_WIDTH) -> Figure | None:
    """One row a chain, chains of the same techniques together; None where too few orders can be compared."""
    bands = _bands(evidence)
    if not bands:
        return None
    rows = _placed(bands, inches)
    paper = Paper(figsize=(inches, rows[-1].bottom + BELOW), layout="constrained")
    FigureCanvasAgg(paper)
    left, right = paper.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _label(left, rows)
    _accuracies(left, rows, evidence)
    _sizes(right, rows)
    _shade((left, right), rows)
    family_legend(paper, [row.chain.case.family for row in rows])
    title = f"Orders of the same techniques, {seeds_name(evidence)}"
    return Figure("orders", title, _caption(evidence), _alt(bands, evidence.scale), paper)


def _bands(evidence: Evidence) -> list[list[Chain]]:
    """Chains by their techniques, fewest techniques first, each band from the best down.

    Bands with one order only are kept where they show what the techniques of the others do alone or in part.
    """
    found: dict[tuple[str, ...], list[Chain]] = {}
    for chain in _found(evidence):
        found.setdefault(chain.techniques, []).append(chain)
    compared = {techniques for techniques, chains in found.items() if _order_count(chains) > 1}
    if sum(_order_count(found[techniques]) for techniques in compared) < FEWEST_ORDERS:
        return []
    known = {name for techniques in compared for name in techniques}
    parts = {techniques for techniques in found if techniques in compared or set(techniques) <= known}
    kept = compared if sum(len(found[techniques]) for techniques in parts) > MOST_NAMED else parts
    ordered = sorted((techniques for techniques in found if techniques in kept), key=len)
    return [
        sorted(found[techniques], key=lambda chain: -evidence.scale.goodness(chain.score.value))
        for techniques in ordered
    ]


def _order_count(chains: Sequence[Chain]) -> int:
    return len({chain.steps for chain in chains})


def _found(evidence: Evidence) -> Iterable[Chain]:
    """The baseline and every case of its student with an accuracy and a size, on the first target that has any."""
    target = distinct(evidence, rates)[0][0] if evidence.targets else ""
    plan = evidence.results.plan
    first = plan.cases.get(plan.baseline)
    for case in evidence.cases:
        planned = plan.cases.get(case.name)
        if planned is None or (first is not None and planned.student != first.student):
            continue
        if target in case.score and target in case.size:
            steps, techniques = _steps(evidence, case.name)
            yield Chain(case, steps, techniques, case.score[target].estimate, case.size[target].file_bytes)


def _steps(evidence: Evidence, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """A case's steps as they are shown, and the techniques in them in alphabetical order."""
    steps = next((r.steps for r in evidence.results.labelled if r.case == name), ())
    written = [(step, _distils(fields)) for found in steps for step, fields in found.items()]
    shown = tuple(f"{step}{WITH}{taught}" if taught else step for step, taught in written)
    return shown, tuple(sorted(name for pair in written for name in pair if name))


def _distils(fields: dict[str, Any]) -> str:
    """The distillation inside a step; empty where there is none."""
    named = fields.get("distil") or ""
    return str(named) if isinstance(named, str) else next(iter(named), "")


def _placed(bands: Sequence[Sequence[Chain]], inches: float) -> list[Row]:
    """From the top down, each as high as its text."""
    rows: list[Row] = []
    for number, band in enumerate(bands):
        for chain in band:
            text, top = _text(chain, inches), rows[-1].bottom if rows else 0.0
            rows.append(Row(chain, text, top, top + LINE * (text.count("\n") + 1) + GAP, bool(number % 2)))
    return rows


def _text(chain: Chain, inches: float) -> str:
    """A case and its steps, these in one line where there is room for it, else a line each."""
    steps = THEN.join(chain.steps) if inches >= WIDE else "\n".join(chain.steps).replace(WITH, f"\n{WITH.lstrip()}")
    return "\n".join([short(chain.case.name), steps]) if steps else short(chain.case.name)


def _label(axes: Axes, rows: Sequence[Row]) -> None:
    """Each row's text at its middle, in its family's colour."""
    axes.set_yticks([row.middle for row in rows], [row.text for row in rows], fontsize=FONT)
    axes.set_ylim(rows[-1].bottom, 0)
    axes.tick_params(axis="y", length=0)
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color(text_colored(row.chain.case.family))
        owned(row.chain.case, label)


def _accuracies(axes: Axes, rows: Sequence[Row], evidence: Evidence) -> None:
    """Draw the accuracies. Bars end at 100 %, even where a t interval goes beyond."""
    scale = evidence.scale
    factor, most = scale.factor, 1.0 if scale.is_fraction and scale.higher else math.inf
    axes.set_xlabel(scale.axis)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    for row in rows:
        case, its = row.chain.case, row.chain.score
        ends = None if its.low is None or its.high is None else (its.value - its.low, min(its.high, most) - its.value)
        drawn = axes.errorbar(
            [factor * its.value], [row.middle], xerr=ends and [[factor * end] for end in ends],
            color=colored(case.family),
            marker=marker(case.family), markeredgecolor="#ffffff", markeredgewidth=0.6, elinewidth=0.9,
        )  # fmt: skip
        owned(case, *drawn.get_children())
        if case.name == evidence.results.plan.baseline:
            axes.axvline(factor * its.value, color=MUTED, linewidth=0.7, linestyle=":", zorder=1)


def _sizes(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_xlabel("file")
    axes.tick_params(axis="y", labelleft=False, length=0)
    for row in rows:
        case = row.chain.case
        drawn = axes.plot(
            [row.chain.size], [row.middle], color=colored(case.family), marker=marker(case.family), linestyle="",
            markeredgecolor="#ffffff", markeredgewidth=0.6,
        )  # fmt: skip
        owned(case, *drawn)
    log_axis(axes, [row.chain.size for row in rows], units.BYTES, margin=1.25)


def _shade(panels: Sequence[Axes], rows: Sequence[Row]) -> None:
    """Every other band stands on a darker ground."""
    for axes in panels:
        axes.grid(axis="y", visible=False)
        for row in rows:
            if row.shaded:
                axes.axhspan(row.top, row.bottom, color=GRID, alpha=0.5, linewidth=0, zorder=0)


def _caption(evidence: Evidence) -> str:
    baseline = evidence.results.plan.baseline
    dotted = f"; dotted: {quoted(baseline)}" if evidence.case(baseline) else ""
    return (
        "Rows on the same ground have the same techniques, in the order in which they are read; + joins a step and the "
        "distillation whose loss its own training minimises. Bars: 95 % t interval over seeds, without one where there "
        f"are fewer than three{dotted}. The {evidence.scale.name} axis does not start at zero. "
        "What an order costs in training: see the table."
    )


def _alt(bands: Sequence[Sequence[Chain]], scale: Scale) -> str:
    said = "; ".join(
        f"{chain.case.name} ({', then '.join(chain.steps) or 'no step'}) {scale.said(chain.score.value)} "
        f"in {units.size(chain.size)}"
        for band in bands
        for chain in band
    )
    return f"{scale.heading} and file size of the same techniques in different orders: {said}."
