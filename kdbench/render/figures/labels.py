"""Names at the points of a scatter: one block for points that share a place, moved apart by a library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from kdbench.evidence import CaseView
from kdbench.render.figures.canvas import MOST_NAMED, MUTED, owned, short, text_colored

SIZE, LINE = 7.5, 9.5
"""Points: of a name, and from one name of a block to the next."""
NEAR = (30.0, 16.0)
"""Points across and up within which two names would hide each other."""
WIDEST = (80.0, 40.0)
"""Points across and up that a block's marks span at most."""
FAR = 9.0
"""Points between a name and its mark from which a line joins them."""
MOST_IN_BLOCK = 8
MOST_STEPS, FEW_STEPS = 500, 150
"""Steps in which texts are moved apart, and those with a crowd of marks, where each takes longer."""
SQUARE = 9.0
"""Points: side of a square in which one mark stands for a crowd."""


@dataclass(frozen=True)
class Labelled:
    """A case with its place in data coordinates."""

    case: CaseView
    x: float
    y: float


def blocks(axes: Axes, points: Sequence[Labelled]) -> list[list[Labelled]]:
    """Points whose names need one block, each block from the highest accuracy down."""
    scale = 72 / axes.figure.dpi
    places = {p.case.name: (axes.transData.transform((p.x, p.y)) * scale).tolist() for p in points}
    found: list[list[Labelled]] = []
    for point in sorted(points, key=lambda point: places[point.case.name][0]):
        place = places[point.case.name]
        near = (
            block
            for block in found
            if any(_within(NEAR, place, places[o.case.name]) for o in block)
            and all(_within(WIDEST, place, places[o.case.name]) for o in block)
        )
        if (block := next(near, None)) is not None:
            block.append(point)
        else:
            found.append([point])
    return [sorted(block, key=lambda point: (-point.y, point.x)) for block in found]


def _within(limits: Sequence[float], one: Sequence[float], other: Sequence[float]) -> bool:
    return all(abs(a - b) < limit for a, b, limit in zip(one, other, limits, strict=True))


def name_points(axes: Axes, points: Sequence[Labelled], taken: Sequence[Labelled]) -> None:
    """Write the names of `points` where they hide nothing of `taken`; the figure's layout must be done."""
    found = blocks(axes, points)
    texts = [_block(axes, block) for block in found]
    _part(axes, texts, _thinned(axes, taken))
    for text, block in zip(texts, found, strict=True):
        box = _box(axes, text)
        text.remove()
        _leaders(axes, box, block)
        _lines(axes, box, block)


def _block(axes: Axes, block: Sequence[Labelled]) -> Text:
    middle = len(block) // 2
    return axes.text(
        block[middle].x, block[middle].y, "\n".join(_names(block)), fontsize=SIZE, linespacing=LINE / SIZE / 1.16
    )


def _names(block: Sequence[Labelled]) -> list[str]:
    names = [short(point.case.name) for point in block[:MOST_IN_BLOCK]]
    return [*names, f"and {len(block) - MOST_IN_BLOCK} more"] if len(block) > MOST_IN_BLOCK else names


def _thinned(axes: Axes, points: Sequence[Labelled]) -> Sequence[Labelled]:
    """The points; of a crowd one in each square of SQUARE points, since the others hide nothing more."""
    if len(points) <= MOST_NAMED:
        return points
    scale = 72 / axes.figure.dpi / SQUARE
    places = axes.transData.transform([(point.x, point.y) for point in points]) * scale
    kept = {tuple(place): point for place, point in zip(places.round().tolist(), points, strict=True)}
    return list(kept.values())


def _part(axes: Axes, texts: Sequence[Text], taken: Sequence[Labelled]) -> None:
    """Move texts apart. The number of steps is limited, not the time, so that every machine draws the same picture."""
    adjust_text(
        list(texts), x=[point.x for point in taken], y=[point.y for point in taken], ax=axes,
        iter_lim=MOST_STEPS if len(taken) <= MOST_NAMED else FEW_STEPS,
        expand=(1.15, 1.35), force_text=(0.4, 0.8), force_static=(0.3, 0.6), ensure_inside_axes=True,
    )  # fmt: skip


def _box(axes: Axes, text: Text) -> Bbox:
    """A block's box in pixels, moved back into its axes if it was pushed out of them."""
    box, room = text.get_window_extent(), axes.bbox
    across = min(0.0, room.x1 - box.x1) or max(0.0, room.x0 - box.x0)
    up = min(0.0, room.y1 - box.y1) or max(0.0, room.y0 - box.y0)
    return box.translated(across, up)


def _leaders(axes: Axes, box: Bbox, block: Sequence[Labelled]) -> None:
    """Thin lines from one place of a block's edge to its points, where they stand apart."""
    places = [tuple(axes.transData.transform((point.x, point.y)).tolist()) for point in block]
    middle = [sum(values) / len(places) for values in zip(*places, strict=True)]
    anchor = (min(max(middle[0], box.x0), box.x1), min(max(middle[1], box.y0), box.y1))
    for point, place in zip(block, places, strict=True):
        if math.dist(anchor, place) * 72 / axes.figure.dpi > FAR:
            xs, ys = axes.transData.inverted().transform([anchor, place]).T
            owned(point.case, *axes.plot(xs, ys, color=MUTED, linewidth=0.5, zorder=3.5))


def _lines(axes: Axes, box: Bbox, block: Sequence[Labelled]) -> None:
    """The block's names, each by itself, in its family's colour, known as its case's."""
    x, y = axes.transData.inverted().transform((box.x0, box.y1)).tolist()
    for place, name in enumerate(_names(block)):
        line = axes.annotate(
            name, (x, y), (0, -LINE * place), textcoords="offset points", fontsize=SIZE, zorder=6,
            ha="left", va="top", annotation_clip=False,
            bbox={"boxstyle": "square,pad=0.05", "facecolor": "#ffffff", "edgecolor": "none", "alpha": 0.9},
        )  # fmt: skip
        if place < len(block[:MOST_IN_BLOCK]):
            line.set_color(text_colored(block[place].case.family))
            owned(block[place].case, line)
