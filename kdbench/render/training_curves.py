"""Validation accuracy by epoch: mean and range over seeds, one small panel a case that trained something of its own."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from kdbench import units
from kdbench.evidence import CaseView, Evidence
from kdbench.render.canvas import COLORS, MUTED, Figure, panels, short
from kdbench.render.words import listed, seeds_name


def training_curves(evidence: Evidence) -> Figure | None:
    """None where nothing was trained and validated."""
    shown, same = _own(evidence)
    if not shown:
        return None
    paper, axes = panels(len(shown), 4, 1.55, share_x=True)
    for where, case in zip(axes, shown, strict=True):
        _draw(where, case)
    paper.supxlabel("epoch", fontsize=8)
    paper.supylabel("validation accuracy, %", fontsize=8)
    caption = (
        f"Validation accuracy after each epoch: mean (line) and range (band) over seeds, {seeds_name(evidence)}; one "
        "line alone is one training. A dotted line is where a further stage, such as fine-tuning, begins."
        + (f" {listed(same)} trained nothing of their own." if same else "")
    )
    return Figure("training", "Training", caption, _alt(shown), paper)


def _own(evidence: Evidence) -> tuple[list[CaseView], list[str]]:
    """Cases with trainings that no case before them has, and the names of those without."""
    seen: set[tuple[tuple[str, ...], ...]] = set()
    shown, same = [], []
    for case in evidence.cases:
        trained = tuple(curve.keys for curve in case.curves)
        if trained and trained not in seen:
            shown.append(case)
        elif trained:
            same.append(case.name)
        seen.add(trained)
    return shown, same


def _alt(shown: list[CaseView]) -> str:
    ends = "; ".join(
        f"{case.name} ends at {units.percent(float(np.mean([curve.values[-1] for curve in case.curves])))} % after "
        f"{max(len(curve.values) for curve in case.curves)} epochs"
        for case in shown
    )
    return f"Validation accuracy by epoch: {ends}."


def _draw(axes: Axes, case: CaseView) -> None:
    shortest = min(len(curve.values) for curve in case.curves)
    matrix = 100 * np.array([curve.values[:shortest] for curve in case.curves])
    epochs = np.arange(1, shortest + 1)
    color = COLORS.get(case.family, COLORS["other"])
    axes.set_title(short(case.name), fontsize=7.5)
    axes.fill_between(epochs, matrix.min(axis=0), matrix.max(axis=0), color=color, alpha=0.25, linewidth=0)
    axes.plot(epochs, matrix.mean(axis=0), color=color, marker="." if shortest == 1 else "")
    for start in case.curves[0].starts:
        axes.axvline(start + 0.5, color=MUTED, linewidth=0.8, linestyle=":")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
