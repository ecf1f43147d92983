"""What to ship under the limits that the suite asks for; left out where it asks for none."""

from collections.abc import Iterator, Sequence

from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Report, Said, Section
from kdbench.render.verbs.choice import asked_sentences


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    if said := asked_sentences(report.evidence):
        yield Said(tuple(said), is_chosen=True)


CHOICE = Section("choice", "The choice", _blocks, short="Choice")
