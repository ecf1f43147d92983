"""The result of a check as data: a verdict for every row, and the exit code that follows from all of them."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from kdbench.results.records import CallSize
from kdbench.scale import Scale


class Verdict(StrEnum):
    """The verdict on one row."""

    OK = "ok"
    SLOWER = "slower"
    LESS_ACCURATE = "less accurate"
    WORSE = "worse"
    LARGER = "larger"
    WRONG_PROVIDER = "wrong provider"
    ERRORED = "errored"
    CANNOT_TELL = "cannot tell"


REGRESSIONS = frozenset({Verdict.SLOWER, Verdict.LESS_ACCURATE, Verdict.WORSE, Verdict.LARGER})
FAILURES = frozenset({Verdict.WRONG_PROVIDER, Verdict.ERRORED})

OK, ERRORED, REGRESSION, CANNOT_TELL = 0, 1, 3, 4
"""Exit codes; 2 is bad input."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One number of one file against that of the same case's file of the reference."""

    case: str
    seed: int | None
    """None: all seeds together."""
    kind: Literal["score", "size", "latency"]
    metric: str
    """"size", "latency", or the name of the metric whose score it is: "accuracy", "macro_f1"."""
    verdict: Verdict
    said: str
    """One sentence: what was found, in numbers, and what it was held to."""
    target: str | None = None
    batch_size: int | None = None
    lengths: dict[str, int] = field(default_factory=dict)
    """Latency of examples that vary: how long they were, by axis."""
    limit: float | None = None
    """Latency and size: the largest ratio; a score: the largest loss, as `value`."""
    value: float | None = None
    """Latency and size: new / reference, above 1 is worse. A score: the loss in its metric's direction, above 0 is
    worse, as a share of the reference where `is_relative`."""
    low: float | None = None
    high: float | None = None
    """The value's interval, where it has one."""
    new: float | None = None
    reference: float | None = None
    """Nanoseconds, bytes, or a value of the metric."""
    label: str = ""
    """A score: what the metric is called in sentences, "macro F1"."""
    unit: str = ""
    """A score: "fraction", else the unit of the metric's values."""
    higher_is_better: bool = True
    """A score: which of the metric's values are better."""
    is_relative: bool = False
    """Whether `value` and `limit` are shares of the reference's value."""
    samples_ns: tuple[tuple[int, ...], ...] = ()
    """Latency: [process][i] of the new file, every process of both stages."""
    reference_samples_ns: tuple[tuple[int, ...], ...] = ()
    """Latency: [process][i] of the reference file, in the same processes and rounds."""

    @property
    def call_size(self) -> CallSize | None:
        """What a timed call takes, where latency was checked."""
        return None if self.batch_size is None else CallSize.of(self.batch_size, self.lengths)

    @property
    def scale(self) -> Scale:
        """How values of the metric are written."""
        return Scale(self.label, self.unit, self.higher_is_better)


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A whole check."""

    suite: str
    new: str
    """The folder that was checked."""
    reference: str
    """The folder or baseline file that it was checked against."""
    created_utc: str
    wall_ns: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    """Sentences on what has no row: new cases, seeds and targets that were left out."""
    environments: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Target -> facts of the machine and the runtime that it was re-measured with."""

    @property
    def exit_code(self) -> int:
        """A confirmed regression outweighs an error, that outweighs a doubt; a check of nothing is a doubt."""
        verdicts = {row.verdict for row in self.rows}
        if verdicts & REGRESSIONS:
            return REGRESSION
        if verdicts & FAILURES:
            return ERRORED
        if not verdicts or Verdict.CANNOT_TELL in verdicts:
            return CANNOT_TELL
        return OK
