"""The timed calls of every case, in a picture."""

from kdbench.render.figures.distributions import latency_distributions
from kdbench.render.report.blocks import Picture, Section

LATENCY = Section("latency", "Latency", lambda _, drawn: map(Picture, drawn), (latency_distributions,))
