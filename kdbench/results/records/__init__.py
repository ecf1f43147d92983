"""Records: one JSON line a fact, one type a kind, units in the field names. The file is the result, all else a view."""

from kdbench.results.records._files import append, read
from kdbench.results.records._kinds import (
    STATUSES,
    TYPES,
    Accuracy,
    Compression,
    Energy,
    Environment,
    Latency,
    Memory,
    Record,
    Size,
    Start,
    Teaching,
    Training,
)
from kdbench.results.records._lines import MIGRATIONS, SCHEMA, from_line, to_line

TEACHER = "teacher"
"""The case name that is reserved for the rows of the suite's teacher."""

__all__ = [
    "MIGRATIONS",
    "SCHEMA",
    "STATUSES",
    "TEACHER",
    "TYPES",
    "Accuracy",
    "Compression",
    "Energy",
    "Environment",
    "Latency",
    "Memory",
    "Record",
    "Size",
    "Start",
    "Teaching",
    "Training",
    "append",
    "from_line",
    "read",
    "to_line",
]
