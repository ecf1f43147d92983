"""Accuracy against what it costs, in pictures."""

from kdbench.render.figures.orders import orders
from kdbench.render.figures.sweeps import sweeps
from kdbench.render.figures.tradeoff import accuracy_latency, accuracy_size
from kdbench.render.report.blocks import Picture, Section

TRADEOFF = Section(
    "tradeoff",
    "Trade-off",
    lambda report, drawn: [Picture(figure, is_titled=len(drawn) > 1) for figure in drawn],
    (accuracy_latency, accuracy_size, orders, sweeps),
)
