"""Stored predictions of a results folder: what one file answered on one split, example by example, checked as read.

An .npz has for each split and output, under a prefix (`prefix`: "test" for the first output, "test.NAME" for others):
`{prefix}` (decisions, `kdbench.measure.decisions.decide`), `{prefix}_targets`, and where a metric of the kind needs
them `{prefix}_outputs` (the numbers themselves, float32; float16 where they would take more than MOST_FLOAT32_BYTES).
Examples of unequal length lie end to end, with `{key}_offsets` beside them. `{prefix}_by_NAME` are the pseudo-values of
a metric that a suite brought as its own file, which whoever reads the folder may not have.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdbench import registry
from kdbench.errors import StoreError, Unreadable
from kdbench.files import read_arrays, slug
from kdbench.protocols.data import KINDS, Output
from kdbench.protocols.metric import Metric, metric_named
from kdbench.ragged import Ragged, Stored, as_entries, from_entries
from kdbench.results.records import Score

REMEDY = "remove it and run the suite again: what is finished is reused."
MOST_FLOAT32_BYTES = 64 * 2**20
WITH_OUTPUTS = frozenset({"classes", "multilabel"})
"""Kinds of output of which a metric needs more than what is decided."""
ROUNDING = 1e-9
"""How far another build of a library may move a value, as a share of it."""
NO_OUTPUT = Output(axes=(2,))
"""Stands where a folder does not say what its task gives."""


@dataclass(frozen=True)
class Predictions:
    """The answers of one file to the examples of a split, beside the truth."""

    path: Path
    decisions: Any
    """What `decide` gives: classes int32 (n,), values float32 (n, D), rows of unequal length ..."""
    targets: Any
    outputs: Any
    """The numbers themselves; None where they are not stored."""
    metric: Metric
    """What they are judged by."""
    kept: NDArray[np.float64] | None = None
    """Pseudo-values (n,) that were stored, of a metric that nothing here has."""

    @cached_property
    def pseudo_values(self) -> NDArray[np.float64]:
        """(n,), one number an example, whose mean is the metric's value."""
        return self.metric.pseudo_values(self.judged, self.targets) if self.kept is None else self.kept

    @cached_property
    def examples(self) -> str:
        """A digest of the targets: as far as those tell, equal for the same examples in the same order."""
        values = self.targets.values if isinstance(self.targets, Ragged) else self.targets
        if values.dtype.kind in "iu":
            values = values.astype(np.int32)
        found = hashlib.sha256(np.ascontiguousarray(values).tobytes())
        if isinstance(self.targets, Ragged):
            found.update(self.targets.offsets.tobytes())
        return found.hexdigest()

    @cached_property
    def value(self) -> float:
        """The metric over all examples."""
        return self.metric.value(self.judged, self.targets) if self.kept is None else float(self.kept.mean())

    @property
    def judged(self) -> Any:
        """What the metric takes."""
        return self.decisions if self.metric.needs == "decisions" else self.outputs

    @cached_property
    def few(self) -> str | None:
        """Why the examples are too few to say how far chance moves the value; None where they are enough."""
        return self.metric.few(self.targets)

    def check(self, value: float | None, count: int, whose: str) -> None:
        """Raise StoreError where these are not what a record was made from: those of another file, row or split."""
        if len(self.targets) != count:
            raise StoreError(
                f"'{self.path}' has {len(self.targets):,} examples, and the record of {whose} {count:,}; {REMEDY}"
            )
        if value is not None and abs(self.value - value) > ROUNDING * max(1.0, abs(value)):
            raise StoreError(
                f"'{self.path}' is not what {whose} was recorded with: its predictions give {self.value:.4f}, the "
                f"record says {value:.4f}; {REMEDY}"
            )


def prefix_of(split: str, output: str) -> str:
    """The prefix of an output's entries; its name is empty for the first."""
    return f"{split}.{output}" if output else split


def entries(prefix: str, decisions: Stored, targets: Stored, outputs: Stored | None) -> dict[str, NDArray[Any]]:
    """The entries of one output and split; outputs: None for kinds without a metric that needs them."""
    found = {**as_entries(prefix, decisions), **as_entries(f"{prefix}_targets", targets)}
    if outputs is not None:
        found |= as_entries(f"{prefix}_outputs", _compact(outputs))
    return found


def own_key(prefix: str, metric: str) -> str:
    """The name of the pseudo-values of a suite's own metric."""
    return f"{prefix}_by_{slug(metric)}"


def _compact(outputs: Stored) -> Stored:
    values = outputs.values if isinstance(outputs, Ragged) else outputs
    dtype = np.float16 if values.size * 4 > MOST_FLOAT32_BYTES else np.float32
    compact = np.asarray(values, dtype)
    return Ragged(compact, outputs.offsets) if isinstance(outputs, Ragged) else compact


def judge_of(record: Score, output: Output | None) -> Metric:
    """The metric of a record, for the output that it judges (None where nothing says what that is).

    That of a suite's own file never runs here: it is what the record says of it.
    """
    if not registry.is_file(record.metric):
        metric = metric_named(record.metric)
        return metric if output is None else metric.judging(output)
    return recorded_metric(record)


def recorded_metric(record: Score) -> Metric:
    """A metric as its record describes it. It has no value of its own."""
    unit = "" if record.unit == "fraction" else record.unit
    name = record.label or record.metric.rpartition(":")[2]
    told = {
        "label": name,
        "direction": record.direction,
        "unit": "fraction" if record.unit == "fraction" else "value",
        "unit_name": property(lambda self: unit),
        "range": (None, None),
        "kinds": frozenset(KINDS),
        "__module__": __name__,
    }
    made: Metric = type("Recorded", (Metric,), told)()
    return made


def read_predictions(path: Path, record: Score, output: Output | None) -> Predictions | None:
    """The predictions of a record's split and output; None where the file holds none of them.

    output: as the task describes it; None where nothing says it. Raises StoreError where the file is damaged or has not
    what the metric needs, UnknownName where nothing here has the metric.
    """
    try:
        arrays = read_arrays(path)
    except Unreadable as error:
        raise StoreError(f"'{path}' holds no predictions ({error}); {REMEDY}") from None
    metric, prefix = judge_of(record, output), prefix_of(record.split, record.output)
    decisions, targets, outputs = (from_entries(arrays, f"{prefix}{end}") for end in ("", "_targets", "_outputs"))
    if decisions is None or targets is None:
        return None
    described = output or NO_OUTPUT
    if described.kind == "classes":
        count = output.class_count if output else 0
        decisions, targets = _classes(path, decisions, count), _classes(path, targets, count)
    if len(decisions) != len(targets):
        raise StoreError(f"'{path}' has {len(decisions):,} predictions of {len(targets):,} {prefix} examples; {REMEDY}")
    kept = arrays.get(own_key(prefix, record.metric))
    if kept is None and registry.is_file(record.metric):
        return None
    if metric.needs == "outputs" and outputs is None:
        return None
    return Predictions(path, decisions, targets, outputs, metric, kept)


def _classes(path: Path, array: Any, count: int) -> NDArray[np.int32]:
    """Whole numbers (n,), at least one, below `count` where that is not 0. Raises StoreError."""
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array) or array.min() < 0:
        raise StoreError(f"'{path}' holds {array.dtype} of shape {array.shape}, not a class an example; {REMEDY}")
    if count and (named := int(array.max())) >= count:
        raise StoreError(f"'{path}' names class {named}, and the task has {count} classes from 0; {REMEDY}")
    return np.asarray(array.astype(np.int32))
