"""Names right of the ends of lines, moved up and down so far that none hides another."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Paper
from matplotlib.text import Annotation
from scipy.optimize import isotonic_regression  # type: ignore[attr-defined]  # untyped in scipy 1.17

from kdbench.render.figures.canvas import MUTED, owned, short, text_colored
from kdbench.render.figures.labels import LINE, SIZE, Labelled

ACROSS = 14.0
"""Points between the end of a line and its name."""
FAR = 2.0
"""Points by which a name is moved from which a thin line joins it to its end."""
LONGEST = 22
"""Characters of a name: panels stand side by side."""
MARGIN = 0.08
"""Inches around each panel with its names."""
LEADER = {"arrowstyle": "-", "color": MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 4, "relpos": (0, 0.5)}


def name_ends(paper: Paper, ends: Sequence[tuple[Axes, Sequence[Labelled]]]) -> None:
    """Write a name at every end, then lay the paper out for good, with room for them."""
    named = [(axes, points, [_name(axes, point) for point in points]) for axes, points in ends]
    paper.set_layout_engine("constrained", w_pad=MARGIN)
    paper.draw_without_rendering()
    paper.set_layout_engine("none")
    for axes, points, names in named:
        _part(axes, points, names)


def _name(axes: Axes, point: Labelled) -> Annotation:
    name = axes.annotate(
        short(point.case.name, LONGEST), (point.x, point.y), (ACROSS, 0), textcoords="offset points", fontsize=SIZE,
        va="center", color=text_colored(point.case.family), annotation_clip=False, arrowprops=LEADER,
    )  # fmt: skip
    owned(point.case, *(artist for artist in (name, name.arrow_patch) if artist is not None))
    return name


def _part(axes: Axes, points: Sequence[Labelled], names: Sequence[Annotation]) -> None:
    scale = 72 / axes.figure.dpi
    heights = [float(axes.transData.transform((point.x, point.y))[1]) * scale for point in points]
    placed = apart(heights, LINE, (axes.bbox.y0 * scale, axes.bbox.y1 * scale))
    for name, height, place in zip(names, heights, placed, strict=True):
        name.xyann = (ACROSS, place - height)
        if name.arrow_patch is not None:
            name.arrow_patch.set_visible(abs(place - height) > FAR)


def apart(heights: Sequence[float], step: float, room: tuple[float, float]) -> list[float]:
    """The heights in their order, each `step` or more above the one below, moved as little as that takes.

    Least squares: neighbours that would stand too close move together, around their middle. The lowest and the highest
    stay within `room` where it holds them all; else they begin at its foot.
    """
    order = np.argsort(heights, kind="stable")
    steps = step * np.arange(len(heights))
    levels = isotonic_regression(np.asarray(heights, dtype=np.float64)[order] - steps).x
    placed = np.empty(len(heights))
    placed[order] = np.clip(levels, room[0], max(room[0], room[1] - steps[-1])) + steps
    found: list[float] = placed.tolist()
    return found
