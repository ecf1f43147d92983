"""Records: one JSON line a fact, one type a kind, units in the field names. The file is the result, all else a view."""

from kdbench.results.records._call_size import CallSize as CallSize
from kdbench.results.records._files import append, append_lines, read, scan, to_lines
from kdbench.results.records._kinds import (
    TYPES,
    Compression,
    Energy,
    Latency,
    Memory,
    Score,
    Size,
    Start,
    Teaching,
    Training,
)
from kdbench.results.records._labels import Environment, Failed, Labelled, Record, labelled
from kdbench.results.records._lines import MIGRATIONS, SCHEMA, STATUSES, from_data, from_line, to_line

TEACHER = "teacher"
"""The case name that is reserved for the rows of the suite's teacher."""

__all__ = [
    "MIGRATIONS",
    "SCHEMA",
    "STATUSES",
    "TEACHER",
    "TYPES",
    "Compression",
    "Energy",
    "Environment",
    "Failed",
    "Labelled",
    "Latency",
    "Memory",
    "Record",
    "Score",
    "Size",
    "Start",
    "Teaching",
    "Training",
    "append",
    "append_lines",
    "from_data",
    "from_line",
    "labelled",
    "read",
    "scan",
    "to_line",
    "to_lines",
]
