"""The answer in sentences, one a device and batch size."""

from collections.abc import Iterator, Sequence

from kdbench.render.figures.canvas import Figure
from kdbench.render.report.blocks import Block, Report, Said, Section
from kdbench.render.words.sentences import sentences


def _blocks(report: Report, _: Sequence[Figure]) -> Iterator[Block]:
    yield Said(sentences(report.evidence))


ANSWER = Section("answer", "The answer", _blocks, short="Answer")
