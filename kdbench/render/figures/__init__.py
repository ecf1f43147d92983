"""Every figure of a report, in the page's order."""

from kdbench.evidence import Evidence
from kdbench.render.figures.batch_sizes import batch_sizes
from kdbench.render.figures.canvas import PAGE_WIDTH, Figure, style
from kdbench.render.figures.distributions import latency_distributions
from kdbench.render.figures.orders import orders
from kdbench.render.figures.sweeps import sweeps
from kdbench.render.figures.tradeoff import accuracy_latency, accuracy_size
from kdbench.render.figures.training_curves import loss_terms, training_curves

DRAWERS = (
    accuracy_latency,
    accuracy_size,
    orders,
    sweeps,
    latency_distributions,
    batch_sizes,
    training_curves,
    loss_terms,
)


def draw(evidence: Evidence, inches: float = PAGE_WIDTH) -> tuple[Figure, ...]:
    """Those that the records carry, for paper of a width in inches."""
    with style():
        drawn = [drawer(evidence, inches) for drawer in DRAWERS]
    return tuple(figure for figure in drawn if figure is not None)
