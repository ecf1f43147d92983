"""What the records of a folder show: intervals, paired differences, adjustment, groups. Knows no text and no picture.

`evidence(folder)` is the door; `choose` and `render` read what it returns.
"""

from kdbench.evidence.compression import CompressionView
from kdbench.evidence.execution import ExecutionView
from kdbench.evidence.finding import Finding
from kdbench.evidence.latency import LatencyView
from kdbench.evidence.scores import ScoreView
from kdbench.evidence.sizes import SizeView
from kdbench.evidence.use import EnergyView, StartView
from kdbench.evidence.views import CaseView, Evidence, Setting, evidence
from kdbench.results.folder import Results, read_results

__all__ = [
    "CaseView",
    "CompressionView",
    "EnergyView",
    "Evidence",
    "ExecutionView",
    "Finding",
    "LatencyView",
    "Results",
    "ScoreView",
    "Setting",
    "SizeView",
    "StartView",
    "evidence",
    "read_results",
]
