"""The report's sections, in the order of the reader's questions. A new section is a file here and a line in SECTIONS.

The page, the Markdown, LaTeX and CSV files and the figures are made by walking this list.
"""

from kdbench.render.sections.again import AGAIN
from kdbench.render.sections.answer import ANSWER
from kdbench.render.sections.batch_sizes import BATCH_SIZES
from kdbench.render.sections.choice import CHOICE
from kdbench.render.sections.compression import COMPRESSION
from kdbench.render.sections.cost import COST
from kdbench.render.sections.decision import DECISION
from kdbench.render.sections.doubts import DOUBTS
from kdbench.render.sections.execution import EXECUTION
from kdbench.render.sections.further import FURTHER
from kdbench.render.sections.latency import LATENCY
from kdbench.render.sections.runtimes import RUNTIMES
from kdbench.render.sections.tradeoff import TRADEOFF
from kdbench.render.sections.training import TRAINING
from kdbench.render.sections.trouble import TROUBLE

SECTIONS = (
    DOUBTS,
    CHOICE,
    ANSWER,
    DECISION,
    FURTHER,
    COMPRESSION,
    TRADEOFF,
    LATENCY,
    BATCH_SIZES,
    RUNTIMES,
    TRAINING,
    EXECUTION,
    COST,
    TROUBLE,
    AGAIN,
)
