"""The fields that all records share: whose they are and what they rest on. Also failures and machines."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Record:
    """One line of records.jsonl."""

    KIND: ClassVar[str] = ""
    """The word for it in the file; "" for types that are no kind of their own."""
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "allow_inf_nan": False}

    suite: str
    key: str
    """The key of the stage that the record is from; an environment has its fingerprint here."""


@dataclass(frozen=True, kw_only=True)
class Environment(Record):
    """The machine behind a fingerprint. It belongs to no case, so a file needs it once."""

    KIND = "environment"

    fingerprint: str
    facts: dict[str, Any]
    """Facts that must agree before numbers are pooled: processor, runtime, versions, flags."""
    also: dict[str, Any] = field(default_factory=dict)
    """Facts for the reader alone: governor, RAM, Python and package versions, commit, OMP_*."""


@dataclass(frozen=True, kw_only=True)
class Labelled(Record):
    """A record of one case and seed: a fact (`kdbench.results.records._kinds`), or why there is none (`Failed`)."""

    case: str
    seed: int
    target: str | None = None
    """Absent for what belongs to no target, such as a training."""
    created_utc: str | None = None
    fingerprint: str | None = None
    """The fingerprint of the environment that a measurement was taken in."""
    lineage: tuple[str, ...] = ()
    """Keys of the stages that this rests on, from the data down."""
    steps: tuple[dict[str, Any], ...] = ()
    """The case's chain: one {name: fields} a step."""


@dataclass(frozen=True, kw_only=True)
class Failed(Labelled):
    """Why a fact of some kind is not there."""

    kind: str
    """The kind of the fact that is missing, such as "latency"."""
    status: str = "failed"
    """"failed", or "skipped": it rests on something that failed, or its target cannot have it."""
    reason: str
    """One sentence."""
    log_path: str | None = None
    """Within the results folder: the log and traceback of the stage that failed."""
    by_design: bool | None = None
    """True where nothing failed: the target cannot have what the case makes, which the plan knew."""


def labelled(records: Iterable[Record]) -> list[Labelled]:
    """The records that belong to a case."""
    return [record for record in records if isinstance(record, Labelled)]
