"""How the trainings went, in pictures; the terms of the losses have to be opened."""

from collections.abc import Iterator, Sequence

from kdbench.render.figures.canvas import Figure
from kdbench.render.figures.training_curves import TERMS, loss_terms, training_curves
from kdbench.render.report.blocks import Block, Folded, Picture, Report, Section


def _blocks(_: Report, drawn: Sequence[Figure]) -> Iterator[Block]:
    for figure in drawn:
        yield Folded(figure.title, (Picture(figure),)) if figure.name == TERMS else Picture(figure)


TRAINING = Section("training", "Training", _blocks, (training_curves, loss_terms))
