"""Validation accuracy and loss terms by epoch, a small panel for each case that trained something of its own."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Paper
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from kdbench.evidence import CaseView, Evidence
from kdbench.render.figures.canvas import GREY, INK, MUTED, PAGE_WIDTH, Figure, colored, notable, owned, panels, short
from kdbench.render.words.words import counted, quoted_list, seeds_name
from kdbench.results.records import Training
from kdbench.scale import Scale

TERMS = "terms"
"""The name of the figure of loss terms."""
TERM_COLORS = (INK, "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9")
"""Okabe and Ito's again; a seventh term is grey."""


def training_curves(evidence: Evidence, inches: float = PAGE_WIDTH) -> Figure | None:
    """Validation accuracy by epoch; None where nothing was trained and validated."""
    shown, same = _own(evidence)
    if not shown:
        return None
    scale = evidence.scale
    paper = _panels(shown, inches, partial(_validation, scale=scale))
    paper.supxlabel("epoch", fontsize=8)
    paper.supylabel(f"validation {evidence.scale.axis}", fontsize=8)
    caption = (
        f"Validation {scale.name} after each epoch: mean (line) and range (band) over seeds, {seeds_name(evidence)}; "
        "one line alone is one training. A dotted line is where a further stage, such as fine-tuning, begins."
        + (f" {quoted_list(same).replace('`', '')} trained nothing of their own." if same else "")
        + _left_out(evidence)
    )
    return Figure("training", f"Validation {scale.name}", caption, _alt(shown, scale), paper)


def loss_terms(evidence: Evidence, inches: float = PAGE_WIDTH) -> Figure | None:
    """Every weighted loss term by epoch; None where none was logged."""
    by_key = {record.key: record for record in evidence.results.of(Training) if record.terms_by_epoch}
    cases = [case for case in _own(evidence)[0] if _terms(case, by_key)]
    if not cases:
        return None
    names = list(dict.fromkeys(name for case in cases for name in _terms(case, by_key)))
    colors = {name: TERM_COLORS[place] if place < len(TERM_COLORS) else GREY for place, name in enumerate(names)}

    def drawn(axes: Axes, case: CaseView) -> None:
        for name, curves in _terms(case, by_key).items():
            _band(axes, _equal(curves), colors[name])

    paper = _panels(cases, inches, drawn)
    for axes in paper.axes:
        axes.set_yscale("symlog", linthresh=0.01)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    paper.axes[0].set_ylim(bottom=0)
    paper.supxlabel("epoch", fontsize=8)
    paper.supylabel("weighted loss term", fontsize=8)
    handles = [Line2D([], [], color=color, label=short(name)) for name, color in colors.items()]
    paper.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
    caption = (
        f"Mean of each weighted loss term over an epoch: mean and range over seeds, {seeds_name(evidence)}. The axis "
        f"is logarithmic above 0.01.{_left_out(evidence)}"
    )
    return Figure(TERMS, "Loss terms", caption, f"Loss terms by epoch: {', '.join(names)}.", paper)


def _left_out(evidence: Evidence) -> str:
    count = len(evidence.cases) - len(notable(evidence))
    return f" {counted(count, 'case')} that others beat both ways are left out." if count else ""


def _own(evidence: Evidence) -> tuple[list[CaseView], list[str]]:
    """The cases with a training that no case before them has, and the names of all others that trained."""
    seen: set[tuple[tuple[str, ...], ...]] = set()
    shown, same = [], []
    for case in notable(evidence):
        trained = tuple(curve.keys for curve in case.curves)
        if trained and trained not in seen:
            shown.append(case)
        elif trained:
            same.append(case.name)
        seen.add(trained)
    return shown, same


def _terms(case: CaseView, by_key: dict[str, Training]) -> dict[str, list[list[float]]]:
    """By term: a curve a seed, over all its stages; a stage without the term leaves a gap."""
    found: dict[str, list[list[float]]] = {}
    for curve in case.curves:
        epochs = [dict(terms) for key in curve.keys if key in by_key for terms in by_key[key].terms_by_epoch]
        for name in dict.fromkeys(name for terms in epochs for name in terms):
            found.setdefault(name, []).append([terms.get(name, np.nan) for terms in epochs])
    return found


def _alt(shown: list[CaseView], scale: Scale) -> str:
    ends = "; ".join(
        f"{case.name} ends at {scale.said(float(np.mean([curve.values[-1] for curve in case.curves])))} after "
        f"{max(len(curve.values) for curve in case.curves)} epochs"
        for case in shown
    )
    return f"Validation {scale.name} by epoch: {ends}."


def _panels(shown: list[CaseView], inches: float, drawn: Callable[[Axes, CaseView], None]) -> Paper:
    paper, axes = panels(len(shown), 4, 1.55, share_x=True, inches=inches)
    for where, case in zip(axes, shown, strict=True):
        where.set_title(short(case.name, 22), fontsize=7.5)
        where.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        for start in case.curves[0].starts:
            where.axvline(start + 0.5, color=MUTED, linewidth=0.8, linestyle=":")
        drawn(where, case)
        where.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        owned(case, *where.lines, *where.collections)
    return paper


def _validation(axes: Axes, case: CaseView, scale: Scale) -> None:
    _band(axes, scale.factor * _equal([curve.values for curve in case.curves]), colored(case.family))


def _equal(curves: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """The curves as a matrix [seed, epoch], cut to the shortest."""
    shortest = min(len(values) for values in curves)
    return np.array([values[:shortest] for values in curves], dtype=np.float64)


def _band(axes: Axes, matrix: NDArray[np.float64], color: str) -> None:
    epochs = np.arange(1, matrix.shape[1] + 1)
    axes.fill_between(epochs, matrix.min(axis=0), matrix.max(axis=0), color=color, alpha=0.25, linewidth=0)
    axes.plot(epochs, matrix.mean(axis=0), color=color, marker="." if matrix.shape[1] == 1 else "")
