"""What makes the numbers doubtful; left out where nothing does."""

from collections.abc import Iterator, Sequence

from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Report, Said, Section
from kdbench.render.words.sanity_words import cautions


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    if said := cautions(report.evidence.findings):
        yield Said(said)


DOUBTS = Section("doubts", "Read this first", _blocks, short="Doubts")
