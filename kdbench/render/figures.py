"""Every figure of a report, in the page's order."""

from kdbench.evidence import Evidence
from kdbench.render.canvas import Figure, style
from kdbench.render.distributions import latency_distributions
from kdbench.render.tradeoff import accuracy_latency, accuracy_size
from kdbench.render.training_curves import training_curves


def draw(evidence: Evidence) -> tuple[Figure, ...]:
    """Those that the records carry."""
    with style():
        drawn = [made(evidence) for made in (accuracy_latency, accuracy_size, latency_distributions, training_curves)]
    return tuple(figure for figure in drawn if figure is not None)
